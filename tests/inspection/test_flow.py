import pickle
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris, make_circles
from sklearn.exceptions import NotFittedError
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknode import (
    NODEClassifier,
    NODEImageClassifier,
    NODERegressor,
    ResNetClassifier,
    ResNetRegressor,
)
from sknode.inspection import FlowDisplay
from tests.problems import CLASSICAL

mpl = pytest.importorskip("matplotlib")
plt = pytest.importorskip("matplotlib.pyplot")
FFMpegWriter = pytest.importorskip("matplotlib.animation").FFMpegWriter
to_hex, to_rgba = mpl.colors.to_hex, mpl.colors.to_rgba
Figure = mpl.figure.Figure
Image = pytest.importorskip("PIL.Image")

QUICK = {**CLASSICAL, "hidden_layer_sizes": (8,), "max_epochs": 5, "random_state": 0}
CIRCLES, CODES = make_circles(40, factor=0.5, noise=0.05, random_state=0)
NAMES = np.array(["inner", "outer"])[1 - CODES]
LINE = np.linspace(-1, 1, 12)[:, None]
IRIS = load_iris(return_X_y=True)


@cache
def plane(**settings):
    """Return a model whose state has two dimensions, or more with augment_dim."""
    return NODEClassifier(**{**QUICK, **settings}).fit(CIRCLES, NAMES)


@cache
def line():
    """Return a model whose state has one dimension."""
    return NODERegressor(**QUICK).fit(LINE, LINE[:, 0] ** 3)


def drawn(ax):
    """Return the points on axes, and their colours."""
    return np.asarray(ax.collections[-1].get_offsets()), ax.collections[-1].get_facecolors()


def test_a_state_of_two_dimensions_is_drawn_as_it_is():
    display = FlowDisplay.from_estimator(plane(), CIRCLES, NAMES)
    states = plane().trajectory(CIRCLES, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_array_equal(display.states, states)
    assert display.axes_.shape == (5,)
    for ax, expected in zip(display.axes_, states, strict=True):
        np.testing.assert_array_equal(drawn(ax)[0], expected)
    assert [ax.get_title() for ax in display.axes_[1:4]] == ["t = 0.25", "t = 0.50", "t = 0.75"]
    assert display.axes_[0].get_xlabel() == "z[0]"
    assert display.axes_[0].get_ylabel() == "z[1]"
    assert display.explained.sum() == pytest.approx(1)


def test_all_axes_have_equal_limits_that_leave_out_no_state():
    display = FlowDisplay.from_estimator(plane(), CIRCLES)
    (limits,) = {(*ax.get_xlim(), *ax.get_ylim()) for ax in display.axes_}
    left, right, bottom, top = limits
    assert left < display.states[..., 0].min() < display.states[..., 0].max() < right
    assert bottom < display.states[..., 1].min() < display.states[..., 1].max() < top
    assert all(ax.get_aspect() == 1 for ax in display.axes_)


def test_dims_choose_the_dimensions_of_the_state():
    model = plane(augment_dim=2)
    display = FlowDisplay.from_estimator(model, CIRCLES, dims=(3, 1), times=[0.5])
    np.testing.assert_array_equal(display.states, model.trajectory(CIRCLES, [0.5])[..., [3, 1]])
    assert (display.xlabel, display.ylabel) == ("z[3]", "z[1]")


def test_principal_components_explain_more_than_any_two_dimensions():
    model = plane(augment_dim=2)
    principal = FlowDisplay.from_estimator(model, CIRCLES).explained
    pairs = [(i, j) for i in range(4) for j in range(i)]
    others = [FlowDisplay.from_estimator(model, CIRCLES, dims=dims).explained for dims in pairs]
    assert max(explained.sum() for explained in others) <= principal.sum() <= 1
    assert principal[0] >= principal[1]


def test_one_projection_serves_all_times():
    model = plane(augment_dim=2)
    display = FlowDisplay.from_estimator(model, CIRCLES)
    states = model.trajectory(CIRCLES, display.times)
    centred = states - states.mean(axis=(0, 1))
    np.testing.assert_allclose(display.states, centred @ display.components.T, atol=1e-12)
    np.testing.assert_allclose(display.components @ display.components.T, np.eye(2), atol=1e-12)
    percents = [f"component {i} ({part:.0%})" for i, part in enumerate(display.explained, 1)]
    assert [display.xlabel, display.ylabel] == percents


def test_a_state_of_one_dimension_is_drawn_over_time_on_one_axes():
    display = FlowDisplay.from_estimator(line(), LINE, LINE[:, 0])
    assert display.times.shape == (49,)
    assert display.axes_.shape == (1,)
    lines = display.axes_[0].collections[0].get_segments()
    states = line().trajectory(LINE, display.times)[..., 0]
    assert len(lines) == len(LINE)
    for segment, way in zip(lines, states.T, strict=True):
        np.testing.assert_array_equal(segment, np.column_stack([display.times, way]))
    assert display.components is None


def test_lines_over_time_do_not_cross():
    states = FlowDisplay.from_estimator(line(), LINE).states[..., 1]
    assert (np.diff(states, axis=1) > 0).all()


def test_a_legend_names_the_classes():
    display = FlowDisplay.from_estimator(plane(), CIRCLES, NAMES)
    (legend,) = [ax.get_legend() for ax in display.axes_ if ax.get_legend()]
    assert [text.get_text() for text in legend.get_texts()] == ["inner", "outer"]
    colours = {text: to_hex(handle.get_color()) for text, handle in
               zip(["inner", "outer"], legend.legend_handles, strict=True)}  # fmt: skip
    for name, colour in zip(NAMES, drawn(display.axes_[0])[1], strict=True):
        assert to_hex(colour) == colours[name]


def test_a_class_has_its_colour_whichever_others_are_there():
    only = NAMES == "outer"
    display = FlowDisplay.from_estimator(plane(), CIRCLES[only], NAMES[only])
    both = FlowDisplay.from_estimator(plane(), CIRCLES, NAMES)
    colours = drawn(both.axes_[0])[1][only]
    np.testing.assert_array_equal(drawn(display.axes_[0])[1], colours)


def test_values_are_coloured_by_a_bar():
    display = FlowDisplay.from_estimator(line(), LINE, LINE[:, 0], cmap="plasma")
    bar = display.figure_.axes[-1]
    assert bar.get_ylabel() == "y"
    assert bar.get_ylim() == (-1, 1)
    colours = drawn(display.axes_[0])[1]
    np.testing.assert_allclose(colours[0], mpl.colormaps["plasma"](0.0))
    np.testing.assert_allclose(colours[-1], mpl.colormaps["plasma"](1.0))


def test_without_y_all_rows_have_one_colour_and_no_key_is_drawn():
    display = FlowDisplay.from_estimator(plane(), CIRCLES)
    assert len(np.unique(drawn(display.axes_[0])[1], axis=0)) == 1
    assert display.figure_.axes == list(display.axes_)
    assert not any(ax.get_legend() for ax in display.axes_)


@pytest.mark.parametrize("n_classes", [3, 12])
def test_a_colour_map_is_spread_over_the_classes(n_classes):
    y = np.arange(36) % n_classes
    display = FlowDisplay(
        states=np.random.default_rng(0).normal(size=(2, 36, 2)),
        times=np.array([0.0, 1.0]),
        y=y,
        classes=np.arange(n_classes),
        components=np.eye(2),
    )
    for cmap in ("viridis", None):
        colours = drawn(display.plot(cmap=cmap).axes_[0])[1]
        assert len(np.unique(colours, axis=0)) == n_classes
    ends = drawn(display.plot(cmap="viridis").axes_[0])[1][[0, n_classes - 1]]
    np.testing.assert_array_equal(ends, [mpl.colormaps["viridis"](end) for end in (0.0, 1.0)])
    last = drawn(display.plot(cmap=mpl.colormaps["viridis"]).axes_[0])[1][n_classes - 1]
    assert tuple(last) == to_rgba(mpl.colormaps["viridis"](1.0))


def test_of_many_times_five_are_drawn():
    times = np.linspace(0, 1, 101)
    display = FlowDisplay.from_estimator(plane(), CIRCLES, times=times)
    assert display.states.shape == (101, 40, 2)
    titles = [ax.get_title() for ax in display.axes_]
    assert titles == ["t = 0.00", "t = 0.25", "t = 0.50", "t = 0.75", "t = 1.00"]
    np.testing.assert_array_equal(drawn(display.axes_[3])[0], display.states[75])


def test_more_than_five_axes_go_on_in_a_second_row():
    display = FlowDisplay.from_estimator(plane(), CIRCLES, times=np.linspace(0, 1, 7))
    assert display.axes_.shape == (7,)
    assert display.figure_.axes == list(display.axes_)
    assert display.axes_[5].get_position().y1 < display.axes_[0].get_position().y0


def test_given_axes_are_drawn_on_and_no_figure_is_made():
    figure = Figure()
    axes = figure.subplots(2, 2)
    display = FlowDisplay.from_estimator(
        plane(), CIRCLES, NAMES, times=[0.1, 0.2, 0.3, 0.4], axes=axes
    )
    assert display.figure_ is figure
    assert list(display.axes_) == list(axes.flat)
    single = Figure().subplots()
    assert FlowDisplay.from_estimator(line(), LINE, axes=single).axes_[0] is single
    assert plt.get_fignums() == []


@pytest.mark.parametrize("kind", [NODERegressor, ResNetClassifier, ResNetRegressor])
def test_every_estimator_for_rows_of_features_has_its_flow_drawn(kind):
    settings = {name: QUICK[name] for name in ("hidden_layer_sizes", "max_epochs", "random_state")}
    model = kind(**settings, n_members=2, lift="linear", lift_dim=5).fit(CIRCLES, CODES)
    display = FlowDisplay.from_estimator(model, CIRCLES, CODES, member=1)
    expected = model.trajectory(CIRCLES, display.times, member=1)
    expected = (expected - expected.mean(axis=(0, 1))) @ display.components.T
    np.testing.assert_allclose(display.states, expected, atol=1e-5)


def test_the_steps_of_a_pipeline_are_applied_to_the_rows():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(IRIS[0], columns=list("abcd"))
    y = pd.Series(IRIS[1]).map(dict(enumerate(["setosa", "versicolor", "virginica"])))
    model = make_pipeline(StandardScaler(), NODEClassifier(**QUICK)).fit(X, y)
    display = FlowDisplay.from_estimator(model, X, y, dims=(0, 1))
    expected = model[-1].trajectory(model[0].transform(X), display.times)
    np.testing.assert_array_equal(display.states, expected[..., :2])
    lone = FlowDisplay.from_estimator(make_pipeline(plane()), CIRCLES)
    np.testing.assert_array_equal(lone.states, plane().trajectory(CIRCLES, lone.times))


@pytest.mark.parametrize("kind", ["ode", "residual"])
def test_nothing_but_the_new_figure_is_different_afterwards(kind, tmp_path):
    model = plane()
    if kind == "residual":
        model = ResNetClassifier(hidden_layer_sizes=(8,), max_epochs=2, random_state=0)
        model.fit(CIRCLES, NAMES)
    module = model.net_.module_.train()
    stats = module.block.stats
    before, state = pickle.dumps(model), torch.get_rng_state()
    settings, numbers = dict(mpl.rcParams), np.random.get_state()[1].copy()  # noqa: NPY002
    display = FlowDisplay.from_estimator(model, CIRCLES, NAMES)
    display.animate(tmp_path / "flow.gif", dpi=30)
    assert plt.get_fignums() == [1]
    assert pickle.dumps(model) == before
    assert all(part.training for part in module.modules())
    assert (module.block.stats is None) == (stats is None)
    assert torch.equal(torch.get_rng_state(), state)
    assert dict(mpl.rcParams) == settings
    np.testing.assert_array_equal(np.random.get_state()[1], numbers)  # noqa: NPY002


@pytest.mark.parametrize("over_time", [False, True])
def test_an_animation_has_a_frame_for_each_time(over_time, tmp_path):
    times = np.linspace(0, 1, 7)
    model, X = (line(), LINE) if over_time else (plane(), CIRCLES)
    display = FlowDisplay.from_estimator(model, X, times=times)
    plt.close("all")
    display.animate(tmp_path / "flow.GIF", fps=10, dpi=50)
    with Image.open(tmp_path / "flow.GIF") as image:
        assert image.n_frames == 7
        assert image.info["duration"] == 100
        assert image.width == 5.5 * 50
    assert plt.get_fignums() == []


@pytest.mark.parametrize("over_time", [False, True])
def test_the_frames_of_an_animation_move_nothing_but_the_rows(over_time, tmp_path):
    model, X, y = (line(), LINE, LINE[:, 0]) if over_time else (plane(), CIRCLES, NAMES)
    display = FlowDisplay.from_estimator(model, X, y, times=[0.0, 0.5, 1.0])
    path = str(tmp_path / "flow.gif")
    display.animate(path, dpi=100)
    frames = []
    with Image.open(path) as image:
        for i in range(3):
            image.seek(i)
            frames.append(np.asarray(image.convert("L")))
    spines = [np.flatnonzero((frame < 128).mean(axis=1) > 0.5) for frame in frames]
    assert len(spines[0]) >= 2
    for frame, spine in zip(frames, spines, strict=True):
        np.testing.assert_array_equal(spine, spines[0])
        assert (frame[:2] == 255).all(), "the title is cut off"
    assert (frames[1] != frames[0]).any()


@pytest.mark.parametrize("path", ["flow.avi", "flow", "gif"])
def test_an_ending_that_is_not_known_is_refused(path):
    display = FlowDisplay.from_estimator(plane(), CIRCLES)
    with pytest.raises(ValueError, match=r"must end in .gif or .mp4, got '" + path):
        display.animate(path)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"fps": 0}, "fps must be an integer from 1 to 100, got 0"),
        ({"dpi": -1}, "dpi must be a number from 10 to 1000, got -1"),
    ],
)
def test_frames_a_second_and_pixels_an_inch_are_within_limits(setting, message):
    display = FlowDisplay.from_estimator(plane(), CIRCLES)
    with pytest.raises(ValueError, match=message):
        display.animate("flow.gif", **setting)


def test_without_ffmpeg_an_mp4_is_refused_with_a_reason(monkeypatch):
    display = FlowDisplay.from_estimator(plane(), CIRCLES)
    monkeypatch.setattr(FFMpegWriter, "isAvailable", lambda: False)
    with pytest.raises(RuntimeError, match="ffmpeg, which was not found; install it"):
        display.animate("flow.mp4")


@pytest.mark.skipif(not FFMpegWriter.isAvailable(), reason="needs ffmpeg")
def test_an_mp4_is_written_by_ffmpeg(tmp_path):
    FlowDisplay.from_estimator(plane(), CIRCLES).animate(tmp_path / "flow.mp4")
    assert (tmp_path / "flow.mp4").read_bytes()[4:8] == b"ftyp"


IMAGES = NODEImageClassifier(image_shape=(1, 2), n_filters=2)


@pytest.mark.parametrize("other", [GaussianNB(), make_pipeline(GaussianNB()), IMAGES, "flow"])
def test_other_estimators_are_refused(other):
    with pytest.raises(
        TypeError, match=r"FlowDisplay takes NODEClassifier, .*, got (Gauss|NODEI|s)"
    ):
        FlowDisplay.from_estimator(other, CIRCLES)


@pytest.mark.parametrize(
    "model", [NODEClassifier(), make_pipeline(StandardScaler(), NODEClassifier())]
)
def test_an_estimator_that_is_not_fitted_is_refused(model):
    with pytest.raises(NotFittedError):
        FlowDisplay.from_estimator(model, CIRCLES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dims": (0, 2)}, "dims must be two different integers from 0 to 1"),
        ({"dims": (1, 1)}, "dims must be two different integers"),
        ({"dims": (0.0, 1)}, "dims must be two different integers"),
        ({"dims": 1}, "dims must be two different integers"),
        (
            {"times": [0.5, 0.5]},
            "times must be one-dimensional, strictly increasing and from 0",
        ),
        ({"member": 1}, "member must be an integer from 0 to 0, got 1"),
        ({"y": NAMES[1:]}, "inconsistent numbers of samples"),
        ({"y": ["outer"] * 39 + ["other"]}, r"y must consist of the classes .*got also \['other'"),
        ({"y": np.column_stack([NAMES, NAMES])}, "y should be a 1d array"),
        ({"axes": [None, None]}, "axes must be 5 in number, got 2"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        FlowDisplay.from_estimator(plane(), CIRCLES, **arguments)


@pytest.mark.parametrize("y", [np.full(12, np.nan), np.ones((12, 2)), ["low"] * 12])
def test_rows_of_a_regressor_are_coloured_by_numbers_alone(y):
    with pytest.raises(ValueError, match=r"NaN|1d array|convert"):
        FlowDisplay.from_estimator(line(), LINE, y)


def test_a_state_of_one_dimension_has_no_two_to_choose():
    with pytest.raises(ValueError, match="of the 1 dimensions of the state"):
        FlowDisplay.from_estimator(line(), LINE, dims=(0, 1))


def test_matplotlib_is_loaded_and_needed_only_where_something_is_drawn():
    code = """
import sys
from sknode.inspection import FlowDisplay, VectorFieldDisplay
assert "matplotlib" not in sys.modules
sys.modules["matplotlib"] = None
for display in FlowDisplay, VectorFieldDisplay:
    try:
        display.from_estimator(None, None)
    except ImportError as error:
        print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "FlowDisplay.from_estimator requires matplotlib" in run.stdout
    assert "VectorFieldDisplay.from_estimator requires matplotlib" in run.stdout

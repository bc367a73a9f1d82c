"""What no display can be made of is refused by name, before any work."""

import pickle
import re
from functools import cache
from inspect import signature

import numpy as np
import pytest
from sklearn.datasets import make_circles

from sknode import NODEClassifier, NODERegressor
from sknode.inspection import (
    FlowDisplay,
    StepDisplay,
    TrainingDisplay,
    VectorFieldDisplay,
    solver_consistency,
)
from sknode.inspection._labels import LARGEST
from tests.problems import CLASSICAL

plt = pytest.importorskip("matplotlib.pyplot")

QUICK = {**CLASSICAL, "hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
X, CODES = make_circles(30, factor=0.5, noise=0.05, random_state=0)
NAMES = np.array(["inner", "outer"])[1 - CODES]
NAN, INF = float("nan"), float("inf")
HUGE = [10**9, 2**63, 10**400]
FIGURE = plt.matplotlib.figure.Figure()
PLANE, SPACE = FIGURE.add_subplot(1, 2, 1), FIGURE.add_subplot(1, 2, 2, projection="3d")

NO_INTEGERS = [True, np.True_, -1, 2.0, NAN, INF, *HUGE, "1", None, [], [1], np.arange(2)]
NO_TIMES = [True, 0.5, "0", "abc", [], [[0.0]], [[0.0], [0.5, 1.0]], [True], ["0", "1"], [None],
            [NAN], [0, INF], [0, 1e101], [0, 10**400], [-0.5, 0.5], [1j], [0.5, 0.5], {}, object(),
            np.array(["2020"], dtype="M8[D]"), np.linspace(0, 1, 10_001)]  # fmt: skip
NO_AXES = [5, 5.0, True, "x", "axes", [], (1, 2, 3), [None], [[PLANE], [PLANE, PLANE]], {},
           FIGURE, [PLANE] * 4, [SPACE] * 3, PLANE, object()]  # fmt: skip
NO_AX = [5, NAN, True, "x", [], [PLANE], np.array([PLANE]), FIGURE, SPACE, object()]
NO_CMAP = ["", "nope", 5, 0, False, NAN, [], ["viridis"], object()]
NO_NAMES = ["", "nope", 5, None, True, NAN, b"quiver", [], ["quiver"], np.array(["loss", "a"])]
NO_QUANTITIES = [5, True, NAN, "loss", b"loss", [], [5], [None], [["loss"]], ["loss", "nope"],
                 np.array(5), object()]  # fmt: skip
NO_LABELS = [5, NAN, True, "inner", "", [], {}, object(), NAMES[1:], [*NAMES, "inner"],
             [NAMES], [[name] * 2 for name in NAMES], [["inner"], *NAMES[1:]],
             [None, *NAMES[1:]], np.array([5, *NAMES[1:]], dtype=object)]  # fmt: skip
NO_CLASSES = [
    *NO_LABELS,
    ["nope", *NAMES[1:]],
    [5, *NAMES[1:]],
    CODES,
    CODES == 1,
    np.full(30, NAN),
]
NO_DIMS = [5, True, "01", "a", [], [0], [0, 1, 1], (0, 0), (0, 2), (-1, 0), (0.0, 1), (True, 0),
           (0, NAN), (0, None), ("0", "1"), [[0, 1], [1, 0]], [[0], [0, 1]], (0, 10**400),
           np.eye(2), object()]  # fmt: skip

REFUSED = {
    FlowDisplay: {
        "y": NO_CLASSES,
        "times": NO_TIMES,
        "member": NO_INTEGERS,
        "dims": NO_DIMS,
        "axes": NO_AXES,
        "cmap": NO_CMAP,
    },
    VectorFieldDisplay: {
        "y": NO_CLASSES,
        "times": [*NO_TIMES, [0.5, 1.5], np.linspace(0, 1, 201)],
        "member": NO_INTEGERS,
        "dims": NO_DIMS,
        "grid_resolution": [*NO_INTEGERS, 0, 1, 201],
        "axes": NO_AXES,
        "kind": NO_NAMES,
        "cmap": NO_CMAP,
    },
    StepDisplay: {
        "y": [*NO_LABELS, np.arange(30)],
        "member": NO_INTEGERS,
        "n_bins": [*NO_INTEGERS, 0, 10_001],
        "ax": NO_AX,
        "cmap": NO_CMAP,
    },
    TrainingDisplay: {
        "name": [5, True, NAN, b"NODE", [], ["NODE"], object()],
        "quantities": NO_QUANTITIES,
        "axes": NO_AXES,
        "x": NO_NAMES,
    },
}
# How a message names an argument, where it is not by its name: matplotlib's own do it otherwise.
NAMED = {"cmap": "cmap", "quantities": "quantit", "name": "name of an estimator"}
CASES = [
    pytest.param(display, name, values, id=f"{display.__name__}-{name}")
    for display, arguments in REFUSED.items()
    for name, values in arguments.items()
]


@cache
def classifier():
    return NODEClassifier(**QUICK).fit(X, NAMES)


@cache
def regressor():
    return NODERegressor(**QUICK).fit(X, X[:, 0])


@cache
def display_of(display):
    """Return a display as it is best made."""
    rows = () if display is TrainingDisplay else (X, NAMES)
    made = display.from_estimator(classifier(), *rows)
    plt.close("all")
    return made


@pytest.fixture
def idle(monkeypatch):
    """Let nothing run, no figure be made, and no estimator change."""

    def run(*_):
        raise AssertionError("there was work before the arguments were checked")

    models = classifier(), regressor()
    before = pickle.dumps(models)
    monkeypatch.setattr(NODEClassifier, "_run", run)
    monkeypatch.setattr(NODERegressor, "_run", run)
    yield
    assert pickle.dumps(models) == before
    assert plt.get_fignums() == []
    assert PLANE.collections[:] == PLANE.images[:] == PLANE.lines[:] == []


def assert_refused(call, name, value):
    with pytest.raises((ValueError, TypeError)) as raised:
        call(**{name: value})
    assert re.search(NAMED.get(name, rf"\b{name}\b"), str(raised.value)), (value, raised.value)


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize(("display", "name", "values"), CASES)
def test_what_makes_no_sense_is_refused_by_its_name_before_any_work(display, name, values):
    rows = () if display is TrainingDisplay else (X,)
    for value in values:
        if value is None and name in ("axes", "ax", "cmap", "name", "times", "y", "dims"):
            continue
        assert_refused(
            lambda **bad: display.from_estimator(classifier(), *rows, **bad), name, value
        )


@pytest.mark.parametrize(
    ("display", "name"),
    [
        (display, name)
        for display, arguments in REFUSED.items()
        for name in arguments
        if name in signature(display.plot).parameters
    ],
)
def test_a_plot_that_makes_no_sense_changes_nothing(display, name):
    made = display_of(display)
    before = dict(vars(made))
    for value in REFUSED[display][name]:
        assert_refused(made.plot, name, value)
    assert vars(made) == before
    assert plt.get_fignums() == []


ANIMATIONS = {
    "path": [5, None, True, b"flow.gif", [], "", "flow", "flow.avi", "no/such/folder/flow.gif"],
    "fps": [*NO_INTEGERS, 0, 101],
    "dpi": [True, 0, 9, -1, 1001, NAN, INF, *HUGE, "100", None, [], [100], np.arange(2)],
    "cmap": NO_CMAP,
}


@pytest.mark.parametrize("name", ANIMATIONS)
def test_an_animation_that_makes_no_sense_is_not_begun(name, tmp_path):
    for value in ANIMATIONS[name]:
        arguments = {"path": tmp_path / "flow.gif", name: value}
        with pytest.raises((ValueError, TypeError), match=r"folder|" + name):
            display_of(FlowDisplay).animate(**arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("display", [FlowDisplay, VectorFieldDisplay])
def test_rows_of_a_regressor_have_finite_numbers_for_colours(display):
    for value in [*NO_LABELS, np.full(30, INF), np.full(30, 10 * LARGEST), [10**400] * 30]:
        assert_refused(lambda **bad: display.from_estimator(regressor(), X, **bad), "y", value)


def test_times_as_late_as_allowed_are_drawn():
    display = FlowDisplay.from_estimator(regressor(), X, times=[0, 1e100])
    assert np.isfinite(display.states).all()


def test_numbers_as_large_as_allowed_have_colours():
    y = np.linspace(-LARGEST, LARGEST, 30)
    assert FlowDisplay.from_estimator(regressor(), X, y).figure_.axes[-1].get_ylabel() == "y"


@pytest.mark.usefixtures("idle")
def test_targets_that_are_none_of_the_rows_are_refused_before_a_solve():
    for value in [None, *NO_LABELS, CODES, np.column_stack([CODES, CODES])]:
        assert_refused(lambda y: solver_consistency(classifier(), X, y), "y", value)
    for value in [None, *NO_LABELS, X, np.full(30, NAN), np.full(30, INF)]:
        assert_refused(lambda y: solver_consistency(regressor(), X, y), "y", value)


@pytest.mark.usefixtures("idle")
def test_settings_of_a_solver_that_make_no_sense_are_refused_before_a_solve():
    bad = {
        "solver": [*NO_NAMES, "rk5"],
        "tolerance": [0, -1.0, True, NAN, INF, "small", None, [], (1e-3,), (1e-3, 0)],
        "max_steps": NO_INTEGERS,
    }
    for name, values in bad.items():
        for value in values:
            assert_refused(
                lambda **bad: solver_consistency(classifier(), X, NAMES, **bad), name, value
            )


@pytest.mark.usefixtures("idle")
def test_estimators_side_by_side_have_texts_for_names():
    for name in (5, None, ("a", "b"), b"NODE"):
        with pytest.raises(TypeError, match="the name of an estimator must be text, got"):
            TrainingDisplay.from_estimators({name: classifier()})


def test_quantities_of_a_display_of_ones_own_are_those_there_are():
    made = display_of(TrainingDisplay)
    for quantities in NO_QUANTITIES:
        own = TrainingDisplay(
            histories=made.histories, best_epochs=made.best_epochs, quantities=quantities
        )
        with pytest.raises((ValueError, TypeError), match="quantit"):
            own.plot()
    assert plt.get_fignums() == []


def test_numbers_of_numpy_are_as_good_as_those_of_python(tmp_path):
    one, two = np.int8(0), np.uint64(1)
    flow = FlowDisplay.from_estimator(
        classifier(), X, NAMES, member=one, dims=(one, two), times=np.float32([0, 0.5])
    )
    flow.animate(tmp_path / "flow.gif", fps=np.int32(10), dpi=np.float32(30))
    field = VectorFieldDisplay.from_estimator(
        classifier(),
        X,
        times=(np.float16(0.5),),
        grid_resolution=np.int16(3),
        kind=np.str_("quiver"),
    )
    assert field.velocity.shape == (1, 3, 3, 2)
    steps = StepDisplay.from_estimator(classifier(), X, list(NAMES), n_bins=np.int64(7))
    assert steps.step_size.shape == (30, 7)
    quantities = np.array(["loss"])
    assert TrainingDisplay.from_estimator(
        classifier(), quantities=quantities, x=np.str_("seconds"), name=np.str_("NODE")
    ).axes_.shape == (1,)

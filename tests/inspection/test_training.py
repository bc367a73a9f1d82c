import pickle
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.datasets import make_circles
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
from sknode.inspection import TrainingDisplay
from sknode.inspection._histories import QUANTITIES
from tests.problems import CLASSICAL

mpl = pytest.importorskip("matplotlib")
plt = pytest.importorskip("matplotlib.pyplot")
same_color = mpl.colors.same_color
Figure = mpl.figure.Figure

QUICK = {**CLASSICAL, "hidden_layer_sizes": (8,), "max_epochs": 6, "random_state": 0}
X, Y = make_circles(60, factor=0.5, noise=0.05, random_state=0)
PANELS = ["loss", "validation score", "evaluations per batch", "steps per row"]


@cache
def fitted(**settings):
    return NODEClassifier(**{**QUICK, **settings}).fit(X, Y)


@cache
def validated():
    """Return a model that was validated, with fast learning, so that steps were rejected."""
    return fitted(early_stopping=True, learning_rate=0.3)


def display_of(quantities, best_epoch=1, **history):
    """Return the display of one training."""
    n_epochs = len(next(iter(history.values())))
    arrays = {name: np.asarray(values, dtype=float) for name, values in history.items()}
    return TrainingDisplay(
        histories={"NODE": {"epoch": np.arange(1, n_epochs + 1), **arrays}},
        best_epochs={"NODE": best_epoch},
        quantities=quantities,
    )


def points(ax):
    """Return the points on axes that mark best epochs."""
    return [line for line in ax.lines if line.get_marker() == "o"]


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]


def test_the_lines_are_those_of_history_():
    model = validated()
    display = TrainingDisplay.from_estimator(model, quantities=QUANTITIES)
    lines = display.lines_["NODEClassifier"]
    assert list(lines) == list(QUANTITIES)
    for quantity, line in lines.items():
        np.testing.assert_array_equal(line.get_xdata(), range(1, len(model.history_) + 1))
        np.testing.assert_array_equal(
            line.get_ydata(), [epoch[quantity] for epoch in model.history_]
        )
        np.testing.assert_array_equal(
            display.histories["NODEClassifier"][quantity], line.get_ydata()
        )


def test_training_and_validation_share_a_panel_and_so_do_forward_and_backward():
    display = TrainingDisplay.from_estimator(validated())
    assert [ax.get_ylabel() for ax in display.axes_] == PANELS
    lines = display.lines_["NODEClassifier"]
    of_panels = [list(lines)[:2], list(lines)[2:3], list(lines)[3:5], list(lines)[5:]]
    assert of_panels == [
        ["loss", "validation_loss"],
        ["validation_score"],
        ["nfe_forward", "nfe_backward"],
        ["accepted_steps", "rejected_steps"],
    ]
    for ax, quantities in zip(display.axes_, of_panels, strict=True):
        assert [lines[quantity].axes for quantity in quantities] == [ax] * len(quantities)
        assert [lines[quantity].get_linestyle() for quantity in quantities] == ["-", "--"][
            : len(quantities)
        ]
    kinds = [texts(ax.get_legend()) for ax in display.axes_ if ax.get_legend()]
    assert kinds == [["training", "validation"], ["forward", "backward"], ["accepted", "rejected"]]


def test_without_validation_and_rejected_steps_there_are_no_panels_for_them():
    model = fitted(solver="rk4", early_stopping=False)
    display = TrainingDisplay.from_estimator(model)
    assert display.quantities == ["loss", "nfe_forward", "nfe_backward"]
    assert [ax.get_ylabel() for ax in display.axes_] == ["training loss", "evaluations per batch"]


def test_quantities_are_drawn_in_the_order_they_are_asked_for_and_once():
    wanted = ["seconds", "nfe_backward", "loss", "seconds"]
    display = TrainingDisplay.from_estimator(fitted(), quantities=wanted)
    labels = [ax.get_ylabel() for ax in display.axes_]
    assert labels == ["seconds per epoch", "backward evaluations per batch", "training loss"]
    assert list(display.lines_["NODEClassifier"]) == ["seconds", "nfe_backward", "loss"]


def test_the_epoch_whose_weights_were_kept_is_marked():
    model = validated()
    assert 1 <= model.best_epoch_ < model.n_iter_
    display = TrainingDisplay.from_estimator(model, quantities=["loss", "validation_loss"])
    best = model.history_[model.best_epoch_ - 1]
    found = [(*line.get_xdata(), *line.get_ydata()) for line in points(display.axes_[0])]
    assert found == [(best["epoch"], best["loss"]), (best["epoch"], best["validation_loss"])]
    assert texts(display.figure_.legends[0]) == ["best epoch"]


def test_loss_over_evaluations_is_drawn_in_the_order_of_the_epochs():
    model = validated()
    display = TrainingDisplay.from_estimator(model, quantities=["loss"], x="nfe_forward")
    (ax,) = display.axes_
    line = display.lines_["NODEClassifier"]["loss"]
    np.testing.assert_array_equal(line.get_xdata(), [e["nfe_forward"] for e in model.history_])
    np.testing.assert_array_equal(line.get_ydata(), [e["loss"] for e in model.history_])
    assert line.get_marker() == "."
    assert ax.get_xlabel() == "forward evaluations per batch"
    assert ax.get_ylabel() == "training loss"


def test_seconds_on_the_x_axis_are_those_since_the_training_began():
    model = fitted()
    display = TrainingDisplay.from_estimator(model, x="seconds", quantities=["loss", "seconds"])
    seconds = np.array([epoch["seconds"] for epoch in model.history_])
    for line in display.lines_["NODEClassifier"].values():
        np.testing.assert_array_equal(line.get_xdata(), seconds.cumsum())
    np.testing.assert_array_equal(line.get_ydata(), seconds)
    assert display.axes_[0].get_xlabel() == "seconds of training"


@pytest.mark.parametrize("x", ["epoch", *QUANTITIES])
def test_every_quantity_may_be_on_the_x_axis(x):
    display = TrainingDisplay.from_estimator(validated(), quantities=["loss"])
    display.plot(x=x).figure_.canvas.draw()
    assert display.axes_[0].get_xlabel()


def test_several_trainings_have_a_colour_and_a_name_each():
    models = {"plain": validated(), "augmented": fitted(augment_dim=1, early_stopping=False)}
    display = TrainingDisplay.from_estimators(models)
    assert list(display.histories) == list(display.lines_) == ["plain", "augmented"]
    for name, model in models.items():
        np.testing.assert_array_equal(
            display.lines_[name]["loss"].get_ydata(), [epoch["loss"] for epoch in model.history_]
        )
    (legend,) = display.figure_.legends
    assert texts(legend) == ["plain", "augmented", "best epoch"]
    colours = [handle.get_color() for handle in legend.legend_handles[:2]]
    assert not same_color(*colours)
    for lines, colour in zip(display.lines_.values(), colours, strict=True):
        assert all(same_color(line.get_color(), colour) for line in lines.values())


def test_a_training_without_a_quantity_is_left_out_where_another_has_it():
    models = {"without": fitted(early_stopping=False), "with": validated()}
    display = TrainingDisplay.from_estimators(models, quantities=["validation_score", "loss"])
    assert list(display.lines_["without"]) == ["loss"]
    assert list(display.lines_["with"]) == ["validation_score", "loss"]
    assert texts(display.figure_.legends[0]) == ["without", "with", "best epoch"]


def test_losses_that_are_infinite_and_scores_that_are_nan_are_gaps():
    inf, nan = np.inf, np.nan
    display = display_of(
        ["loss", "validation_loss", "validation_score"],
        best_epoch=2,
        loss=[3, 2, 1, 1],
        validation_loss=[inf, 2, inf, 2.5],
        validation_score=[nan, 0.5, nan, 0.4],
    )
    for x in ("epoch", "validation_loss", "validation_score"):
        display.plot(x=x).figure_.canvas.draw()
        limits = [limit for ax in display.axes_ for limit in (*ax.get_xlim(), *ax.get_ylim())]
        assert np.isfinite(limits).all()
    lines = display.lines_["NODE"]
    np.testing.assert_array_equal(lines["validation_loss"].get_ydata(), [inf, 2, inf, 2.5])
    assert lines["validation_loss"].get_marker() == "."


def test_a_training_of_which_no_epoch_could_be_validated_is_drawn():
    inf, nan = [np.inf] * 3, [np.nan] * 3
    quantities = ["loss", "validation_loss", "validation_score"]
    display = display_of(quantities, 3, loss=[2, 1, 1], validation_loss=inf, validation_score=nan)
    display.plot().figure_.canvas.draw()


def test_epochs_of_a_later_fit_without_validation_are_gaps():
    model = NODEClassifier(**{**QUICK, "max_epochs": 2, "early_stopping": True}).fit(X, Y)
    model.partial_fit(X, Y)
    display = TrainingDisplay.from_estimator(model)
    (history,) = display.histories.values()
    np.testing.assert_array_equal(history["epoch"], [1, 2, 3])
    np.testing.assert_array_equal(np.isnan(history["validation_loss"]), [False, False, True])
    assert not np.isnan(history["loss"]).any()


@pytest.mark.parametrize("n_epochs", [1, 2, 7, 150])
def test_the_ticks_of_epochs_are_whole_numbers(n_epochs):
    display = display_of(["loss"], n_epochs, loss=np.linspace(1, 0.1, n_epochs)).plot()
    display.figure_.canvas.draw()
    ticks = display.axes_[0].get_xticks()
    np.testing.assert_array_equal(ticks, ticks.round())


def test_counts_are_drawn_from_zero_on():
    display = display_of(["nfe_forward", "loss"], nfe_forward=[20, 21], loss=[20, 21]).plot()
    bottom, top = display.axes_[0].get_ylim()
    assert -0.1 * top < bottom <= 0
    assert display.axes_[1].get_ylim()[0] > 19


@pytest.mark.parametrize("names", [["a", "b"], ["a rather long name of a model, the other", "b"]])
def test_no_text_lies_over_another(names):
    models = dict(zip(names, [validated(), fitted(augment_dim=1)], strict=True))
    display = TrainingDisplay.from_estimators(models)
    display.figure_.canvas.draw()
    width, height = display.figure_.canvas.get_width_height()
    boxes = [ax.get_tightbbox() for ax in display.axes_]
    boxes.append(display.figure_.legends[0].get_window_extent())
    for i, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
        assert not any(box.overlaps(other) for other in boxes[:i])


@pytest.mark.parametrize(
    ("n_panels", "shape"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 2)), (6, (2, 3))]
)
def test_panels_stand_in_rows_of_at_most_three(n_panels, shape):
    quantities = ["loss", "seconds", "learning_rate", "nfe_forward", "validation_score",
                  "accepted_steps"][:n_panels]  # fmt: skip
    display = TrainingDisplay.from_estimator(validated(), quantities=quantities)
    grid = display.axes_[0].get_subplotspec().get_gridspec()
    assert (grid.nrows, grid.ncols) == shape
    assert display.axes_.shape == (n_panels,)
    assert display.figure_.axes == list(display.axes_)


def test_given_axes_are_drawn_on_and_no_figure_is_made():
    figure = Figure()
    axes = figure.subplots(2, 2)
    models = {"a": validated(), "b": fitted(augment_dim=1)}
    display = TrainingDisplay.from_estimators(models, axes=axes)
    assert display.figure_ is figure
    assert list(display.axes_) == list(axes.flat)
    assert texts(axes[0, 0].get_legend()) == ["training", "validation", "a", "b", "best epoch"]
    assert figure.legends == plt.get_fignums() == []
    single = Figure().subplots()
    display = TrainingDisplay.from_estimator(validated(), quantities=["loss"], axes=single)
    assert display.axes_[0] is single


@pytest.mark.parametrize("kind", [NODERegressor, ResNetClassifier, ResNetRegressor])
def test_every_estimator_has_its_training_drawn(kind):
    model = kind(hidden_layer_sizes=(8,), max_epochs=2, random_state=0).fit(X, Y)
    display = TrainingDisplay.from_estimator(model)
    assert list(display.histories) == [kind.__name__]
    assert display.axes_[1].get_ylabel() == "evaluations per batch"


def test_images_and_pipelines_have_theirs_drawn():
    images = NODEImageClassifier(image_shape=(1, 2), n_filters=2, max_epochs=2, random_state=0)
    models = {
        "images": images.fit(X, Y),
        "pipeline": make_pipeline(StandardScaler(), NODEClassifier(**QUICK)).fit(X, Y),
    }
    display = TrainingDisplay.from_estimators(models)
    assert display.lines_["images"]["loss"].get_xdata().tolist() == [1, 2]
    history = models["pipeline"][-1].history_
    assert display.histories["pipeline"]["loss"].tolist() == [epoch["loss"] for epoch in history]
    named = TrainingDisplay.from_estimator(models["pipeline"], name="scaled")
    assert list(named.lines_) == ["scaled"]
    assert list(TrainingDisplay.from_estimator(models["pipeline"]).lines_) == ["NODEClassifier"]


def test_nothing_but_the_new_figure_is_different_afterwards():
    model = validated()
    before, state = pickle.dumps(model), torch.get_rng_state()
    settings, numbers = dict(mpl.rcParams), np.random.get_state()[1].copy()  # noqa: NPY002
    TrainingDisplay.from_estimators({"a": model, "b": model})
    assert plt.get_fignums() == [1]
    assert pickle.dumps(model) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert dict(mpl.rcParams) == settings
    np.testing.assert_array_equal(np.random.get_state()[1], numbers)  # noqa: NPY002


@pytest.mark.parametrize("other", [GaussianNB(), make_pipeline(GaussianNB()), "training", None])
def test_other_estimators_are_refused(other):
    message = r"TrainingDisplay takes NODEClassifier, .* ends in one, got (GaussianNB|str|None)"
    with pytest.raises(TypeError, match=message):
        TrainingDisplay.from_estimator(other)
    with pytest.raises(TypeError, match=message):
        TrainingDisplay.from_estimators({"good": fitted(), "bad": other})


@pytest.mark.parametrize(
    "model", [NODEClassifier(), make_pipeline(StandardScaler(), ResNetRegressor())]
)
def test_an_estimator_that_is_not_fitted_is_refused(model):
    with pytest.raises(NotFittedError):
        TrainingDisplay.from_estimator(model)


def test_estimators_come_with_names():
    with pytest.raises(TypeError, match="estimators must be a dict, got list"):
        TrainingDisplay.from_estimators([fitted()])
    with pytest.raises(ValueError, match="estimators must be one or more, got none"):
        TrainingDisplay.from_estimators({})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantities": ["los"]}, r"quantity 'los' is not known; choose from \['loss', 'vali"),
        ({"quantities": []}, r"quantities must be one or more of \['loss', .*got none"),
        ({"quantities": ["validation_loss"]}, "no estimator has 'validation_loss' .*; fit with"),
        ({"x": "epochs"}, r"x='epochs' is not known; choose from \['epoch', 'loss'"),
        ({"x": "validation_score"}, "x='validation_score' is not in .* of NODEClassifier; fit"),
        ({"axes": [None] * 5}, "axes must be 2 in number, got 5"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    model = fitted(solver="rk4", early_stopping=False)
    with pytest.raises(ValueError, match=message):
        TrainingDisplay.from_estimator(model, **arguments)
    assert plt.get_fignums() == []


def test_a_single_name_is_no_sequence_of_names():
    with pytest.raises(TypeError, match="quantities must be a sequence of names, got 'loss'"):
        TrainingDisplay.from_estimator(fitted(), quantities="loss")


def test_matplotlib_is_loaded_only_when_something_is_drawn():
    code = "import sys, sknode.inspection; assert 'matplotlib' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("make", ["from_estimator", "from_estimators"])
def test_without_matplotlib_it_is_said_to_be_needed(monkeypatch, make):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=rf"TrainingDisplay\.{make} requires matplotlib"):
        getattr(TrainingDisplay, make)(None)

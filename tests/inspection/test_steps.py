import pickle
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.datasets import make_circles
from sklearn.exceptions import NotFittedError
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sknode import NODEClassifier, NODEImageClassifier, NODERegressor, ResNetClassifier
from sknode.exceptions import SolverError
from sknode.inspection import StepDisplay
from sknode.inspection._accepted import accepted_steps
from sknode.modules import MLPField, NODENetwork
from sknode.ode import native, odeint
from sknode.ode.solution import check_settings
from tests.problems import ADAPTIVE, CLASSICAL

mpl = pytest.importorskip("matplotlib")
plt = pytest.importorskip("matplotlib.pyplot")
Figure = mpl.figure.Figure

QUICK = {**CLASSICAL, "hidden_layer_sizes": (8,), "max_epochs": 3, "random_state": 0}
CIRCLES, CODES = make_circles(40, factor=0.5, noise=0.05, random_state=0)
NAMES = np.array(["inner", "outer"])[1 - CODES]
ENGINES = ["eager", *(["native"] if native.ENGINE else [])]


@cache
def fitted(**settings):
    """Return a model whose field is so wild that rows differ in their steps."""
    model = NODEClassifier(**{**QUICK, **settings}).fit(CIRCLES, NAMES)
    with torch.no_grad():
        model.net_.module_.block.field.layers[-1].weight.mul_(200)
    return model


@cache
def half_stiff():
    """Return a model with (u, v)' = (100·relu(10v) − 100·relu(u + 10v), 0), and its rows.

    Where v = 1 that is u' = −100u, where v = −1 rows stand still.
    """
    X = np.stack(np.meshgrid([-1.0, 1.0], np.linspace(-1, 1, 6)), axis=-1).reshape(-1, 2)[:, ::-1]
    settings = {"hidden_layer_sizes": (2,), "activation": "relu", "scaling": None}
    model = NODERegressor(**{**QUICK, **settings}, time_dependent=False).fit(X, X[:, 0])
    first, last = model.net_.module_.block.field.layers
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[0.0, 10.0], [1.0, 10.0]]))
        last.weight.copy_(torch.tensor([[100.0, -100.0], [0.0, 0.0]]))
        first.bias.zero_()
        last.bias.zero_()
    return model, X


class Relaxation(nn.Module):
    """u' = −λ(u − cos t), with the rate λ as the state's second dimension."""

    def forward(self, t, z):
        u, rate = z[:, :1], z[:, 1:]
        return torch.cat((-rate * (u - torch.cos(t)), torch.zeros_like(rate)), 1)


class Jump(nn.Module):
    """u = tanh(20·(t − c)), with the time c of the jump as the state's second dimension."""

    def forward(self, t, z):
        at = z[:, 1:]
        return torch.cat((20 / torch.cosh(20 * (t - at)) ** 2, torch.zeros_like(at)), 1)


def method(solver="dopri5", tolerance=1e-3, n_steps=None, max_steps=1000):
    settings = check_settings(
        solver=solver, tolerance=tolerance, n_steps=n_steps, max_steps=max_steps
    )
    return settings.method


def step_at(steps, row, t):
    """Return the size of a row's step that covers a time."""
    start, size = steps.start[:, row], steps.size[:, row]
    return size[(start <= t) & (t < start + size)].item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("solver", ADAPTIVE)
def test_the_steps_of_a_row_follow_each_other_from_0_to_the_end(solver, dtype):
    z0 = torch.tensor([[0.0, 1.0], [2.0, 30.0], [0.5, 90.0]], dtype=dtype)
    steps = accepted_steps(Relaxation(), z0, 0.7, method(solver))
    for start, size in zip(steps.start.T, steps.size.T, strict=True):
        moved = size != 0
        ends = np.cumsum(size[moved])
        np.testing.assert_allclose(start[moved], [0, *ends[:-1]], atol=1e-15)
        assert ends[-1] == pytest.approx(0.7, abs=torch.finfo(dtype).eps)
        assert (size[moved] > 0).all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("solver", ["rk4", *ADAPTIVE])
def test_there_are_as_many_steps_as_the_solvers_stats_say(solver, engine):
    generator = torch.Generator().manual_seed(0)
    field = MLPField(3, (8,), generator=generator).double()
    with torch.no_grad():
        field.layers[-1].weight.mul_(60)
    z0 = torch.randn(20, 3, dtype=torch.float64, generator=generator)
    n_steps = 4 if solver == "rk4" else None
    steps = accepted_steps(field, z0, 1.0, method(solver, n_steps=n_steps))
    t = torch.tensor([0.0, 1.0])
    with torch.no_grad():
        stats = odeint(field, z0, t, solver=solver, n_steps=n_steps, engine=engine).stats
    np.testing.assert_array_equal((steps.size != 0).sum(0), stats.accepted)
    np.testing.assert_array_equal(steps.rejected, stats.rejected)
    assert solver == "rk4" or len(set(steps.rejected)) > 1


def test_a_stiff_row_takes_steps_as_small_as_stability_asks_for():
    rates = [1.0, 10.0, 100.0, 200.0]
    z0 = torch.tensor([[1.0, rate] for rate in rates], dtype=torch.float64)
    steps = accepted_steps(Relaxation(), z0, 1.0, method())
    n_steps = (steps.size != 0).sum(0)
    assert (np.diff(n_steps) > 0).all()
    # dopri5 is stable on the negative axis up to 3.31.
    assert n_steps[2] == pytest.approx(100 / 3.31, rel=0.25)
    assert n_steps[3] == pytest.approx(200 / 3.31, rel=0.25)


def test_steps_are_smallest_where_a_row_jumps():
    jumps = [0.2, 0.5, 0.7]
    z0 = torch.tensor([[-1.0, jump] for jump in jumps], dtype=torch.float64)
    steps = accepted_steps(Jump(), z0, 1.0, method(tolerance=1e-6))
    for row, jump in enumerate(jumps):
        taken = steps.size[:, row] != 0
        # The last one ends where time does.
        start, size = steps.start[taken, row][:-1], steps.size[taken, row][:-1]
        assert start[size.argmin()] == pytest.approx(jump, abs=0.03)
        assert size.max() > 5 * size.min()


def test_a_bin_within_a_step_has_its_size():
    display = StepDisplay.from_estimator(fitted(), CIRCLES, n_bins=50)
    network = fitted().net_.module_
    z0 = torch.from_numpy(fitted().trajectory(CIRCLES, [0.0])[0])
    steps = accepted_steps(network.block.field, z0, 1.0, network.block.settings.method)
    ends = steps.start + steps.size
    compared = 0
    for row in range(len(CIRCLES)):
        for left, right, size in zip(
            display.t[:-1], display.t[1:], display.step_size[row], strict=True
        ):
            if not ((left < ends[:, row]) & (ends[:, row] < right)).any():
                assert size == pytest.approx(step_at(steps, row, (left + right) / 2))
                compared += 1
    assert compared > 500


@pytest.mark.parametrize("n_bins", [1, 7, 300])
def test_widths_of_bins_divided_by_step_sizes_add_up_to_the_number_of_steps(n_bins):
    display = StepDisplay.from_estimator(fitted(), CIRCLES, n_bins=n_bins)
    assert display.step_size.shape == (40, n_bins)
    np.testing.assert_allclose(display.t, np.linspace(0, 1, n_bins + 1))
    counts = (np.diff(display.t) / display.step_size).sum(axis=1)
    np.testing.assert_allclose(counts, display.n_steps)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("member", [0, 1])
def test_the_steps_are_those_of_a_prediction(member, engine):
    model = fitted(n_members=2)
    display = StepDisplay.from_estimator(model, CIRCLES, member=member)
    block = model.net_.module_.block
    before = block.settings
    block.settings = before._replace(engine=engine)
    model.predict(CIRCLES)
    block.settings = before
    accepted, rejected = block.stats.accepted, block.stats.rejected
    np.testing.assert_array_equal(display.n_steps, accepted.view(2, -1)[member])
    np.testing.assert_array_equal(display.rejected, rejected.view(2, -1)[member])
    assert len(set(display.n_steps)) > 2
    assert display.rejected.any()


def test_rows_that_stand_still_are_easy_and_rows_of_a_stiff_field_are_hard():
    model, X = half_stiff()
    display = StepDisplay.from_estimator(model, X)
    stiff = X[:, 1] > 0
    assert (display.n_steps[~stiff] < 10).all()
    # dopri5 is stable on the negative axis up to 3.31.
    np.testing.assert_allclose(display.n_steps[stiff], 100 / 3.31, rtol=0.25)
    np.testing.assert_allclose(display.step_size[stiff, 50], 3.31 / 100, rtol=0.25)
    assert set(display.order[:6]) == set(np.flatnonzero(~stiff))


def test_rows_are_in_the_order_of_their_steps_label_by_label():
    alone = StepDisplay.from_estimator(fitted(), CIRCLES)
    assert sorted(alone.order) == list(range(40))
    assert (np.diff(alone.n_steps[alone.order]) >= 0).all()
    names = pytest.importorskip("pandas").Series(NAMES, dtype=object)
    by_label = StepDisplay.from_estimator(fitted(), CIRCLES, names)
    assert list(by_label.y[by_label.order]) == sorted(NAMES)
    for name in ("inner", "outer"):
        of_name = [row for row in by_label.order if NAMES[row] == name]
        assert (np.diff(by_label.n_steps[of_name]) >= 0).all()
    np.testing.assert_array_equal(by_label.step_size, alone.step_size)


def test_the_heat_map_shows_the_rows_in_their_order():
    display = StepDisplay.from_estimator(fitted(), CIRCLES, cmap="cividis")
    np.testing.assert_array_equal(
        np.asarray(display.im_.get_array()), display.step_size[display.order]
    )
    assert display.im_.origin == "lower"
    assert display.im_.get_extent() == [0, 1, 0, 40]
    assert display.im_.get_cmap().name == "cividis"
    assert display.ax_.get_xlabel() == "t"
    written = [int(text.get_text()) for text in display.ax_.get_yticklabels()]
    assert written[0] == display.n_steps.min()
    assert written[-1] == display.n_steps.max()


def test_a_colour_bar_has_round_sizes_on_a_logarithmic_scale():
    display = StepDisplay.from_estimator(fitted(), CIRCLES)
    bar = display.im_.colorbar
    assert bar.ax.get_ylabel() == "step size"
    display.figure_.canvas.draw()
    low, high = display.im_.get_clim()
    assert low <= np.percentile(display.step_size, 2)
    assert high >= display.step_size.max()
    ticks = [tick for tick in bar.get_ticks() if low <= tick <= high]
    assert len(ticks) >= 3
    assert all(f"{tick:.0e}"[0] in "125" for tick in ticks)
    np.testing.assert_allclose(bar.norm(np.sqrt(low * high)), 0.5)


def test_labels_stand_beside_their_rows():
    display = StepDisplay.from_estimator(fitted(), CIRCLES, NAMES)
    texts = [text.get_text() for text in display.ax_.get_yticklabels()]
    for text, name in zip(texts, ["inner", "outer"], strict=True):
        of_name = display.n_steps[name == NAMES]
        assert text == f"{name}: {of_name.min()}–{of_name.max()}"
    np.testing.assert_array_equal(display.ax_.get_yticks(), [10, 30])
    assert display.ax_.lines[0].get_ydata()[0] == 20


def test_on_a_fixed_grid_all_rows_have_equal_steps():
    model = NODEClassifier(**{**QUICK, "solver": "rk4", "n_steps": 5}).fit(CIRCLES, NAMES)
    display = StepDisplay.from_estimator(model, CIRCLES, NAMES)
    np.testing.assert_allclose(display.step_size, 0.2)
    assert set(display.n_steps) == {5}
    assert not display.rejected.any()
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["inner: 5", "outer: 5"]
    display.figure_.canvas.draw()


def test_one_step_for_all_is_drawn_as_well():
    arguments = {"n_steps": np.array([1]), "rejected": np.array([0])}
    display = StepDisplay(t=np.array([0.0, 1.0]), step_size=np.array([[1.0]]), **arguments)
    display.plot().figure_.canvas.draw()
    assert 1 in display.im_.colorbar.get_ticks()


def test_many_rows_are_solved_in_parts(monkeypatch):
    whole = StepDisplay.from_estimator(fitted(n_members=2), CIRCLES, member=1)
    monkeypatch.setattr(NODENetwork, "rows_at_a_time", 7)
    parts = StepDisplay.from_estimator(fitted(n_members=2), CIRCLES, member=1)
    np.testing.assert_allclose(parts.step_size, whole.step_size)
    np.testing.assert_array_equal(parts.n_steps, whole.n_steps)
    np.testing.assert_array_equal(parts.rejected, whole.rejected)


def test_the_steps_of_a_pipeline_are_applied_to_the_rows():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(CIRCLES, columns=["a", "b"])
    model = make_pipeline(StandardScaler(), NODEClassifier(**QUICK)).fit(X, NAMES)
    display = StepDisplay.from_estimator(model, X)
    alone = StepDisplay.from_estimator(model[-1], model[0].transform(X))
    np.testing.assert_array_equal(display.step_size, alone.step_size)
    assert len(StepDisplay.from_estimator(make_pipeline(fitted()), CIRCLES).n_steps) == 40


def test_rows_may_be_sparse_images_or_of_single_precision():
    model = fitted()
    dense = StepDisplay.from_estimator(model, CIRCLES)
    found = StepDisplay.from_estimator(model, sparse.csr_matrix(CIRCLES))
    np.testing.assert_array_equal(found.step_size, dense.step_size)
    single = NODEClassifier(**{**QUICK, "dtype": "float32"}).fit(CIRCLES, NAMES)
    display = StepDisplay.from_estimator(single, CIRCLES.astype(np.float32))
    np.testing.assert_allclose(0.01 / display.step_size @ np.ones(100), display.n_steps, rtol=1e-6)
    pictures = np.random.default_rng(0).random((6, 4, 4))
    y = np.arange(6) % 2
    images = NODEImageClassifier(n_filters=2, max_epochs=1, random_state=0).fit(pictures, y)
    assert StepDisplay.from_estimator(images, pictures, y).step_size.shape == (6, 100)


def test_given_axes_are_drawn_on_and_no_figure_is_made():
    ax = Figure().subplots()
    display = StepDisplay.from_estimator(fitted(), CIRCLES, ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert plt.get_fignums() == []
    assert display.plot() is display
    assert display.ax_ is not ax
    assert plt.get_fignums() == [1]


def test_nothing_but_the_new_figure_is_different_afterwards():
    model = pickle.loads(pickle.dumps(fitted()))
    module = model.net_.module_.train()
    module.block.first_step = 0.25
    model.predict(CIRCLES[:3])
    module.train()
    stats, pool = module.block.stats, module.block._pool
    before, state = pickle.dumps(model), torch.get_rng_state()
    settings, numbers = dict(mpl.rcParams), np.random.get_state()[1].copy()  # noqa: NPY002
    StepDisplay.from_estimator(model, CIRCLES, NAMES)
    assert plt.get_fignums() == [1]
    assert pickle.dumps(model) == before
    assert module.block.stats is stats
    assert module.block._pool is pool
    assert module.block.first_step == 0.25
    assert all(part.training for part in module.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert dict(mpl.rcParams) == settings
    np.testing.assert_array_equal(np.random.get_state()[1], numbers)  # noqa: NPY002


def test_rows_that_cannot_be_solved_are_named():
    model, X = half_stiff()
    model = pickle.loads(pickle.dumps(model))
    block = model.net_.module_.block
    block.settings = block.settings._replace(method=method(max_steps=20))
    with pytest.raises(SolverError, match=r"the rows 1, 3, 5, 7, 9, 11 of X: stopped at"):
        StepDisplay.from_estimator(model, X)


RESNET = ResNetClassifier(max_epochs=1, shared_weights=True).fit(CIRCLES, CODES)


@pytest.mark.parametrize("other", [GaussianNB(), make_pipeline(GaussianNB()), RESNET, "steps"])
def test_other_estimators_are_refused(other):
    with pytest.raises(TypeError, match=r"StepDisplay takes NODEClassifier.*got (Gau|ResNetC|str)"):
        StepDisplay.from_estimator(other, CIRCLES)


@pytest.mark.parametrize(
    "model", [NODEClassifier(), make_pipeline(StandardScaler(), NODEClassifier())]
)
def test_an_estimator_that_is_not_fitted_is_refused(model):
    with pytest.raises(NotFittedError):
        StepDisplay.from_estimator(model, CIRCLES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"member": 1}, "member must be an integer from 0 to 0, got 1"),
        ({"member": -1}, "member must be an integer from 0 to 0, got -1"),
        ({"n_bins": 0}, "n_bins must be an integer from 1 to 10000, got 0"),
        ({"n_bins": 10.0}, r"n_bins must be an integer .*, got 10\.0"),
        ({"y": NAMES[1:]}, "inconsistent numbers of samples"),
        ({"y": np.column_stack([NAMES, NAMES])}, "y should be a 1d array"),
        ({"y": np.arange(40)}, "y must have at most 20 different labels, got 40"),
        ({"cmap": "colourful"}, "'colourful' is not a valid value for cmap"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        StepDisplay.from_estimator(fitted(), CIRCLES, **arguments)
    assert plt.get_fignums() == []


def test_matplotlib_is_loaded_only_when_something_is_drawn():
    code = "import sys, sknode.inspection; assert 'matplotlib' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_without_matplotlib_it_is_said_to_be_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"StepDisplay\.from_estimator requires matplotlib"):
        StepDisplay.from_estimator(None, None)

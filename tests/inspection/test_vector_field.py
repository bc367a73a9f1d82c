import pickle
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.datasets import make_circles
from sklearn.exceptions import NotFittedError
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknode import NODEClassifier, NODERegressor, ResNetClassifier, ResNetRegressor
from sknode.inspection import FlowDisplay, VectorFieldDisplay
from tests.problems import CLASSICAL

mpl = pytest.importorskip("matplotlib")
plt = pytest.importorskip("matplotlib.pyplot")
LineCollection = mpl.collections.LineCollection
Figure = mpl.figure.Figure
Quiver = mpl.quiver.Quiver

QUICK = {
    **CLASSICAL,
    "hidden_layer_sizes": (8,),
    "max_epochs": 10,
    "tolerance": 1e-9,
    "random_state": 0,
}
RESIDUAL = {name: value for name, value in QUICK.items() if name not in ("solver", "tolerance")}
CIRCLES, CODES = make_circles(40, factor=0.5, noise=0.05, random_state=0)
LINE = np.linspace(-1, 1, 12)[:, None]


@cache
def plane(**settings):
    """Return a model whose state has two dimensions, or more with augment_dim."""
    return NODEClassifier(**{**QUICK, **settings}).fit(CIRCLES, CODES)


@cache
def line():
    """Return a model whose state has one dimension."""
    return NODERegressor(**QUICK).fit(LINE, LINE[:, 0] ** 3)


def rows_at(model, states):
    """Return the rows whose z(0) are given states."""
    return model.scaling_.center + model.scaling_.scale * states


def moved(model, states, time, member=0):
    """Return how states at time zero have moved at a later time."""
    start, end = model.trajectory(rows_at(model, states), [0, time], member=member)
    return end - start


def grid_of(display):
    """Return the points of the grid, (n, 2)."""
    return np.column_stack([display.grid_x.ravel(), display.grid_y.ravel()])


def field_of(model, t, states):
    """Return f(t, z)."""
    with torch.no_grad():
        field = model.net_.module_.block.field
        return field(torch.tensor(t, dtype=torch.float64), torch.as_tensor(states)).numpy()


def test_the_velocity_is_that_of_rows_which_start_there():
    display = VectorFieldDisplay.from_estimator(plane(), CIRCLES, grid_resolution=5)
    velocity = display.velocity[0].reshape(-1, 2)
    errors = [
        np.abs(moved(plane(), grid_of(display), dt) / dt - velocity).max() for dt in (1e-2, 1e-3)
    ]
    assert errors[1] < 0.01 * np.abs(velocity).max()
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.1)


def test_the_velocity_is_that_of_each_time():
    display = VectorFieldDisplay.from_estimator(plane(), CIRCLES, times=[0.2, 0.9])
    assert display.velocity.shape == (2, 20, 20, 2)
    for t, velocity in zip(display.times, display.velocity, strict=True):
        expected = field_of(plane(), t, grid_of(display)).reshape(20, 20, 2)
        np.testing.assert_allclose(velocity, expected, atol=1e-12)
    assert [ax.get_title() for ax in display.axes_] == ["t = 0.20", "t = 0.90"]


@pytest.mark.parametrize("member", [0, 1])
def test_the_velocity_is_that_of_the_member(member):
    model = plane(n_members=2)
    display = VectorFieldDisplay.from_estimator(model, CIRCLES, member=member, grid_resolution=4)
    of_both = [moved(model, grid_of(display), 1e-4, member=k) / 1e-4 for k in (member, 1 - member)]
    own, other = (np.abs(v - display.velocity[0].reshape(-1, 2)).max() for v in of_both)
    assert own < 0.01 * other


@pytest.mark.parametrize("block", [0, 1, 2])
def test_the_velocity_in_a_residual_block_is_what_moves_states_through_it(block):
    model = ResNetClassifier(**RESIDUAL, n_blocks=3).fit(CIRCLES, CODES)
    times = [block / 3 + 1e-9, (block + 1) / 3 - 1e-9]
    display = VectorFieldDisplay.from_estimator(model, CIRCLES, times=times, grid_resolution=4)
    states = torch.as_tensor(grid_of(display))
    step = model.net_.module_.block.ordered[block]
    expected = 3 * (step(states) - states).detach().numpy().reshape(4, 4, 2)
    np.testing.assert_allclose(display.velocity, [expected, expected], atol=1e-12)
    if block == 0:
        by_rows = 3 * moved(model, grid_of(display), 1 / 3).reshape(4, 4, 2)
        np.testing.assert_allclose(display.velocity[0], by_rows, atol=1e-12)
    if block == 2:
        end = VectorFieldDisplay.from_estimator(model, CIRCLES, times=[1], grid_resolution=4)
        np.testing.assert_allclose(end.velocity[0], expected, atol=1e-12)


@pytest.mark.parametrize("dims", [None, (0, 3), (2, 1)])
def test_the_field_is_that_of_states_on_the_plane_through_the_mean(dims):
    model = plane(augment_dim=2)
    display = VectorFieldDisplay.from_estimator(
        model, CIRCLES, times=[0.3], dims=dims, grid_resolution=4
    )
    ways = model.trajectory(CIRCLES, np.linspace(0, 1, 49))
    mean = ways.mean(axis=(0, 1))
    if dims is None:
        states = mean + grid_of(display) @ display.components
        across = states - mean - (states - mean) @ display.components.T @ display.components
        assert np.abs(across).max() < 1e-12
    else:
        states = np.tile(mean, (16, 1))
        states[:, dims] = grid_of(display)
    expected = field_of(model, 0.3, states) @ display.components.T
    np.testing.assert_allclose(display.velocity[0].reshape(-1, 2), expected, atol=1e-10)


def test_the_plane_is_that_of_the_flow():
    model = plane(augment_dim=1)
    display = VectorFieldDisplay.from_estimator(model, CIRCLES)
    flow = FlowDisplay.from_estimator(model, CIRCLES, times=np.linspace(0, 1, 49))
    np.testing.assert_array_equal(display.states, flow.states)
    np.testing.assert_array_equal(display.components, flow.components)
    assert (display.xlabel, display.ylabel) == (flow.xlabel, flow.ylabel)


def test_the_grid_covers_the_ways_of_all_rows():
    display = VectorFieldDisplay.from_estimator(plane(), CIRCLES, grid_resolution=7)
    assert display.grid_x.shape == display.grid_y.shape == (7, 7)
    for i, grid in enumerate([display.grid_x, display.grid_y]):
        assert grid.min() < display.states[..., i].min()
        assert display.states[..., i].max() < grid.max()


def test_ways_lead_from_the_first_states_to_the_last():
    display = VectorFieldDisplay.from_estimator(plane(), CIRCLES, CODES)
    ends = plane().trajectory(CIRCLES, [0, 1])
    for ax in display.axes_:
        (lines,) = [drawn for drawn in ax.collections if isinstance(drawn, LineCollection)]
        ways = np.array(lines.get_segments())
        np.testing.assert_allclose(ways[:, [0, -1]], ends.swapaxes(0, 1), atol=1e-6)
        points = ax.collections[-1]
        np.testing.assert_allclose(points.get_offsets(), ends[1], atol=1e-6)
        opaque = lines.get_colors()[:, :3]
        np.testing.assert_array_equal(points.get_facecolors()[:, :3], opaque)
        assert len(np.unique(opaque, axis=0)) == 2


def test_arrows_point_along_the_field_and_are_longest_where_it_is_fastest():
    display = VectorFieldDisplay.from_estimator(plane(), CIRCLES, grid_resolution=6)
    speeds, lengths = [], []
    for ax, velocity in zip(display.axes_, display.velocity, strict=True):
        (quiver,) = [drawn for drawn in ax.collections if isinstance(drawn, Quiver)]
        arrows = np.column_stack([quiver.U, quiver.V])
        velocity = velocity.reshape(-1, 2)
        across = arrows[:, 0] * velocity[:, 1] - arrows[:, 1] * velocity[:, 0]
        np.testing.assert_allclose(across, 0, atol=1e-12)
        assert ((arrows * velocity).sum(axis=1) > 0).all()
        speeds += [*np.linalg.norm(velocity, axis=1)]
        lengths += [*np.linalg.norm(arrows, axis=1)]
    # Of all times together, so that they can be compared.
    ratios = np.array(lengths) / np.sqrt(speeds)
    np.testing.assert_allclose(ratios, ratios[0])


@pytest.mark.parametrize("over_time", [False, True])
def test_streamlines_are_drawn_with_the_ways_on_top(over_time):
    model, X = (line(), LINE) if over_time else (plane(), CIRCLES)
    display = VectorFieldDisplay.from_estimator(model, X, kind="streamplot", grid_resolution=8)
    for ax in display.axes_:
        assert not any(isinstance(drawn, Quiver) for drawn in ax.collections)
        streams, ways, _ = ax.collections
        assert len(streams.get_segments()) > len(ways.get_segments()) == len(X)
        left, right = ax.get_xlim()
        assert left < display.states[..., 0].min() < display.states[..., 0].max() < right


def test_a_field_that_is_zero_has_arrows_without_length():
    still = np.zeros((1, 3, 3, 2))
    x, y = np.meshgrid(range(3), range(3))
    display = VectorFieldDisplay(
        grid_x=x, grid_y=y, velocity=still, times=[0.0], states=np.ones((2, 1, 2)),
        components=np.eye(2),
    ).plot()  # fmt: skip
    assert (display.axes_[0].collections[0].U == 0).all()


def test_a_field_of_one_dimension_is_drawn_over_time():
    display = VectorFieldDisplay.from_estimator(line(), LINE, LINE[:, 0], grid_resolution=9)
    assert display.axes_.shape == (1,)
    assert display.velocity.shape == (1, 9, 9, 2)
    assert (display.velocity[..., 0] == 1).all()
    for j, t in enumerate(np.linspace(0, 1, 9)):
        assert (display.grid_x[:, j] == t).all()
        slopes = field_of(line(), t, display.grid_y[:, [j]])
        np.testing.assert_allclose(display.velocity[0, :, [j], 1].T, slopes, atol=1e-12)
    flow = FlowDisplay.from_estimator(line(), LINE)
    np.testing.assert_array_equal(display.states, flow.states)


def test_given_times_are_the_columns_of_a_field_over_time():
    display = VectorFieldDisplay.from_estimator(line(), LINE, times=[0, 0.5, 0.6])
    assert display.velocity.shape == (1, 20, 3, 2)
    np.testing.assert_array_equal(display.grid_x[0], [0, 0.5, 0.6])
    np.testing.assert_array_equal(display.times, [0, 0.5, 0.6])


@pytest.mark.parametrize("times", [None, [0.5]])
def test_arrows_over_time_point_along_the_slopes_and_are_of_one_length(times):
    display = VectorFieldDisplay.from_estimator(line(), LINE, times=times)
    (quiver,) = [d for d in display.axes_[0].collections if isinstance(d, Quiver)]
    np.testing.assert_allclose(quiver.V / quiver.U, display.velocity[..., 1].ravel())
    lengths = np.hypot(quiver.U, quiver.V / np.ptp(display.grid_y))
    np.testing.assert_allclose(lengths, 1 / 20)


@pytest.mark.parametrize("kind", [NODERegressor, ResNetClassifier, ResNetRegressor])
def test_every_estimator_for_rows_of_features_has_its_field_drawn(kind):
    settings = {name: QUICK[name] for name in ("hidden_layer_sizes", "max_epochs", "random_state")}
    model = make_pipeline(StandardScaler(), kind(**settings, dtype="float32"))
    model.fit(CIRCLES, CODES)
    display = VectorFieldDisplay.from_estimator(model, CIRCLES, CODES, member=3)
    assert display.velocity.dtype == np.float64
    assert display.axes_.shape == (3,)


def test_given_axes_are_drawn_on_and_no_figure_is_made():
    axes = Figure().subplots(1, 3)
    display = VectorFieldDisplay.from_estimator(plane(), CIRCLES, CODES, axes=axes)
    assert list(display.axes_) == list(axes)
    assert display.figure_ is axes[0].figure
    assert plt.get_fignums() == []


@pytest.mark.parametrize("n_blocks", [None, 2])
def test_nothing_but_the_new_figure_is_different_afterwards(n_blocks):
    model = plane()
    if n_blocks is not None:
        model = ResNetClassifier(**RESIDUAL, n_blocks=n_blocks).fit(CIRCLES, CODES)
    module = model.net_.module_.train()
    stats, state = module.block.stats, torch.get_rng_state()
    before, settings = pickle.dumps(model), dict(mpl.rcParams)
    VectorFieldDisplay.from_estimator(model, CIRCLES, CODES, kind="streamplot")
    assert plt.get_fignums() == [1]
    assert pickle.dumps(model) == before
    assert all(part.training for part in module.modules())
    assert (module.block.stats is None) == (stats is None)
    assert torch.equal(torch.get_rng_state(), state)
    assert dict(mpl.rcParams) == settings


def test_units_that_training_leaves_out_take_part():
    model = plane(dropout=0.5)
    display = VectorFieldDisplay.from_estimator(model, CIRCLES, grid_resolution=4)
    expected = field_of(model, 0.0, grid_of(display))
    model.net_.module_.train()
    again = VectorFieldDisplay.from_estimator(model, CIRCLES, grid_resolution=4)
    np.testing.assert_array_equal(again.velocity, display.velocity)
    np.testing.assert_allclose(display.velocity[0].reshape(-1, 2), expected, atol=1e-12)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_field_of_a_model_on_cuda_is_drawn():
    model = NODEClassifier(**{**QUICK, "dtype": "float32", "tolerance": 1e-3}, device="cuda")
    display = VectorFieldDisplay.from_estimator(model.fit(CIRCLES, CODES), CIRCLES, CODES)
    velocity = moved(model, grid_of(display), 1e-2) / 1e-2
    np.testing.assert_allclose(display.velocity[0].reshape(-1, 2), velocity, atol=0.1)


@pytest.mark.parametrize("other", [GaussianNB(), make_pipeline(GaussianNB())])
def test_other_estimators_are_refused(other):
    with pytest.raises(TypeError, match=r"VectorFieldDisplay takes .*, got GaussianNB"):
        VectorFieldDisplay.from_estimator(other, CIRCLES)


def test_an_estimator_that_is_not_fitted_is_refused():
    with pytest.raises(NotFittedError):
        VectorFieldDisplay.from_estimator(NODEClassifier(), CIRCLES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "arrows"}, r"kind='arrows' is not known; choose from \['quiver', 'streamplot'\]"),
        ({"grid_resolution": 1}, "grid_resolution must be an integer from 2 to 200, got 1"),
        ({"grid_resolution": 2.5}, "grid_resolution must be an integer from 2 to 200"),
        ({"times": [0.5, 1.5]}, "times must be one-dimensional, strictly increasing and from 0"),
        ({"times": [-0.5, 0.5]}, "times must be one-dimensional, strictly increasing and from 0"),
        ({"times": [0.5, 0.5]}, "times must be one-dimensional, strictly increasing and from 0"),
        ({"times": [[0.5]]}, "times must be one-dimensional, strictly increasing and from 0"),
        ({"times": []}, "times must be one-dimensional"),
        ({"member": 1}, "member must be an integer from 0 to 0, got 1"),
        ({"dims": (0, 5)}, "dims must be two different integers from 0 to 1"),
        ({"y": CODES[1:]}, "inconsistent numbers of samples"),
        ({"axes": [None]}, "axes must be 3 in number, got 1"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        VectorFieldDisplay.from_estimator(plane(), CIRCLES, **arguments)

"""The toy problems: exact, seeded, and refused where they make no sense."""

import gzip
import math
import re
import struct

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.stats import kstest

from sknode import datasets
from sknode.datasets import (
    ImageData,
    damped_oscillator,
    lane_emden,
    load_mnist,
    lotka_volterra,
    make_reflection,
    make_spheres,
    make_spirals,
)
from sknode.exceptions import SolverError

GENERATORS = [make_spheres, make_reflection, make_spirals]
FIELDS = ("X_train", "y_train", "X_test", "y_test")


def is_distributed(sample, distribution):
    """Say whether a Kolmogorov-Smirnov test finds nothing against a distribution."""
    return kstest(sample, distribution).pvalue > 0.01


def solved(field, times, start):
    """Return the solution of an ODE at increasing times, the first of which is the start."""
    span = (times[0], times[-1])
    solution = solve_ivp(field, span, start, method="DOP853", t_eval=times, rtol=1e-13, atol=1e-14)
    return solution.y.T


@pytest.mark.parametrize("make", GENERATORS)
def test_a_seed_gives_the_same_rows_again_and_another_seed_others(make):
    X, y = make(50, random_state=3)
    again, other = make(50, random_state=np.random.RandomState(3)), make(50, random_state=4)
    np.testing.assert_array_equal(X, again[0])
    np.testing.assert_array_equal(y, again[1])
    assert not np.isclose(X, other[0]).any()


@pytest.mark.parametrize("make", GENERATORS)
def test_without_a_seed_the_rows_differ(make):
    assert not np.isclose(make(50)[0], make(50)[0]).any()


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("random_state", [None, 0])
def test_the_global_generator_stays_as_it_is(make, random_state):
    before = np.random.get_state()[1].copy()  # noqa: NPY002 -- the global generator is tested
    make(10, random_state=random_state)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize(
    "n_samples", [0, -1, 2.0, "ten", None, True, math.nan, [5], 10**12, 2**63, 10**400]
)
def test_a_number_of_samples_that_is_none_is_refused(make, n_samples):
    message = (
        f"n_samples must be a positive integer, and no more than 100,000,000, got {n_samples!r}"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        make(n_samples)


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize(
    "seed",
    ["seed", -1, 2**32, 10**400, 1.0, True, math.nan, [1], np.random, np.random.default_rng(0)],
)
def test_a_seed_that_is_none_is_refused(make, seed):
    with pytest.raises(ValueError, match=r"random_state must be .* cannot be used to seed"):
        make(10, random_state=seed)


@pytest.mark.parametrize("make", [make_reflection, make_spirals])
@pytest.mark.parametrize(
    "noise", [-0.1, math.nan, math.inf, 1e308, 10**400, "much", None, True, [0.1], 1j]
)
def test_noise_that_is_no_standard_deviation_is_refused(make, noise):
    message = f"noise must be at least 0 and no more than 1e+100, got {noise!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        make(noise=noise)


@pytest.mark.parametrize("n_features", [1, 2, 5])
def test_the_radii_are_distributed_by_volume(n_features):
    X, y = make_spheres(4000, n_features=n_features, random_state=0)
    volumes = np.linalg.norm(X, axis=1) ** n_features
    for label, inner, outer in [(0, 0.0, 0.5), (1, 1.0, 1.5)]:
        lowest, highest = inner**n_features, outer**n_features
        shares = (volumes[y == label] - lowest) / (highest - lowest)
        assert shares.min() > -1e-12
        assert shares.max() < 1 + 1e-12
        assert is_distributed(shares, "uniform")


def test_no_direction_is_preferred():
    X, _ = make_spheres(4000, random_state=0)
    assert is_distributed(np.arctan2(X[:, 1], X[:, 0]) / (2 * np.pi) + 0.5, "uniform")


def test_a_coordinate_of_directions_in_space_is_uniform():
    # Archimedes: the area of a zone of the sphere is proportional to its height.
    X, _ = make_spheres(4000, n_features=3, random_state=0)
    for coordinate in (X / np.linalg.norm(X, axis=1, keepdims=True)).T:
        assert is_distributed((coordinate + 1) / 2, "uniform")


def test_half_the_points_lie_in_the_ball_in_random_order():
    for n_samples in (1, 2, 7, 100):
        _, y = make_spheres(n_samples, random_state=0)
        assert (y == 0).sum() == n_samples // 2
        assert (y == 1).sum() == n_samples - n_samples // 2
    assert 0 < y[:50].sum() < 50


def test_many_dimensions_do_not_overflow():
    X, y = make_spheres(100, n_features=5000, radii=(2.0, 3.0, 4.0), random_state=0)
    radii = np.linalg.norm(X, axis=1)
    assert (radii[y == 0] <= 2 + 1e-12).all()
    assert (radii[y == 0] > 1.99).all()
    assert (radii[y == 1] > 3.98).all()
    assert (radii[y == 1] <= 4 + 1e-12).all()


@pytest.mark.parametrize(
    "radii",
    [
        (0.5, 1.0),
        (1, 2, 3, 4),
        (0, 1, 2),
        (1, 1, 2),
        (1, 3, 2),
        (1, 2, math.inf),
        (1, 2, 10**400),
        (1, 2, "3"),
        (1, 2, 3j),
        [[1, 2, 3]],
        [[1], [2, 3]],
        [True] * 3,
        {1, 2, 3},
        "abc",
        1,
        None,
    ],
)
def test_radii_that_do_not_make_a_ball_and_a_shell_are_refused(radii):
    message = f"radii must be three positive numbers in increasing order, got {radii!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        make_spheres(radii=radii)


def test_no_more_numbers_are_drawn_than_memory_holds():
    with pytest.raises(ValueError, match=r"n_features must be .* no more than 100,000, got 100001"):
        make_spheres(1000, n_features=100_001)


def test_a_ball_without_dimensions_is_refused():
    with pytest.raises(ValueError, match=r"n_features must be a positive integer, .*, got 0"):
        make_spheres(n_features=0)


def test_the_reflection_changes_the_sign_exactly():
    X, y = make_reflection(101, random_state=0)
    assert X.shape == (101, 1)
    np.testing.assert_array_equal(y, -X[:, 0])


def test_the_numbers_are_normal_about_minus_one_and_one():
    X, _ = make_reflection(4001, noise=0.2, random_state=0)
    for center, n_samples in [(-1, 2000), (1, 2001)]:
        side = X[np.sign(X) == center]
        assert len(side) == n_samples
        assert is_distributed((side - center) / 0.2, "norm")


def test_without_noise_only_two_numbers_are_reflected():
    X, _ = make_reflection(10, noise=0, random_state=0)
    assert set(X.ravel()) == {-1.0, 1.0}


@pytest.mark.parametrize(("n_classes", "turns"), [(1, 1.0), (2, 1.0), (3, 2.5)])
def test_the_points_lie_on_spirals_that_a_rotation_maps_to_each_other(n_classes, turns):
    X, y = make_spirals(600, n_classes=n_classes, turns=turns, random_state=0)
    points = X @ [1, 1j]
    radius = np.abs(points)
    assert radius.max() < 1
    first = points * np.exp(-2j * np.pi * y / n_classes)
    np.testing.assert_allclose(first, radius * np.exp(2j * np.pi * turns * radius), atol=1e-13)


def test_the_squares_of_the_distances_from_the_origin_are_uniform():
    X, y = make_spirals(4000, random_state=0)
    for label in (0, 1):
        assert is_distributed((X[y == label] ** 2).sum(axis=1), "uniform")


def test_the_noise_of_spirals_is_normal_in_both_coordinates():
    X, _ = make_spirals(2000, random_state=0)
    noisy, _ = make_spirals(2000, noise=0.3, random_state=0)
    for noise in (noisy - X).T:
        assert is_distributed(noise / 0.3, "norm")


def test_the_spirals_share_the_points_as_evenly_as_can_be():
    _, y = make_spirals(1000, n_classes=7, random_state=0)
    assert set(np.bincount(y)) == {142, 143}


@pytest.mark.parametrize("turns", [0, -1.0, math.nan, 1e308, 10**400, True, None, "one"])
def test_spirals_that_do_not_turn_are_refused(turns):
    message = f"turns must be positive and no more than 1e+100, got {turns!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        make_spirals(turns=turns)


@pytest.mark.parametrize("n_classes", [0, 2.0, True, None, "two", [2], 10**9, 10**400])
def test_spirals_of_no_class_are_refused(n_classes):
    with pytest.raises(ValueError, match="n_classes must be a positive integer, and no more"):
        make_spirals(n_classes=n_classes)


DAMPINGS = [0.0, 0.1, 1.3, *(1.7 * (1 + e) for e in (-1e-6, -1e-13, 0, 1e-13, 1e-6)), 2.0, 9.0]


@pytest.mark.parametrize("damping", DAMPINGS)
def test_the_oscillator_moves_by_the_exponential_of_its_matrix(damping):
    times, start = np.linspace(0, 10, 41), (0.7, -1.1)
    matrix = np.array([[0, 1], [-(1.7**2), -2 * damping]])
    exact = expm(times[:, np.newaxis, np.newaxis] * matrix) @ start
    states = damped_oscillator(times, start, frequency=1.7, damping=damping)
    np.testing.assert_allclose(states, exact, rtol=0, atol=1e-12)


def test_an_undamped_oscillator_is_a_cosine_for_a_thousand_periods():
    times = np.linspace(0, 1000, 12_345)
    states = damped_oscillator(times, frequency=2 * np.pi, damping=0)
    phase = 2 * np.pi * times
    exact = np.stack([np.cos(phase), -2 * np.pi * np.sin(phase)], axis=1)
    np.testing.assert_allclose(states, exact, rtol=0, atol=1e-11)


def test_critical_damping_is_approached_to_the_last_digits():
    times = np.linspace(0, 20, 50)
    exact = np.stack([(1 + times) * np.exp(-times), -times * np.exp(-times)], axis=1)
    for damping in (1 - 1e-15, 1.0, 1 + 1e-15):
        states = damped_oscillator(times, frequency=1, damping=damping)
        np.testing.assert_allclose(states, exact, rtol=1e-12, atol=1e-15)


def test_strong_damping_neither_overflows_nor_loses_the_slow_motion():
    slow = 1 / (1e6 + math.sqrt(1e12 - 1))
    times = np.array([0.0, 1.0, 1e3, 1e6, 1e9])
    states = damped_oscillator(times, (1.0, -slow), frequency=1, damping=1e6)
    exact = np.exp(-slow * times)
    np.testing.assert_allclose(states[:, 0], exact, rtol=1e-11)
    np.testing.assert_allclose(states[:, 1], -slow * exact, rtol=1e-9)


@pytest.mark.parametrize("frequency", [1e-100, 1.0, 1e100])
@pytest.mark.parametrize("damping", [0, 1e-100, 1.0, 1e100])
def test_an_oscillator_overflows_for_no_numbers_that_are_allowed(frequency, damping):
    times, start = [0.0, 1e-100, 1.0, 1e100], (1e100, -1e100)
    assert np.isfinite(damped_oscillator(times, start, frequency=frequency, damping=damping)).all()


@pytest.mark.parametrize("index", [0, 1, 5])
def test_a_polytrope_overflows_for_no_distance_that_is_allowed(index):
    assert np.isfinite(lane_emden([0.0, 1e-100, 1e100], index)).all()


@pytest.mark.parametrize("make", GENERATORS)
def test_numbers_of_numpy_are_as_good_as_those_of_python(make):
    X, y = make(np.int8(100), random_state=np.uint32(3))
    np.testing.assert_array_equal(X, make(100, random_state=3)[0])
    assert len(y) == 100


@pytest.mark.parametrize("times", [(0, 2), np.float16([0, 2]), np.uint8([0, 2]), [np.int64(0), 2]])
def test_times_may_be_numbers_of_any_kind(times):
    np.testing.assert_array_equal(lane_emden(times, 1), lane_emden([0.0, 2.0], 1))


@pytest.mark.parametrize("solution", [damped_oscillator, lotka_volterra])
def test_the_states_do_not_depend_on_the_order_of_the_times(solution):
    times = np.array([2.0, 0.0, 3.5, 1.0])
    order = np.argsort(times)
    np.testing.assert_array_equal(solution(times)[order], solution(times[order]))


@pytest.mark.parametrize(
    ("solution", "start"), [(damped_oscillator, (1.0, 0.0)), (lotka_volterra, (10.0, 5.0))]
)
def test_the_state_at_time_zero_is_the_start(solution, start):
    for times in ([0.0], [0.0, 0.0], [0.0, 2.0]):
        states = solution(times)
        assert states.shape == (len(times), 2)
        np.testing.assert_allclose(states[0], start, rtol=1e-15)


SOLUTIONS = {
    "times": damped_oscillator,
    "xi": lambda xi: lane_emden(xi, 1),
}


@pytest.mark.parametrize("name", SOLUTIONS)
@pytest.mark.parametrize(
    "values",
    [
        [],
        1.0,
        "0",
        [[0.0]],
        [[0.0], [1.0, 2.0]],
        [0, -1],
        [math.nan],
        [math.inf],
        [1e101],
        [10**400],
        ["a"],
        ["0"],
        [None],
        [True],
        [1j],
        {},
        np.array(["2020"], dtype="M8[D]"),
        None,
    ],
)
def test_times_that_are_none_are_refused(name, values):
    message = f"{name} must be a row of finite numbers, none below 0 and none above 1e+100, got "
    with pytest.raises(ValueError, match=re.escape(f"{message}{values!r}")):
        SOLUTIONS[name](values)


def test_predators_and_prey_solve_their_equations():
    times = np.linspace(0, 10, 21)
    rates = {"growth": 1.1, "predation": 0.4, "conversion": 0.1, "death": 0.4}

    def field(t, state):
        x, y = state
        return [1.1 * x - 0.4 * x * y, 0.1 * x * y - 0.4 * y]

    states = lotka_volterra(times, (8.0, 3.0), **rates)
    np.testing.assert_allclose(states, solved(field, times, (8.0, 3.0)), rtol=1e-10)


def test_predators_and_prey_conserve_their_quantity():
    x, y = lotka_volterra(np.linspace(0, 100, 1001)).T
    conserved = 0.075 * x - 1.5 * np.log(x) + 0.1 * y - np.log(y)
    assert np.ptp(conserved) < 1e-11


def test_small_orbits_have_the_period_of_the_linear_equations():
    equilibrium, deviation = np.array([20.0, 10.0]), np.array([2e-5, 0.0])
    period = 2 * np.pi / math.sqrt(1.0 * 1.5)
    half, whole = lotka_volterra([period / 2, period], equilibrium + deviation)
    np.testing.assert_allclose(half - equilibrium, -deviation, atol=1e-9)
    np.testing.assert_allclose(whole - equilibrium, deviation, atol=1e-9)


def test_the_equilibrium_stays():
    states = lotka_volterra([0, 10, 100], (20.0, 10.0))
    np.testing.assert_allclose(states, [[20, 10]] * 3, rtol=1e-12)


def test_a_solve_of_ages_is_given_up(monkeypatch):
    monkeypatch.setattr(datasets, "MOST_EVALUATIONS", 1000)
    with pytest.raises(SolverError, match=r"stopped at t=\d.* of 1e\+100 after 1,000 evaluations"):
        lotka_volterra([1e100])


def test_numbers_out_of_range_name_the_equilibrium():
    with pytest.raises(SolverError, match=r"nearer to the equilibrium \(20, 10\), got start=\(1e"):
        lotka_volterra([1.0], (1e300, 1.0))


@pytest.mark.parametrize("start", [(1, 0), (-1, 1), (1, math.inf), (1, 2, 3), 1])
def test_a_start_without_prey_or_predators_is_refused(start):
    message = f"start must be two positive numbers, got {start!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        lotka_volterra([1.0], start)


@pytest.mark.parametrize("start", [(1, math.nan), (1, 2, 3), 1, "ab", ("1", "2"), (1, 1e300), 1j])
def test_a_start_that_is_no_position_and_velocity_is_refused(start):
    with pytest.raises(
        ValueError,
        match=re.escape(f"start must be two numbers, from -1e+100 to 1e+100, got {start!r}"),
    ):
        damped_oscillator([1.0], start)


@pytest.mark.parametrize("rate", ["growth", "predation", "conversion", "death"])
def test_rates_that_are_not_positive_are_refused(rate):
    with pytest.raises(ValueError, match=f"{rate} must be positive and no more than .*, got 0"):
        lotka_volterra([1.0], **{rate: 0})


def test_an_oscillator_without_frequency_or_with_driving_is_refused():
    with pytest.raises(ValueError, match=r"frequency must be positive and no more than .*, got 0"):
        damped_oscillator([1.0], frequency=0)
    with pytest.raises(ValueError, match=r"damping must be at least 0 and no more .*, got -0\.1"):
        damped_oscillator([1.0], damping=-0.1)


@pytest.mark.parametrize("index", [0, 1, 5])
def test_a_polytrope_solves_the_lane_emden_equation(index):
    xi = np.linspace(0.5, 3.0, 26)
    states = lane_emden(xi, index)
    # The equation of n = 0 holds beyond the surface as well, which for n = 1 lies at π.
    solution = solved(lambda xi, s: [s[1], -2 / xi * s[1] - s[0] ** index], xi, states[0])
    np.testing.assert_allclose(states, solution, rtol=0, atol=1e-11)


@pytest.mark.parametrize("index", [0, 1, 5])
def test_a_polytrope_is_exact_near_the_centre(index):
    xi = np.concatenate([[0.0], np.logspace(-12, -2, 50)])
    # The power series of θ; the next term is less than 1e-13 of the slope.
    quartic = index / 120
    sextic = -index * (8 * index - 5) / 15120
    theta = 1 - xi**2 / 6 + quartic * xi**4 + sextic * xi**6
    slope = xi * (-1 / 3 + 4 * quartic * xi**2 + 6 * sextic * xi**4)
    states = lane_emden(xi, index)
    np.testing.assert_allclose(states[:, 0], theta, rtol=1e-15)
    np.testing.assert_allclose(states[:, 1], slope, rtol=1e-12)


def test_a_star_has_its_known_surface():
    np.testing.assert_allclose(lane_emden([math.sqrt(6)], 0)[0], [0, -math.sqrt(6) / 3], atol=1e-15)
    np.testing.assert_allclose(lane_emden([math.pi], 1)[0], [0, -1 / math.pi], atol=1e-15)


@pytest.mark.parametrize(
    "index", [3, 1.5, 1.0, -1, True, "1", None, [0], 10**400, math.nan, np.arange(2)]
)
def test_a_polytrope_without_closed_form_is_refused(index):
    message = f"index={index!r} has no closed form; choose from [0, 1, 5]"
    with pytest.raises(ValueError, match=re.escape(message)):
        lane_emden([1.0], index)


def small_data():
    """Return five images for training and three for the test."""
    rng = np.random.default_rng(0)
    return ImageData(
        rng.integers(0, 256, (5, 28, 28), dtype=np.uint8),
        rng.integers(0, 10, 5),
        rng.integers(0, 256, (3, 28, 28), dtype=np.uint8),
        rng.integers(0, 10, 3),
    )


def idx(array):
    """Return the bytes of an IDX file."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_folder(folder, data, separator="-", compressed=False):
    """Write the four files of MNIST."""
    names = ("train-images", "train-labels", "t10k-images", "t10k-labels")
    for name, array in zip(names, data, strict=True):
        content = gzip.compress(idx(array)) if compressed else idx(array)
        end = ".gz" if compressed else ""
        (folder / f"{name}{separator}idx{array.ndim}-ubyte{end}").write_bytes(content)


def assert_loads(path, data):
    """Load and compare values and types."""
    loaded = load_mnist(path)
    assert isinstance(loaded, ImageData)
    for array, expected in zip(loaded, data, strict=True):
        np.testing.assert_array_equal(array, expected)
        assert array.flags.writeable
    assert [array.dtype for array in loaded] == [np.uint8, np.int64] * 2


@pytest.mark.parametrize("separator", ["-", "."])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_folder_gives_back_what_was_written(tmp_path, separator, compressed):
    write_folder(tmp_path, small_data(), separator, compressed)
    assert_loads(tmp_path, small_data())
    assert_loads(str(tmp_path), small_data())


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("spelled", [str, str.lower])
@pytest.mark.parametrize("flat", [False, True])
def test_a_file_of_arrays_gives_back_what_was_written(tmp_path, save, spelled, flat):
    arrays = dict(zip(map(spelled, FIELDS), small_data(), strict=True))
    if flat:
        arrays = {name: array.reshape(len(array), -1).squeeze() for name, array in arrays.items()}
    save(tmp_path / "digits.npz", classes=np.array(["a", "b"]), **arrays)
    assert_loads(tmp_path / "digits.npz", small_data())


def test_a_missing_file_is_named_with_the_names_looked_for(tmp_path):
    write_folder(tmp_path, small_data())
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="t10k-labels-idx1-ubyte is missing in") as raised:
        load_mnist(tmp_path)
    for name in (
        "t10k-labels-idx1-ubyte.gz",
        "t10k-labels.idx1-ubyte",
        "t10k-labels.idx1-ubyte.gz",
    ):
        assert f"'{name}'" in str(raised.value)


@pytest.mark.parametrize("path", [5, None, b"digits.npz", ["digits.npz"]])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(TypeError, match="path must be a str or a path, got"):
        load_mnist(path)


def test_a_path_to_nothing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"neither a folder nor a file .*nothing\.npz"):
        load_mnist(tmp_path / "nothing.npz")


@pytest.mark.parametrize(
    ("start", "found"),
    [
        (b"\0\0\x08\x01", "00 00 08 01"),  # one dimension
        (b"\0\0\x0d\x03", "00 00 0d 03"),  # floats
        (b"\x1f\x8b\x08\x08", "1f 8b 08 08"),  # compressed
    ],
)
def test_an_idx_file_of_something_else_is_named(tmp_path, start, found):
    write_folder(tmp_path, small_data())
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(start + path.read_bytes()[4:])
    message = f"{path} must start with the bytes 00 00 08 03, for unsigned bytes in 3 dim"
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        load_mnist(tmp_path)
    assert str(raised.value).endswith(f"got {found}")


def test_no_part_of_an_idx_file_passes_for_it(tmp_path):
    write_folder(tmp_path, small_data())
    path = tmp_path / "t10k-labels-idx1-ubyte"
    data = path.read_bytes()
    for n in range(len(data)):
        path.write_bytes(data[:n])
        with pytest.raises(ValueError, match=rf"{re.escape(str(path))} must (start|hold)"):
            load_mnist(tmp_path)
    path.write_bytes(data + b"\0")
    with pytest.raises(ValueError, match="must hold 11 bytes by its header, got 12"):
        load_mnist(tmp_path)


def damaged(data):
    """Return a compressed file with a byte changed in the middle."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"no gzip" + data, damaged]
)
def test_a_compressed_file_that_is_damaged_is_named(tmp_path, damage):
    write_folder(tmp_path, small_data(), compressed=True)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=re.escape(f"{path} cannot be decompressed: ")):
        load_mnist(tmp_path)


def test_a_file_that_is_no_archive_is_named(tmp_path):
    np.save(tmp_path / "digits.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"digits\.npy is not an \.npz file, or it is truncated"):
        load_mnist(tmp_path / "digits.npy")


def test_an_archive_that_is_damaged_is_named(tmp_path):
    path = tmp_path / "digits.npz"
    np.savez_compressed(path, **small_data()._asdict())
    path.write_bytes(damaged(path.read_bytes()))
    with pytest.raises(ValueError, match=re.escape(f"{path} cannot be loaded: ")):
        load_mnist(path)


def test_objects_are_not_unpickled(tmp_path):
    path = tmp_path / "digits.npz"
    arrays = {**small_data()._asdict(), "y_test": np.array([1, None, 2])}
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"cannot be loaded: .*allow_pickle=False"):
        load_mnist(path)


def test_an_archive_of_other_arrays_lists_them(tmp_path):
    np.savez(tmp_path / "digits.npz", X=np.zeros(3), y=np.zeros(3))
    with pytest.raises(ValueError, match=r"must hold the arrays .*'x_test'.*, got \['X', 'y'\]"):
        load_mnist(tmp_path / "digits.npz")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("X_train", np.zeros((5, 28, 28)), "images in the training set of .* got float64"),
        ("X_train", np.zeros((5, 32, 32), np.uint8), r"got uint8 of shape \(5, 32, 32\)"),
        ("X_test", np.zeros((3, 783), np.uint8), r"images in the test set of .* \(3, 783\)"),
        ("y_train", np.zeros(5), "labels in the training set of .* got float64"),
        ("y_test", np.zeros(5, int), r"integers of shape \(3,\), one for each .* \(5,\)"),
        ("y_test", np.zeros((3, 10), int), r"labels in the test set of .* \(3, 10\)"),
    ],
)
def test_arrays_that_are_no_images_and_labels_are_refused(tmp_path, name, array, message):
    np.savez(tmp_path / "digits.npz", **{**small_data()._asdict(), name: array})
    with pytest.raises(ValueError, match=message):
        load_mnist(tmp_path / "digits.npz")

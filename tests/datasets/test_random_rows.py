"""Random rows: distributed as they should be, seeded, and refused where they make no sense."""

import math
import re

import numpy as np
import pytest
from scipy.stats import kstest

from sknode.datasets import make_reflection, make_spheres, make_spirals

GENERATORS = [make_spheres, make_reflection, make_spirals]


def is_distributed(sample, distribution):
    """Say whether a Kolmogorov-Smirnov test finds nothing against a distribution."""
    return kstest(sample, distribution).pvalue > 0.01


@pytest.mark.parametrize("make", GENERATORS)
def test_a_seed_gives_the_same_rows_again_and_another_seed_others(make):
    X, y = make(50, random_state=3)
    again = make(50, random_state=np.random.RandomState(3))
    other = make(50, random_state=4)
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
        lowest = inner**n_features
        highest = outer**n_features
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


@pytest.mark.parametrize("make", GENERATORS)
def test_numbers_of_numpy_are_as_good_as_those_of_python(make):
    X, y = make(np.int8(100), random_state=np.uint32(3))
    np.testing.assert_array_equal(X, make(100, random_state=3)[0])
    assert len(y) == 100

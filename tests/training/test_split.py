"""Which rows are held back to validate by."""

import math

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_iris

from sknode import NODEClassifier, NODERegressor
from sknode.training.split import held_back, n_distinct

rng = np.random.default_rng(0)
X = rng.normal(size=(200, 3))
Y = rng.normal(size=200)


def test_so_many_are_held_back_as_asked():
    for fraction in (0.001, 0.1, 0.333, 0.5, 0.999):
        n = held_back(X, Y, None, fraction, 0).sum()
        assert n == min(math.ceil(200 * fraction), 199)


def test_every_class_has_its_share():
    y = np.repeat([0, 1, 2], [100, 40, 60])
    held = held_back(X, y, y, 0.1, 0)[:, 0]
    np.testing.assert_array_equal(np.bincount(y[held]), [10, 4, 6])


@pytest.mark.parametrize("y", [np.arange(30), np.r_[np.zeros(29, int), 1], np.arange(30) // 4])
@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.4])
def test_classes_too_small_to_share_are_split_all_the_same(y, fraction):
    held = held_back(X[:30], y, y, fraction, 0)[:, 0]
    assert held.sum() == math.ceil(30 * fraction)
    shares = np.bincount(y[held], minlength=y.max() + 1)
    assert (abs(shares - fraction * np.bincount(y)) <= 1).all()


def test_the_choice_depends_on_the_seed_and_covers_all_rows():
    times = sum(held_back(X, Y, None, 0.2, seed).astype(int) for seed in range(500))
    # Binomial, 100 ± 9.
    assert 50 < times.min() <= times.max() < 150
    assert times.mean() == 100


def test_the_order_and_the_form_of_the_rows_do_not_matter():
    held = held_back(X, Y, None, 0.2, 0)
    order = rng.permutation(200)
    np.testing.assert_array_equal(held_back(X[order], Y[order], None, 0.2, 0), held[order])
    thin = np.where(X > 0, X, 0)
    expected = held_back(thin, Y, None, 0.2, 0)
    for form in (np.asfortranarray, sparse.csr_array, sparse.csr_matrix):
        np.testing.assert_array_equal(held_back(form(thin), Y, None, 0.2, 0), expected)
    np.testing.assert_array_equal(held_back(np.where(X > 0, X, -0.0), Y, None, 0.2, 0), expected)


def test_the_unit_of_the_targets_does_not_matter():
    held = held_back(X, Y, None, 0.2, 0)
    np.testing.assert_array_equal(held_back(X, 1e300 * Y + 1, None, 0.2, 0), held)
    names = np.array(["a", "b", "c"])[np.arange(200) % 3]
    codes = np.arange(200) % 3
    np.testing.assert_array_equal(
        held_back(X, names, codes, 0.2, 0), held_back(X, codes, codes, 0.2, 0)
    )


def test_equal_rows_are_on_the_same_side():
    repeats = rng.integers(1, 5, 200)
    held = held_back(X, Y, None, 0.2, 0)
    many = held_back(X.repeat(repeats, 0), Y.repeat(repeats), None, 0.2, 0)
    np.testing.assert_array_equal(many, held.repeat(repeats, 0))


@pytest.mark.parametrize(("n_members", "fraction"), [(1, 0.1), (4, 0.1), (10, 0.1), (3, 0.3)])
def test_members_do_without_different_rows(n_members, fraction):
    held = held_back(X, Y, None, fraction, 0, n_members)
    assert held.shape == (200, n_members)
    np.testing.assert_array_equal(held.sum(0), 200 * fraction)
    assert held.sum(1).max() == 1
    np.testing.assert_array_equal(held[:, :1], held_back(X, Y, None, fraction, 0))


@pytest.mark.parametrize(("n_members", "fraction"), [(4, 0.4), (16, 0.1), (3, 0.999), (2, 0.5)])
def test_where_members_must_share_rows_all_rows_are_held_back_nearly_equally_often(
    n_members, fraction
):
    held = held_back(X, Y, None, fraction, 0, n_members)
    np.testing.assert_array_equal(held.sum(0), min(math.ceil(200 * fraction), 199))
    assert np.ptp(held.sum(1)) <= 1


def test_every_member_has_rows_of_every_class_held_back():
    y = np.repeat([0, 1, 2], [100, 40, 60])
    held = held_back(X, y, y, 0.1, 0, 4)
    for member in held.T:
        np.testing.assert_array_equal(np.bincount(y[member]), [10, 4, 6])


def test_distinct_rows_are_counted():
    repeats = rng.integers(1, 5, 200)
    assert n_distinct(X.repeat(repeats, 0), Y.repeat(repeats)) == 200
    assert n_distinct(np.zeros((9, 2)), np.arange(9) // 3) == 3
    assert n_distinct(sparse.csr_array(X), np.stack([Y, Y], 1)) == 200


def test_few_distinct_rows_however_often_repeated_are_not_held_back():
    X = np.repeat(np.arange(8.0), 40).reshape(-1, 1)
    quick = {"max_epochs": 1, "random_state": 0}
    history = NODEClassifier(**quick).fit(X, X[:, 0] > 3).history_
    assert "validation_loss" not in history[0]
    history = NODERegressor(**quick).fit(X, np.arange(320.0)).history_
    assert "validation_loss" in history[0]


def test_rows_of_small_integers_are_told_apart():
    grid = np.stack(np.meshgrid(*[np.arange(20.0)] * 3), -1).reshape(-1, 3)
    assert held_back(grid, np.zeros(8000), None, 0.5, 0).sum() == 4000


def test_rows_with_different_targets_are_different_rows():
    held = held_back(np.zeros((10, 1)), np.arange(10.0), None, 0.3, 0)
    assert held.sum() == 3


@pytest.mark.parametrize("n", [1, 7])
def test_a_table_of_one_row_cannot_be_split(n):
    message = rf"two distinct rows, got n_samples={n} and 1 distinct; set early_stopping=False"
    with pytest.raises(ValueError, match=message):
        NODERegressor(early_stopping=True).fit(np.ones((n, 2)), np.ones(n))


def test_weights_count_as_repetitions_with_early_stopping_too():
    X, y = load_iris(return_X_y=True)
    weight = np.arange(150) % 3
    model = NODEClassifier(
        early_stopping=True, batch_size=1000, dtype="float64", random_state=0, max_epochs=20
    )
    weighted = model.fit(X, y, sample_weight=weight).predict_proba(X)
    repeated = model.fit(X.repeat(weight, 0), y.repeat(weight)).predict_proba(X)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-7)

import numpy as np
import pytest
from scipy import sparse
from sklearn.preprocessing import RobustScaler, StandardScaler

from sknode import NODEClassifier, NODERegressor
from sknode.training.scaling import CLIP, SCALINGS, Scaling
from tests.problems import CLASSICAL

QUICK = {**CLASSICAL, "hidden_layer_sizes": (4,), "max_epochs": 2, "random_state": 0}


def table(n=201, seed=0):
    return np.random.default_rng(seed).normal(3, [1, 10, 0.1], (n, 3))


def test_standard_scaling_is_that_of_scikit_learn():
    X = table()
    found = SCALINGS["standard"](X, None, "X").apply(X)
    np.testing.assert_allclose(found, StandardScaler().fit_transform(X), atol=1e-12)


def test_robust_scaling_is_that_of_scikit_learn_then_clipped():
    X = table()  # of 201 rows the quartiles are rows themselves
    scaled = RobustScaler().fit_transform(X)
    found = SCALINGS["robust"](X, None, "X").apply(X)
    np.testing.assert_allclose(found, scaled / np.sqrt(1 + (scaled / CLIP) ** 2), atol=1e-12)


def test_no_scaling_leaves_everything_as_it_is():
    X = table()
    np.testing.assert_array_equal(SCALINGS[None](X, None, "X").apply(X), X)


@pytest.mark.parametrize("kind", list(SCALINGS))
def test_a_row_of_weight_n_scales_as_n_rows_do(kind):
    X, weight = table(40), np.random.default_rng(1).integers(1, 5, 40)
    weighted = SCALINGS[kind](X, weight / weight.max(), "X")
    repeated = SCALINGS[kind](np.repeat(X, weight, axis=0), None, "X")
    np.testing.assert_allclose(weighted.center, repeated.center, rtol=1e-12)
    np.testing.assert_allclose(weighted.scale, repeated.scale, rtol=1e-12)


def test_quartiles_that_weights_reach_exactly_are_those_of_repeated_rows():
    X = np.arange(8.0)[:, None]
    for factor in (1.0, 1 / 3, 0.1, 1e-300):
        weighted = SCALINGS["robust"](X, np.full(8, factor), "X")
        assert (weighted.center, weighted.scale) == (3.0, 4.0)


def test_where_half_of_a_feature_is_one_value_its_range_takes_over():
    X = np.array([[0.0]] * 9 + [[5.0]])
    assert SCALINGS["robust"](X, None, "X") == Scaling(0.0, 5.0, True)


@pytest.mark.parametrize("kind", ["standard", "robust"])
@pytest.mark.parametrize("value", [0.0, 7.0, -1e30, 1e300])
def test_a_constant_feature_becomes_zero(kind, value):
    X = np.full((10, 1), value)
    np.testing.assert_array_equal(SCALINGS[kind](X, None, "X").apply(X), np.zeros((10, 1)))


def test_clipped_values_stay_in_order_and_below_three():
    scaling = Scaling(np.zeros(1), np.ones(1), clips=True)
    X = np.array([-np.inf, -1e308, -10.0, -0.01, 0.0, 0.01, 10.0, 1e200, np.inf])[:, None]
    found = scaling.apply(X)[:, 0]
    assert (np.diff(found) >= 0).all()
    assert np.abs(found).max() <= CLIP
    assert found[5] == pytest.approx(0.01, rel=1e-5)


def test_sparse_rows_are_standardised_and_clipped():
    X = sparse.random_array((50, 4), density=0.2, rng=np.random.default_rng(0), format="csr")
    expected = SCALINGS["standard"](X.toarray(), None, "X")
    found = SCALINGS["robust"](X, None, "X")
    np.testing.assert_allclose(found.center, expected.center)
    np.testing.assert_allclose(found.scale, expected.scale)
    assert found.clips


def test_a_row_far_beyond_all_others_can_be_predicted_where_scaling_is_robust():
    X, y = table(), table()[:, 0]
    model = NODERegressor(**{**QUICK, "scaling": "robust"}).fit(X, y)
    far = model.predict(np.full((1, 3), 1e300))
    assert np.isfinite(far).all()
    np.testing.assert_allclose(far, model.predict(np.full((1, 3), 1e30)), rtol=1e-6)


def test_periodic_functions_are_made_of_features_with_more_than_two_values():
    X = np.column_stack([table(), np.arange(201) % 2, np.arange(201) % 3, np.ones(201)])
    model = NODEClassifier(**{**QUICK, "lift": "periodic"}).fit(X, np.arange(201) % 2)
    assert model.periodic_features_.tolist() == [0, 1, 2, 4]
    assert model.net_.module_.lift.frequencies.shape == (4, 16)


@pytest.mark.parametrize("n_members", [1, 2])
def test_a_table_of_zeros_and_ones_has_no_periodic_functions(n_members):
    X = np.array([[0, 1], [1, 0], [1, 1], [0, 0]] * 5)
    model = NODEClassifier(**{**QUICK, "lift": "periodic", "n_members": n_members})
    assert model.fit(X, X[:, 0]).predict(X).shape == (20,)
    assert model.periodic_features_.size == 0

"""scikit-learn's own checks, over the default estimators and what changes their computation."""

from itertools import product

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sknode import NODEClassifier, NODERegressor

# Small and quickly trained, since the checks fit each configuration about a hundred times.
QUICK = {"hidden_layer_sizes": (8,), "max_epochs": 8, "learning_rate": 0.1}

CONFIGURATIONS = [
    {"solver": solver, "adjoint": adjoint, "time_dependent": time, "augment_dim": augment}
    for solver, adjoint, time, augment in product(
        ("dopri5", "tsit5", "bosh3", "rk4", "euler"),
        ("discrete", "continuous"),
        (False, True),
        (0, 3),
    )
]


@parametrize_with_checks([NODEClassifier(), NODERegressor()])
def test_the_defaults_keep_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@parametrize_with_checks(
    [
        estimator(**QUICK, **configuration)
        for configuration in CONFIGURATIONS
        for estimator in (NODEClassifier, NODERegressor)
    ]
)
def test_every_configuration_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", [NODEClassifier(), NODERegressor()])
def test_results_are_not_declared_random_or_poor(estimator):
    tags = estimator.__sklearn_tags__()
    assert not tags.non_deterministic
    part = tags.classifier_tags or tags.regressor_tags
    assert not part.poor_score

"""scikit-learn's own checks, over the default estimators and what changes their computation."""

import os
from itertools import product

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sknode import (
    NODEClassifier,
    NODEImageClassifier,
    NODERegressor,
    ResNetClassifier,
    ResNetImageClassifier,
    ResNetRegressor,
    preset,
)
from tests.problems import CLASSICAL

# Small and quickly trained, since the checks fit each configuration about a hundred times.
QUICK = {**CLASSICAL, "hidden_layer_sizes": (8,), "max_epochs": 8, "learning_rate": 0.1}

CONFIGURATIONS = [
    {"solver": solver, "adjoint": adjoint, "time_dependent": time, "augment_dim": augment}
    for solver, adjoint, time, augment in product(
        ("dopri5", "tsit5", "bosh3", "rk4", "euler"),
        ("discrete", "continuous"),
        (False, True),
        (0, 3),
    )
]


# "accurate" takes some minutes: it is checked by `make fuzz`.
PRESETS = ("fast", "accurate") if "SKNODE_FUZZ" in os.environ else ("fast",)

TRAININGS = [
    NODEClassifier(**QUICK, early_stopping=True),
    NODERegressor(**QUICK, early_stopping=True),
    NODEClassifier(**{**QUICK, "schedule": "one_cycle", "gradient_clip": 1.0}, label_smoothing=0.1),
    NODERegressor(**{**QUICK, "schedule": "cosine"}),
    NODERegressor(**QUICK, loss="absolute_error"),
    NODERegressor(**QUICK, loss="huber"),
    NODERegressor(**QUICK, loss="quantile", quantile=0.5),
    NODERegressor(**{**QUICK, "max_epochs": 20}, loss="poisson"),
]


SHALLOW = {name: value for name, value in QUICK.items() if name in ResNetClassifier().get_params()}
BLOCKS = [
    estimator(**SHALLOW, shared_weights=shared)
    for shared in (False, True)
    for estimator in (ResNetClassifier, ResNetRegressor)
]


# The others' defaults take some minutes: they are checked by `make fuzz`.
DEFAULTS = [NODEClassifier(), NODERegressor()]
if "SKNODE_FUZZ" in os.environ:
    DEFAULTS += [
        ResNetClassifier(),
        ResNetRegressor(),
        NODEImageClassifier(),
        ResNetImageClassifier(),
    ]


@parametrize_with_checks(DEFAULTS)
def test_the_defaults_keep_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


LEARNING = {"max_epochs": 8, "learning_rate": 0.1, "batch_size": 128, "early_stopping": False}
IMAGES = [
    NODEImageClassifier(**LEARNING, n_filters=3),
    NODEImageClassifier(**LEARNING, n_filters=3, solver="bosh3", n_steps=1, adjoint="continuous"),
    ResNetImageClassifier(**LEARNING, n_filters=3, n_blocks=2),
]


@parametrize_with_checks(IMAGES)
def test_image_classifiers_keep_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@parametrize_with_checks(BLOCKS)
def test_residual_networks_keep_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@parametrize_with_checks(
    [estimator(**preset(name)) for name in PRESETS for estimator in (NODEClassifier, NODERegressor)]
)
def test_presets_keep_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@parametrize_with_checks(
    [
        estimator(**{**QUICK, **configuration})
        for configuration in CONFIGURATIONS
        for estimator in (NODEClassifier, NODERegressor)
    ]
)
def test_every_configuration_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@parametrize_with_checks(TRAININGS)
def test_every_way_to_train_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", [NODEClassifier(), NODERegressor()])
def test_several_labels_and_several_targets_are_declared_and_so_checked(estimator):
    tags = estimator.__sklearn_tags__()
    if tags.classifier_tags is not None:
        assert tags.classifier_tags.multi_label
    else:
        assert tags.target_tags.multi_output


@pytest.mark.parametrize("estimator", [NODEClassifier(), NODERegressor()])
def test_results_are_not_declared_random_or_poor(estimator):
    tags = estimator.__sklearn_tags__()
    assert not tags.non_deterministic
    part = tags.classifier_tags or tags.regressor_tags
    assert not part.poor_score

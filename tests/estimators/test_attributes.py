"""What a fit leaves in an estimator."""

import inspect

import numpy as np
import pytest

from sknode import NODEClassifier, estimators
from sknode.estimators.attributes import ATTRIBUTES, attributes_of, check_attributes
from sknode.training.scaling import Scaling

CLASSES = [getattr(estimators, name) for name in estimators.__all__]


@pytest.mark.parametrize("estimator", CLASSES)
def test_what_a_fit_leaves_is_in_the_table_and_right(estimator):
    X = np.random.default_rng(0).normal(size=(20, 4))
    model = estimator(max_epochs=1).fit(X, np.arange(20) % 3)
    fitted = {name: value for name, value in vars(model).items() if name.endswith("_")}
    assert fitted.pop("net_")
    check_attributes(estimator, fitted)
    assert set(attributes_of(estimator)) - set(fitted) == {"feature_names_in_"}


def test_every_annotated_attribute_is_in_the_table():
    annotated = {
        name
        for estimator in CLASSES
        for base in estimator.__mro__
        if base.__module__.startswith("sknode")
        for name in inspect.get_annotations(base)
        if name.endswith("_")
    }
    assert annotated - {"net_"} == set(ATTRIBUTES)


EPOCH = {
    "epoch": 1, "loss": 0.5, "nfe_forward": 4.0, "nfe_backward": 4.0, "accepted_steps": 1.0,
    "rejected_steps": 0.0, "learning_rate": 0.01, "retries": 0, "seconds": 0.1,
}  # fmt: skip
NAN = float("nan")
RIGHT = {
    "n_features_in_": 3,
    "scaling_": Scaling(np.zeros(3), np.ones(3), clips=True),
    "periodic_features_": np.array([0, 2]),
    "classes_": np.array(["a", "b", "c"]),
    "target_type_": "multiclass",
    "history_": [EPOCH, {**EPOCH, "epoch": 2, "validation_loss": np.inf, "validation_score": NAN}],
    "n_iter_": 2,
    "best_epoch_": 1,
    "loss_": 0.5,
    "n_parameters_": 1,
}
WRONG = {
    "n_features_in_": [0, True, 3.0, "3", 4, None],
    "feature_names_in_": [np.array(["a", "b", "c"]), np.array(["a", "b", 3], object), ["a"] * 3],
    "scaling_": [
        Scaling(np.zeros(3), np.array([1.0, 1.0, 0.0]), clips=True),
        Scaling(np.zeros(3), np.array([1.0, 1.0, -1.0]), clips=True),
        Scaling(np.zeros(3), np.array([1.0, 1.0, np.inf]), clips=True),
        Scaling(np.array([0.0, 0.0, NAN]), np.ones(3), clips=True),
        Scaling(np.zeros(3), np.ones(3), clips=1),
        Scaling(np.zeros(3), np.ones((3, 1)), clips=True),
        Scaling(np.zeros(3), np.ones(3, np.float32), clips=True),
        Scaling([0.0] * 3, [1.0] * 3, clips=True),
        (np.zeros(3), np.ones(3), True),
    ],
    "periodic_features_": [
        np.array([2, 0]), np.array([0, 0]), np.array([0, 3]), np.array([-1, 0]), np.array([[0]]),
        np.array([0.0]), np.array([False]), [0],
    ],
    "classes_": [
        np.array(["b", "a", "c"]), np.array(["a", "a", "b"]), np.array([]), np.array([["a"]]),
        np.array([0, 1, NAN]), np.array([(1,), None, "a"], object), ["a", "b"],
    ],
    "target_type_": ["binary", "multilabel-indicator", "continuous", 3, None],
    "history_": [
        [], (), {}, None, [EPOCH, EPOCH], [{**EPOCH, "epoch": 1.0}], [{**EPOCH, "loss": NAN}],
        [{**EPOCH, "loss": "0"}], [{**EPOCH, "loss": True}], [{**EPOCH, "more": 1.0}],
        [{name: value for name, value in EPOCH.items() if name != "seconds"}],
        [{**EPOCH, "validation_score": None}],
    ],
    "n_iter_": [1, 3, 2.0, True],
    "best_epoch_": [0, 3, 1.0, True],
    "loss_": [0.25, NAN, "0.5"],
    "n_parameters_": [0, -1, 1.0],
}  # fmt: skip


def test_what_is_right_is_not_refused():
    check_attributes(NODEClassifier, RIGHT)
    labels = {"classes_": np.arange(3), "target_type_": "multilabel-indicator"}
    check_attributes(NODEClassifier, {**RIGHT, **labels})
    names = {"feature_names_in_": np.array(["a", "b", "a"], object)}
    check_attributes(NODEClassifier, {**RIGHT, **names})


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(name):
    for value in WRONG[name]:
        with pytest.raises((ValueError, TypeError), match=r"its \w+ must be|len|unhashable"):
            check_attributes(NODEClassifier, {**RIGHT, name: value})


@pytest.mark.parametrize("name", RIGHT)
def test_none_may_be_missing(name):
    less = {key: value for key, value in RIGHT.items() if key != name}
    with pytest.raises(ValueError, match=f"lacks some: \\['{name}'\\]"):
        check_attributes(NODEClassifier, less)


@pytest.mark.parametrize("name", ["net_", "link_", "__class__", "predict"])
def test_none_may_be_there_that_the_class_does_not_fit(name):
    with pytest.raises(ValueError, match=f"not known or lacks some: \\['{name}'\\]"):
        check_attributes(NODEClassifier, {**RIGHT, name: 1})

"""Targets as objects: what members say together, and the way there and back."""

import numpy as np
import pytest
from scipy.special import expit, logit, softmax

from sknode.estimators._numbers import Numbers
from sknode.estimators.classes import TARGET_TYPES, ManyClasses, TwoClasses
from sknode.training.scaling import Scaling

rng = np.random.default_rng(0)
NAMES = np.array(["a", "b", "c"])
# Each row is judged by one member or more.
COUNTS = np.array([[True, True, False, True], [True, False, True, True]])[:, :, np.newaxis]
UNIT = Scaling(np.zeros(2), np.ones(2))


def mean(of_members, counts):
    return np.average(of_members, axis=0, weights=np.broadcast_to(counts, of_members.shape))


@pytest.mark.parametrize("counts", [None, COUNTS])
def test_members_average_their_probabilities(counts):
    weights = np.ones_like(COUNTS) if counts is None else counts
    odds = 3 * rng.normal(size=(2, 4, 1))
    found = TwoClasses(NAMES[:2], 0.0).average(odds, counts)
    np.testing.assert_allclose(found, logit(mean(expit(odds), weights)), atol=1e-12)
    scores = 3 * rng.normal(size=(2, 4, 3))
    found = ManyClasses(NAMES, 0.0).average(scores, counts)
    expected = mean(softmax(scores, axis=2), weights)
    np.testing.assert_allclose(softmax(found, axis=1), expected, atol=1e-12)


@pytest.mark.parametrize("counts", [None, COUNTS])
@pytest.mark.parametrize("link", ["identity", "log"])
def test_members_average_their_predictions(link, counts):
    weights = np.ones_like(COUNTS) if counts is None else counts
    target = Numbers(UNIT, link, "squared_error", None)
    outputs = rng.normal(size=(2, 4, 2))
    found = target.decode(target.average(outputs, counts))
    np.testing.assert_allclose(found, mean(target.mean(outputs), weights), atol=1e-12)


def test_a_single_member_is_taken_at_its_word():
    outputs = rng.normal(size=(1, 4, 3))
    np.testing.assert_array_equal(ManyClasses(NAMES, 0.0).combine(outputs), outputs[0])


@pytest.mark.parametrize("kind", TARGET_TYPES)
def test_probabilities_are_those_of_their_logarithms_and_the_likeliest_class_is_predicted(kind):
    n_classes = 2 if kind == "binary" else 3
    target = TARGET_TYPES[kind](NAMES[:n_classes], 0.0)
    outputs = 3 * rng.normal(size=(20, target.n_outputs))
    probabilities = target.probabilities(outputs)
    assert probabilities.shape == (20, n_classes)
    np.testing.assert_allclose(np.log(probabilities), target.log_probabilities(outputs), atol=1e-12)
    decoded = target.decode(outputs)
    if decoded.ndim == 2:
        np.testing.assert_array_equal(decoded, probabilities > 0.5)
        np.testing.assert_array_equal(target.encode(decoded), decoded)
    else:
        np.testing.assert_array_equal(decoded, NAMES[probabilities.argmax(axis=1)])
        codes = target.encode(decoded).ravel().astype(int)
        np.testing.assert_array_equal(NAMES[codes], decoded)


def test_numbers_come_back_as_they_were():
    target = Numbers(
        Scaling(np.array([3.0, -1.0]), np.array([2.0, 0.5])), "identity", "huber", None
    )
    y = rng.normal(size=(10, 2))
    np.testing.assert_allclose(target.decode(target.encode(y)), y, atol=1e-12)
    with pytest.raises(ValueError, match="y must have 2 targets"):
        target.encode(y[:, :1])

"""The steps of a graph: those of the estimator, or as many as one asks for."""

import math

import numpy as np
import pytest

from sknode import NODEClassifier
from sknode.export import export_onnx
from tests.export.quick import QUICK, X, Y, classifier


def test_an_adaptive_solver_gets_ten_steps_unless_told(path):
    estimator = classifier()
    assert export_onnx(estimator, path) == export_onnx(estimator, path, n_steps=np.int64(10))


def test_the_number_of_a_fixed_grid_may_be_given(path):
    estimator = classifier(solver="dopri5", n_steps=3)
    assert export_onnx(estimator, path, n_steps=3).n_steps == 3
    assert export_onnx(estimator, path).n_steps == 3


NO_COUNTS = [0, -1, 2.0, True, False, "4", [4], math.nan, 1001, 10**9, 2**63, 10**400]


@pytest.mark.parametrize("n_steps", NO_COUNTS)
def test_the_number_of_steps_must_be_a_positive_integer(n_steps, path):
    with pytest.raises(ValueError, match="n_steps must be a positive integer, and no more"):
        export_onnx(classifier(), path, n_steps=n_steps)
    assert not path.exists()


def test_a_fixed_grid_cannot_be_exported_with_another(path):
    with pytest.raises(ValueError, match="steps is fixed, n_steps=1; leave n_steps out, got 5"):
        export_onnx(classifier(solver="rk4"), path, n_steps=5)


@pytest.mark.parametrize("n_steps", [None, 1000])
def test_a_fixed_grid_of_too_many_steps_is_not_exported(n_steps, path):
    estimator = NODEClassifier(**{**QUICK, "solver": "euler"}, n_steps=1001).fit(X[::30], Y[::30])
    with pytest.raises(ValueError, match="1000 steps are exported, the estimator takes 1001"):
        export_onnx(estimator, path, n_steps=n_steps)
    assert not path.exists()

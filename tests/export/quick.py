"""Estimators that are fitted quickly, and their graphs in onnxruntime."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris

from sknode import NODEClassifier, NODERegressor
from tests.problems import CLASSICAL

pytest.importorskip("onnx")

QUICK = {**CLASSICAL, "hidden_layer_sizes": (8,), "max_epochs": 1, "random_state": 0}
X, Y = load_iris(return_X_y=True)


def stirred(estimator):
    """Give a fitted estimator weights that move its states about."""
    # They are drawn on the CPU, so that they are the same on every device.
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in estimator.net_.module_.parameters():
            drawn = torch.empty(parameter.shape, dtype=parameter.dtype)
            parameter.copy_(drawn.normal_(0, 0.4, generator=generator))
    return estimator


def classifier(rows=X, labels=Y, **settings):
    settings = {"dtype": np.asarray(rows).dtype.name, **settings}
    return stirred(NODEClassifier(**QUICK | settings).fit(rows, labels))


def regressor(rows, targets, **settings):
    settings = {"dtype": np.asarray(rows).dtype.name, **settings}
    return stirred(NODERegressor(**QUICK | settings).fit(rows, targets))


def session_of(path):
    return pytest.importorskip("onnxruntime").InferenceSession(path)


def run(path, rows):
    """Run a graph in onnxruntime."""
    (values,) = session_of(path).run(None, {"X": rows})
    return values

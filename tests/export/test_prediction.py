"""A graph predicts in onnxruntime what its estimator does."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_multilabel_classification

from sknode.export import export_onnx
from tests.export.quick import X, Y, classifier, regressor, run

SEVERAL = make_multilabel_classification(100, 4, n_classes=3, random_state=0)

TASKS = {"binary": (X[:100], Y[:100]), "multiclass": (X, Y), "multilabel": SEVERAL}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("binary", {"solver": "euler"}),
        ("multiclass", {"solver": "midpoint", "activation": "silu", "augment_dim": 2}),
        ("multilabel", {"solver": "heun2", "activation": "softplus", "lift": "linear"}),
        (
            "binary",
            {"solver": "rk4", "n_steps": 3, "activation": "relu", "time_dependent": False},
        ),
        ("multiclass", {"solver": "bosh3", "n_steps": 4, "hidden_layer_sizes": ()}),
        ("multilabel", {"solver": "dopri5", "n_steps": 1, "time_dependent": False}),
        (
            "multiclass",
            {
                "solver": "tsit5",
                "n_steps": 3,
                "lift": "linear",
                "lift_dim": 5,
                "augment_dim": 1,
                "hidden_layer_sizes": (8, 6),
            },
        ),
    ],
)
def test_probabilities_equal_predict_proba(task, settings, dtype, path):
    rows, labels = TASKS[task]
    rows = rows.astype(dtype)
    estimator = classifier(rows, labels, **settings)
    export_onnx(estimator, path)
    expected = estimator.predict_proba(rows)
    found = run(path, rows)
    assert found.dtype == expected.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("targets", "settings"),
    [
        (1e4 + 50 * X[:, 0], {}),
        (X[:, :2] * [1e3, 1e-3], {"augment_dim": 1}),
        (np.floor(10 * X[:, 0]), {"loss": "poisson"}),
    ],
    ids=["single", "several", "poisson"],
)
def test_predictions_equal_predict(targets, settings, dtype, path):
    rows = X[:, 2:].astype(dtype)
    estimator = regressor(rows, targets, solver="rk4", n_steps=2, **settings)
    export_onnx(estimator, path)
    expected = estimator.predict(rows)
    found = run(path, rows)
    assert found.dtype == expected.dtype
    assert found.shape == (len(rows), targets.size // len(targets))
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-5)


@pytest.mark.parametrize("n_rows", [1, 7, 150])
def test_a_graph_takes_any_number_of_rows(n_rows, path):
    estimator = classifier(solver="rk4", n_steps=2)
    export_onnx(estimator, path)
    np.testing.assert_allclose(run(path, X[:n_rows]), estimator.predict_proba(X[:n_rows]))


def test_float32_networks_standardise_in_float64(path):
    rows = (1000 + X).astype(np.float32)
    estimator = classifier(rows, solver="rk4", n_steps=2)
    export_onnx(estimator, path)
    np.testing.assert_allclose(run(path, rows), estimator.predict_proba(rows), atol=1e-6)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_network_on_cuda_is_exported_and_stays_there(path):
    rows = X.astype(np.float32)
    estimator = classifier(rows, solver="rk4", device="cuda")
    export_onnx(estimator, path)
    np.testing.assert_allclose(run(path, rows), estimator.predict_proba(rows), atol=1e-5)
    assert estimator.net_.module_.head.weight.is_cuda

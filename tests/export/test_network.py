"""Every part of a network can be exported."""

import numpy as np
import pytest

from sknode import ResNetClassifier, ResNetRegressor, preset
from sknode.export import _network, export_onnx
from sknode.modules.activations import ACTIVATIONS
from tests.export.quick import X, Y, regressor, run, stirred


@pytest.mark.parametrize("settings", [{}, {"shared_weights": True}, {"n_members": 2}])
def test_residual_blocks_are_exported_as_they_are(settings, path):
    quick = {
        **preset("classical", ResNetClassifier),
        "max_epochs": 1,
        "n_blocks": 3,
        "dtype": "float64",
    }
    estimator = stirred(ResNetClassifier(**quick | settings, random_state=0).fit(X, Y))
    assert export_onnx(estimator, path).n_steps == 3
    np.testing.assert_allclose(run(path, X), estimator.predict_proba(X), rtol=0, atol=1e-9)
    regressor = stirred(ResNetRegressor(**quick | settings, random_state=0).fit(X, X[:, 0]))
    assert export_onnx(regressor, path, n_steps=3).deviation < 1e-9
    with pytest.raises(ValueError, match="steps is fixed, n_steps=3; leave n_steps out, got 4"):
        export_onnx(regressor, path, n_steps=4)


def test_a_head_that_reads_off_dimensions_is_exported(path):
    estimator = regressor(
        X, X[:, :2], head="identity", augment_dim=1, dtype="float64", solver="rk4"
    )
    export_onnx(estimator, path)
    np.testing.assert_allclose(run(path, X), estimator.predict(X), rtol=1e-9)


def test_every_activation_can_be_exported():
    assert set(_network.ACTIVATIONS) == set(ACTIVATIONS)

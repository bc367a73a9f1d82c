"""The deviation is how far the graph in the file is from its estimator."""

import math

import numpy as np
import pytest
import torch
from scipy import sparse

from sknode.export import _deviation, export_onnx
from tests.export.quick import X, classifier, regressor, run


@pytest.mark.parametrize("solver", ["bosh3", "dopri5", "tsit5"])
def test_the_deviation_is_what_onnxruntime_shows(solver, path):
    estimator = classifier(solver=solver)
    deviation = export_onnx(estimator, path, n_steps=1, X=X).deviation
    shown = np.abs(run(path, X) - estimator.predict_proba(X)).max()
    assert deviation > 1e-5
    assert deviation == pytest.approx(shown, rel=1e-6)


def test_the_deviation_of_a_regressor_is_in_units_of_the_target(path):
    estimator = regressor(X, 1e4 * X[:, 0])
    deviation = export_onnx(estimator, path, n_steps=1, X=X).deviation
    shown = np.abs(run(path, X)[:, 0] - estimator.predict(X)).max()
    assert deviation == pytest.approx(shown, rel=1e-6)


@pytest.mark.parametrize(("solver", "order"), [("bosh3", 3), ("dopri5", 5), ("tsit5", 5)])
def test_the_deviation_falls_with_the_steps_at_the_order_of_the_method(solver, order, path):
    estimator = classifier(solver=solver, tolerance=1e-10)
    coarse, fine = (export_onnx(estimator, path, n_steps=n).deviation for n in (4, 16))
    assert order - 1 < math.log(coarse / fine, 4) < order + 2


def test_the_deviation_of_a_fixed_grid_is_rounding(path):
    assert 0 < export_onnx(classifier(solver="rk4"), path).deviation < 1e-13
    single = classifier(X.astype(np.float32), solver="rk4")
    assert 1e-8 < export_onnx(single, path).deviation < 1e-5


def test_what_rounding_the_rows_costs_is_part_of_the_deviation(path):
    rows = 1e6 + X
    estimator = classifier(rows, solver="rk4", dtype="float32")
    deviation = export_onnx(estimator, path, X=rows).deviation
    shown = np.abs(run(path, rows.astype(np.float32)) - estimator.predict_proba(rows)).max()
    assert deviation > 1e-4
    assert deviation == pytest.approx(shown, rel=1e-2)


def test_the_deviation_is_the_same_for_rows_in_parts(path, monkeypatch):
    estimator = classifier()
    whole = export_onnx(estimator, path, n_steps=2).deviation
    monkeypatch.setattr(_deviation, "RESULTS_AT_A_TIME", 1000)
    assert export_onnx(estimator, path, n_steps=2).deviation == pytest.approx(whole, rel=1e-9)


def test_the_deviation_of_a_graph_that_overflows_is_infinite(path):
    estimator = regressor(X.astype(np.float32), X[:, 0], hidden_layer_sizes=())
    stiff = estimator.net_.module_.block.field.layers[0].weight
    with torch.no_grad():
        stiff.copy_(-1000 * torch.eye(4, 5))
    assert export_onnx(estimator, path, n_steps=30).deviation == math.inf


def test_rows_may_be_sparse(path):
    estimator = classifier()
    given = [export_onnx(estimator, path, X=rows) for rows in (X, sparse.csr_matrix(X))]
    assert given[0].deviation == pytest.approx(given[1].deviation)


@pytest.mark.parametrize(
    "rows", [5, "rows", [], [[]], X[0], X[:0], X[None], [["a"] * 4], np.full((1, 4), np.nan), {}]
)
def test_what_are_no_rows_is_refused_before_anything_is_written(rows, path):
    with pytest.raises((ValueError, TypeError)):
        export_onnx(classifier(), path, X=rows)
    assert not path.exists()


def test_rows_must_have_the_features_of_the_fit(path):
    with pytest.raises(ValueError, match="4 features"):
        export_onnx(classifier(), path, X=X[:, :3])
    assert not path.exists()

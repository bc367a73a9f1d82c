"""How far the predictions of a graph are from those of its estimator."""

from math import ceil, inf
from typing import Any

import numpy as np
from scipy import sparse

from ..estimators.classification import Classification
from ..estimators.reading import check_rows
from ..estimators.tabular import BaseRowNetwork
from ._network import dtype_of

__all__ = ["deviation_of", "rows_to_measure"]

N_ROWS = 1000
# This bounds the memory of the reference evaluator, which keeps what every node returns.
RESULTS_AT_A_TIME = 200_000


def rows_to_measure(estimator: BaseRowNetwork, X: Any) -> np.ndarray:
    """Return the rows to measure the deviation on."""
    if X is not None:
        X = check_rows(estimator, X)
        return X.toarray() if sparse.issparse(X) else X
    center, scale, _ = estimator.scaling_
    normal = np.random.default_rng(0).standard_normal((N_ROWS, len(center)))
    return (center + scale * normal).astype(dtype_of(estimator.net_.module_))


def deviation_of(model: Any, estimator: BaseRowNetwork, rows: np.ndarray) -> float:
    """Return the largest absolute difference between a graph and its estimator."""
    from onnx.reference import ReferenceEvaluator

    # The rows have been checked and lost their feature names, which would bring a warning.
    estimator.__dict__.pop("feature_names_in_", None)
    classifies = isinstance(estimator, Classification)
    expected = estimator.predict_proba(rows) if classifies else estimator.predict(rows)
    evaluator = ReferenceEvaluator(model)
    n_parts = ceil(len(rows) * len(model.graph.node) / RESULTS_AT_A_TIME)
    with np.errstate(all="ignore"):
        given = rows.astype(dtype_of(estimator.net_.module_))
        parts = np.array_split(given, min(n_parts, len(rows)))
        found = np.concatenate([y for part in parts for y in evaluator.run(None, {"X": part})])
        difference = np.abs(found - expected.reshape(found.shape))
    return float(np.nan_to_num(difference, nan=inf, posinf=inf).max())

"""Data as users give them, checked, and as tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_sample_weight, column_or_1d, validate_data

from ..training.data import LARGE, Table, relative

__all__ = ["Reader", "check_rows", "read", "read_validation"]

# What is of none of these types becomes of the first. Single precision stays so in either order.
SWAPPED = np.dtype(np.float32).newbyteorder("S")
FORM: dict[str, Any] = {"accept_sparse": "csr", "dtype": [np.float64, np.float32, SWAPPED]}


class Reader(Protocol):
    """How X becomes rows, and what a network must know of them."""

    def as_matrix(self, X: Any) -> Any:
        """Return X as one row for each sample."""

    def learn(self, table: Table) -> dict[str, Any]:
        """Return the attributes by which an estimator knows the rows it was fitted to."""


def read(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    learn: bool,
    classes: np.ndarray | None = None,
) -> Table:
    """Check the data, and learn from them all but the weights if asked to."""
    if getattr(y, "hasnans", False):
        # Of pandas' own missing values scikit-learn only says that they are ambiguous.
        raise ValueError("Input y contains NaN.")
    reader = estimator._reader(learn=learn)
    with _large_numbers():
        X = reader.as_matrix(X)
        X, y = validate_data(estimator, X, y, **FORM, multi_output=True, reset=learn)
    y = y.toarray() if sparse.issparse(y) else y
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    with _large_numbers():
        y = estimator._check_target(y)
    if sample_weight is not None:
        sample_weight = relative(
            _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        )
    table = Table(X, y, estimator._weigh(y, sample_weight))
    counted = table.without_weightless()
    if learn:
        for name, value in reader.learn(counted).items():
            setattr(estimator, name, value)
        estimator._learn_target(table, classes)
    return counted


def read_validation(
    estimator: BaseEstimator, X_val: Any, y_val: Any, sample_weight_val: Any
) -> Table | None:
    """Check the data to validate by, if there are any."""
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val must be given together, got only one of them")
    if X_val is None:
        if sample_weight_val is not None:
            raise ValueError("sample_weight_val needs X_val and y_val, got it alone")
        return None
    return read(estimator, X_val, y_val, sample_weight_val, learn=False)


def check_rows(estimator: BaseEstimator, X: Any) -> Any:
    """Return rows to predict as an array, or a matrix in CSR format, of floats."""
    with _large_numbers():
        X = estimator._reader(learn=False).as_matrix(X)
        return validate_data(estimator, X, **FORM, reset=False)


@contextmanager
def _large_numbers() -> Iterator[None]:
    """Let scikit-learn look at numbers of any size, and refuse those that are none to numpy."""
    try:
        with np.errstate(**LARGE):
            yield
    except OverflowError as error:
        raise ValueError(f"X and y must hold numbers that a float can hold: {error}") from error

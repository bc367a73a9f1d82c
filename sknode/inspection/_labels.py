"""What rows are coloured or grouped by."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

__all__ = ["labels_of", "values_of"]

# The differences of smaller ones are finite.
LARGEST = 1e300


def labels_of(X: Any, y: Any) -> np.ndarray:
    """Return a label for each row, or raise a ValueError if y are none."""
    try:
        check_consistent_length(X, y)
        y = column_or_1d(y)
        sorted(set(y.tolist()))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"y must be a label for each row of X, all labels of one type: {error}"
        ) from error
    return y


def values_of(X: Any, y: Any) -> np.ndarray:
    """Return a number for each row, or raise a ValueError if y are none."""
    try:
        check_consistent_length(X, y)
        y = column_or_1d(check_array(y, ensure_2d=False, dtype=np.float64, input_name="y"))
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"y must be a finite number for each row of X: {error}") from error
    largest = np.abs(y).max()
    if largest > LARGEST:
        raise ValueError(f"y must be numbers of size {LARGEST:g} or less, got {largest:g}")
    return y

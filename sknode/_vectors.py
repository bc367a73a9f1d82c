"""Checks of numbers in a row."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ._checks import is_number

__all__ = ["check_vector"]


def check_vector(
    name: str, values: Any, must_be: str, allowed: Callable[[np.ndarray], object]
) -> np.ndarray:
    """Return finite numbers in a row, or raise a ValueError that says what they must be."""
    vector = _floats(values)
    if vector.ndim != 1 or not np.isfinite(vector).all() or not allowed(vector):
        raise ValueError(f"{name} must be {must_be}, got {values!r}")
    return vector


def _floats(values: Any) -> np.ndarray:
    """Return real numbers as floats, and a single NaN in place of anything else."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):
        return np.array(np.nan)
    # Objects may be numbers: integers beyond 64 bits, for example, and pandas' own.
    numbers = array.dtype == object and all(map(is_number, array.flat))
    if numbers or array.dtype.kind in "iuf":
        return array.astype(np.float64)
    return np.array(np.nan)

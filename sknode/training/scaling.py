"""Features and targets brought to size one."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.preprocessing import StandardScaler

__all__ = ["SCALINGS", "Scaling", "standard_scaling"]

# A quarter of the largest double: differences of two such are numbers, and their halves.
LARGEST = np.finfo(np.float64).max / 4
# Where scaled values are clipped: some four standard deviations of a normal distribution, whose
# interquartile range is 1.35 of them.
CLIP = 3.0
QUARTILES = np.array([0.25, 0.5, 0.75])


class Scaling(NamedTuple):
    """The map x ↦ c((x − center) / scale), column by column.

    Attributes
    ----------
    center, scale : ndarray of shape (n_columns,)
    clips : bool
        Whether c(u) = u / √(1 + (u/3)²), which goes smoothly to ±3; otherwise c(u) = u.
    """

    center: np.ndarray
    scale: np.ndarray
    clips: bool = False

    def apply(self, X: np.ndarray) -> np.ndarray:
        """Return scaled values; where nothing clips they may be infinite."""
        with np.errstate(over="ignore"):
            scaled = (X - self.center) / self.scale
        if not self.clips:
            return scaled
        np.clip(scaled, -LARGEST, LARGEST, out=scaled)
        return scaled / np.hypot(1, scaled / CLIP)


def standard_scaling(X: Any, weight: np.ndarray | None, name: str) -> Scaling:
    """Return the scaling by the weighted mean and standard deviation of each column.

    They are sought in units of the largest value of a column, whose square may not be a number.
    The scale of a constant column is one.
    """
    low, high, unit = _limits(X, name)
    shifted = not sparse.issparse(X)
    scaler = StandardScaler(with_mean=shifted)
    in_units = np.ascontiguousarray(X / unit) if shifted else X @ sparse.diags_array(1 / unit)
    with np.errstate(invalid="ignore"):
        # The variance of a constant may come out a little below zero.
        scaler.fit(in_units.astype(np.float64), sample_weight=weight)
    mean = np.asarray(scaler.mean_) * unit
    scale = np.asarray(scaler.scale_) * unit
    spread = high / unit - low / unit
    constant = spread <= 4 * np.finfo(np.float64).eps
    mean[constant] = ((low / unit + high / unit) / 2 * unit)[constant]
    scale[constant] = np.maximum(spread * unit, 1.0)[constant]
    return Scaling(mean, scale)


def _robust_scaling(X: Any, weight: np.ndarray | None, name: str) -> Scaling:
    """Return the scaling by the weighted median and interquartile range, clipped.

    Where half of a column is one value, its range takes the place of the latter. Sparse columns,
    which are mostly zero, are scaled by mean and standard deviation.
    """
    if sparse.issparse(X):
        return standard_scaling(X, weight, name)._replace(clips=True)
    low, high, unit = _limits(X, name)
    first, median, third = _quartiles(X, weight).astype(np.float64)
    negligible = 4 * np.finfo(np.float64).eps * unit
    scale = third - first
    scale = np.where(scale > negligible, scale, high - low)
    return Scaling(median, np.where(scale > negligible, scale, 1.0), clips=True)


def _no_scaling(X: Any, weight: np.ndarray | None, name: str) -> Scaling:
    return Scaling(np.zeros(X.shape[1]), np.ones(X.shape[1]))


SCALINGS: dict[str | None, Callable[[Any, np.ndarray | None, str], Scaling]] = {
    "robust": _robust_scaling,
    "standard": standard_scaling,
    None: _no_scaling,
}


def _limits(X: Any, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the smallest and the largest value of each column, and the unit to compute in."""
    low = X.min(axis=0)
    high = X.max(axis=0)
    if sparse.issparse(X):
        low = low.toarray().ravel()
        high = high.toarray().ravel()
    low = low.astype(np.float64)
    high = high.astype(np.float64)
    unit = np.maximum(np.abs(low), np.abs(high))
    if (unit > LARGEST).any():
        raise ValueError(
            f"{name} holds values beyond {LARGEST:.0e}, whose differences overflow; rescale it"
        )
    unit[unit == 0] = 1.0
    return low, high, unit


def _quartiles(X: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Return the quartiles of each column, (3, n_columns), each a value of the column.

    A row of weight two counts as two rows. numpy's weighted quantiles would decide by the last bit
    of a sum of weights where that reaches a quartile exactly.
    """
    if weight is None:
        return np.quantile(X, QUARTILES, axis=0, method="inverted_cdf")
    result = np.empty((len(QUARTILES), X.shape[1]), X.dtype)
    for column, values in enumerate(X.T):
        order = np.argsort(values)
        below = np.cumsum(weight[order])
        places = np.searchsorted(below, QUARTILES * below[-1] * (1 - 1e-12))
        result[:, column] = values[order[places]]
    return result

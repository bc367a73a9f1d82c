"""Which rows are held back: a choice that depends on the rows, and not on how they are listed.

Each member of an ensemble does without rows of its own, so that all rows are learned from, and
several times as many judge as are missed by any (Breiman 1996, out-of-bag estimation).

Rows that are equal go to the same side, so that none is trained on and validated by, and a row of
weight two is treated as two rows are. The order of the rows makes no difference.
"""

import math
from typing import Any

import numpy as np
from scipy import sparse

__all__ = ["held_back", "n_distinct"]


def held_back(
    X: Any, y: np.ndarray, strata: np.ndarray | None, fraction: float, seed: int, n_members: int = 1
) -> np.ndarray:
    """Return which rows each member is to be validated by, and not trained on.

    Parameters
    ----------
    X : {ndarray, csr_matrix} of shape (n_rows, n_features)
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        Only its order counts, so that its unit does not.
    strata : ndarray of shape (n_rows,) or None
        Numbers from zero on, each of which is to have its share.
    fraction : float
        The part of the distinct rows to hold back from a member.
    seed : int
        Of the choice.
    n_members : int
        Two of them have no row in common where there are enough rows for that.

    Returns
    -------
    ndarray of shape (n_rows, n_members)
        A mask.

    Raises
    ------
    ValueError
        If there are no two distinct rows.
    """
    keys = _keys(X, y, seed)
    distinct, first, place = np.unique(keys, return_index=True, return_inverse=True)
    n = len(distinct)
    if n < 2:
        raise ValueError(
            "there are no rows to validate by: early stopping needs two distinct rows, got "
            f"n_samples={len(y)} and {n} distinct; set early_stopping=False, or give X_val and "
            "y_val"
        )
    n_held = min(math.ceil(fraction * n), n - 1)
    order = _evenly(strata[first] if strata is not None else np.zeros(n, int))
    held = np.zeros((n, n_members), bool)
    for member in range(n_members):
        held[order[np.arange(member * n_held, (member + 1) * n_held) % n], member] = True
    return held[place]


def n_distinct(X: Any, y: np.ndarray) -> int:
    """Return the number of rows that differ in X or in y."""
    return len(np.unique(_keys(X, y, 0)))


def _keys(X: Any, y: np.ndarray, seed: int) -> np.ndarray:
    """Return a number for each row, which only equal rows with equal targets share."""
    rng = np.random.default_rng(seed)
    ranks = np.unique(y, axis=0 if y.ndim == 2 else None, return_inverse=True)[1]
    return _mix(_hash(X, rng) + _hash(ranks.reshape(-1, 1), rng))


def _evenly(strata: np.ndarray) -> np.ndarray:
    """Return an order of which every beginning has of each stratum its share."""
    order = np.argsort(strata, kind="stable")
    sizes = np.bincount(strata)
    rank = np.empty(len(strata), int)
    rank[order] = np.arange(len(strata)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.argsort((rank + 0.5) / sizes[strata], kind="stable")


def _hash(table: Any, rng: np.random.Generator) -> np.ndarray:
    """Return a number for each row that equal rows share; sparse zeros count as dense ones."""
    factors = rng.integers(2**64, size=table.shape[1], dtype=np.uint64)
    if not sparse.issparse(table):
        return _mix(_bits(table)) @ factors
    table = sparse.csr_array(table)
    mixed = _mix(_bits(table.data))
    return sparse.csr_array((mixed, table.indices, table.indptr), table.shape) @ factors


def _bits(numbers: np.ndarray) -> np.ndarray:
    # Adding zero makes one of the two zeros.
    return (np.ascontiguousarray(numbers, np.float64) + 0.0).view(np.uint64)


def _mix(bits: np.ndarray) -> np.ndarray:
    """Let every bit depend on every other; the last step of MurmurHash3, which keeps zero."""
    shift = np.uint64(33)
    bits = (bits ^ (bits >> shift)) * np.uint64(0xFF51AFD7ED558CCD)
    bits = (bits ^ (bits >> shift)) * np.uint64(0xC4CEB9FE1A85EC53)
    return bits ^ (bits >> shift)

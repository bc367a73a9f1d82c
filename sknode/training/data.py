"""What the network is trained on: indexed batches of resident tensors."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from .scaling import Scaling

__all__ = ["LARGE", "Rows", "Table", "TrainingSet", "digest_of", "relative"]

# scikit-learn adds up all numbers to see whether they are finite, and numpy would warn of a sum
# that is not.
LARGE: dict[str, Any] = {"over": "ignore", "invalid": "ignore"}
# Bounds the memory of a fingerprint.
ROWS_AT_A_TIME = 4096


class Table(NamedTuple):
    """Rows as they were given.

    Attributes
    ----------
    X : {ndarray, csr_matrix} of shape (n_rows, n_features)
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
    weight : ndarray of shape (n_rows,) or None
        Not negative; None counts every row once.
    """

    X: Any
    y: np.ndarray
    weight: np.ndarray | None

    def take(self, index: np.ndarray) -> "Table":
        """Return the rows at an index, or where a mask says so."""
        weight = None if self.weight is None else self.weight[index]
        return Table(self.X[index], self.y[index], weight)

    def without_weightless(self) -> "Table":
        """Leave out the rows of weight zero, which count as absent."""
        if self.weight is None:
            return self
        kept = self.weight > 0
        if not kept.any():
            raise ValueError("sample_weight must have a positive entry, got only zeros")
        return self if kept.all() else self.take(kept)


def relative(weight: np.ndarray) -> np.ndarray:
    """Return weights as parts of the largest, lest their sums and products overflow."""
    return weight / weight.max() if weight.any() else weight


class Rows:
    """Rows of a table as standardised tensors, a batch at a time.

    A dense table is moved to the device once; a sparse one stays as it is and each batch of it is
    made dense.
    """

    def __init__(
        self,
        X: Any,
        scaling: Scaling,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.scaling = scaling
        self.device = device
        self.dtype = dtype
        self.n_rows = X.shape[0]
        self._source = X
        self._dense = None if sparse.issparse(X) else self._standardise(X)

    def __len__(self) -> int:
        return self.n_rows

    def take(self, index: Tensor | slice) -> Tensor:
        """Return the rows at an index, (rows, n_features)."""
        if self._dense is not None:
            return _rows_at(self._dense, index)
        host_index = index if isinstance(index, slice) else index.cpu().numpy()
        return self._standardise(self._source[host_index].toarray())

    def _standardise(self, X: np.ndarray) -> Tensor:
        # In one order whatever that of X: so rows are read fastest, and sums are the same.
        scaled = np.ascontiguousarray(self.scaling.apply(X))
        return torch.from_numpy(scaled).to(self.device, self.dtype)


class TrainingSet:
    """Rows with their targets and weights (None: all one), the weights scaled to mean one.

    Parameters
    ----------
    rows : Rows
    target : ndarray of shape (n_rows,) or (n_rows, n_outputs)
    weight : ndarray of shape (n_rows,) or None
    learners : ndarray of shape (n_rows, n_members) or None
        Which members learn from a row; the weights are then (n_members, n_rows). None: all.
    """

    def __init__(
        self,
        rows: Rows,
        target: np.ndarray,
        weight: np.ndarray | None,
        learners: np.ndarray | None = None,
    ) -> None:
        self.rows = rows
        floating = np.issubdtype(target.dtype, np.floating)
        self.target = torch.from_numpy(np.ascontiguousarray(target)).to(
            rows.device, rows.dtype if floating else torch.int64
        )
        if learners is not None and not learners.all():
            weight = learners.T * (1.0 if weight is None else weight)
        self.weight = None
        if weight is not None:
            relative = torch.from_numpy(weight / weight.mean(axis=-1, keepdims=True))
            self.weight = relative.to(rows.device, rows.dtype)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Tensor | slice) -> tuple[Tensor, tuple[Tensor, Tensor | None]]:
        """Return a batch as skorch wants it: the inputs, and all that the loss needs.

        These are the targets and the weights: of the rows, or of the rows for the first member,
        followed by those for the second, and so on.
        """
        weight = None if self.weight is None else _rows_at(self.weight, index, dim=-1).flatten()
        return self.rows.take(index), (_rows_at(self.target, index), weight)

    def parts(self) -> Iterator[tuple[Tensor, tuple[Tensor, Tensor | None]]]:
        """Yield all rows in their order, as batches."""
        for start in range(0, len(self), ROWS_AT_A_TIME):
            yield self.take(slice(start, start + ROWS_AT_A_TIME))

    def digest(self) -> str:
        """Return a fingerprint of all that the set yields."""
        return digest_of(
            tensor
            for X, target_and_weight in self.parts()
            for tensor in (X, *target_and_weight)
            if tensor is not None
        )


def digest_of(tensors: Iterable[Tensor]) -> str:
    """Return a fingerprint of the numbers in tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def _rows_at(table: Tensor, index: Tensor | slice, dim: int = 0) -> Tensor:
    if isinstance(index, slice):
        return table.movedim(dim, 0)[index].movedim(0, dim)
    # On a batch of some dozen rows this takes a third of the time of table[index].
    return table.index_select(dim, index)

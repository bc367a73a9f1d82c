"""What the network is trained on: indexed batches of resident tensors."""

import hashlib
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import Tensor

__all__ = ["Batches", "Rows", "Scaling", "Table", "TrainingSet", "scaling_of"]


class Scaling(NamedTuple):
    """Mean and scale of each feature or target."""

    mean: np.ndarray
    scale: np.ndarray


def scaling_of(X: Any, weight: np.ndarray | None, name: str) -> Scaling:
    """Return the weighted mean and standard deviation of each column; one where it is constant."""
    scaler = StandardScaler(with_mean=not sparse.issparse(X))
    with np.errstate(over="ignore", invalid="ignore"):
        scaler.fit(X, sample_weight=weight)
        # Sparse columns are not shifted, or they would not stay sparse.
        mean, scale = np.asarray(scaler.mean_), np.asarray(scaler.scale_)
    if not (np.isfinite(mean).all() and np.isfinite(scale).all()):
        raise ValueError(
            f"{name} holds values so large that their variance overflows; rescale or clip it"
        )
    return Scaling(mean, scale)


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

    def split(self, fraction: float, strata: np.ndarray | None, seed: int) -> tuple[Any, Any]:
        """Return the rows to train on and those to validate by, as two tables.

        A stratum has its share in both parts, where each has room for all of them; strata of one
        row count as one.
        """
        n_rows = self.X.shape[0]
        if n_rows < 2:
            raise ValueError(
                f"there are no rows to validate by: early stopping needs two rows, got {n_rows}; "
                "set early_stopping=False, or give X_val and y_val"
            )
        n_validation = min(math.ceil(fraction * n_rows), n_rows - 1)
        if strata is not None:
            sizes = np.bincount(strata)[strata]
            strata = np.where(sizes == 1, -1, strata)
            _, sizes = np.unique(strata, return_counts=True)
            if sizes.min() == 1 or len(sizes) > min(n_validation, n_rows - n_validation):
                strata = None
        train, validation = train_test_split(
            np.arange(n_rows), test_size=n_validation, stratify=strata, random_state=seed
        )
        return self.take(np.sort(train)), self.take(np.sort(validation))


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
        self.scaling, self.device, self.dtype = scaling, device, dtype
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
        # What becomes infinite here is refused by the solver, which knows the row.
        with np.errstate(over="ignore"):
            scaled = (X - self.scaling.mean) / self.scaling.scale
        return torch.from_numpy(scaled).to(self.device, self.dtype)


class TrainingSet:
    """Rows with their targets and weights (None: all one), the weights scaled to mean one."""

    def __init__(self, rows: Rows, target: np.ndarray, weight: np.ndarray | None) -> None:
        self.rows = rows
        floating = np.issubdtype(target.dtype, np.floating)
        self.target = torch.from_numpy(target).to(
            rows.device, rows.dtype if floating else torch.int64
        )
        self.weight = None
        if weight is not None:
            self.weight = torch.from_numpy(weight / weight.mean()).to(rows.device, rows.dtype)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Tensor | slice) -> tuple[Tensor, tuple[Tensor, Tensor | None]]:
        """Return a batch as skorch wants it: the inputs, and all that the loss needs."""
        weight = None if self.weight is None else _rows_at(self.weight, index)
        return self.rows.take(index), (_rows_at(self.target, index), weight)

    def digest(self, size: int = 4096) -> str:
        """Return a fingerprint of all that the set yields."""
        digest = hashlib.sha256()
        for start in range(0, len(self), size):
            X, (target, weight) = self.take(slice(start, start + size))
            for tensor in (X, target, weight):
                if tensor is not None:
                    digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()


def _rows_at(table: Tensor, index: Tensor | slice) -> Tensor:
    # On a batch of some dozen rows this takes a third of the time of table[index].
    return table.index_select(0, index) if isinstance(index, Tensor) else table[index]


class Batches:
    """Batches of nearly equal size, in a new order at every pass where there are several."""

    def __init__(self, data: TrainingSet, batch_size: int, generator: torch.Generator) -> None:
        self.data, self.generator = data, generator
        self.n_batches = math.ceil(len(data) / batch_size)

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[tuple[Tensor, tuple[Tensor, Tensor | None]]]:
        if self.n_batches == 1:
            yield self.data.take(slice(None))
            return
        order = torch.randperm(len(self.data), generator=self.generator)
        for index in order.to(self.data.rows.device).tensor_split(self.n_batches):
            yield self.data.take(index)

"""What the estimators for rows of features have in common: lift, field and head."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse
from torch import nn

from ..modules import NODENetwork
from ..training.data import Table
from ..training.scaling import SCALINGS
from ._hyperparameters import fitted
from ._states import states_of
from .base import BaseNetwork
from .reading import Reader

__all__ = ["BaseRowNetwork"]


class BaseRowNetwork(BaseNetwork):
    """Base of the estimators that lift a row of features."""

    hidden_layer_sizes: Sequence[int] | np.ndarray = (64, 64)
    activation: str = "silu"
    lift: str = "periodic"
    lift_dim: int = 64
    head: str = "linear"
    scaling: str | None = "robust"
    dropout: float = 0.0
    n_members: int = 4

    periodic_features_: np.ndarray = fitted()

    def trajectory(self, X, times, *, member=0) -> np.ndarray:
        """Return the states on their way from z(0), the lifted and augmented row, to z(1).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        times : array-like of shape (n_times,)
            Strictly increasing times, not negative. The network has learned the way from 0 to 1.
        member : int, default=0
            Whose states are wanted, of the `n_members`.

        Returns
        -------
        ndarray of shape (n_times, n_samples, n_dims)
            The states.

        Raises
        ------
        ValueError
            If the times or the member are not as described.
        SolverError
            If a row cannot be solved; it is named.
        """
        return states_of(self, X, times, member)

    @abstractmethod
    def _block(self) -> Mapping[str, Any]:
        """Return the arguments of `NODENetwork` by which its block is made."""

    def _network(self, n_outputs: int) -> tuple[type[nn.Module], dict[str, Any]]:
        return NODENetwork, {
            "n_features": self.n_features_in_,
            "n_outputs": n_outputs,
            "lift": self.lift,
            "lift_dim": int(self.lift_dim),
            "lift_frequency": float(self.lift_frequency),
            "periodic_features": self.periodic_features_.tolist(),
            "augment_dim": int(self.augment_dim),
            "head": self.head,
            "hidden_layer_sizes": [int(n) for n in self.hidden_layer_sizes],
            "activation": self.activation,
            "time_dependent": bool(self.time_dependent),
            "dropout": float(self.dropout),
            "n_members": int(self.n_members),
            **self._block(),
        }

    def _reader(self, *, learn: bool) -> Reader:
        return FeatureReader(self.scaling)


class FeatureReader:
    """Reads rows of features as they are, and learns how they are scaled.

    Parameters
    ----------
    scaling : str or None
        How, a name of `SCALINGS`.
    """

    def __init__(self, scaling: str | None) -> None:
        self.scaling = scaling

    def as_matrix(self, X: Any) -> Any:
        """Return X as it is."""
        return X

    def learn(self, table: Table) -> dict[str, Any]:
        """Return the scaling, and the features of which periodic functions are worth having."""
        return {
            "scaling_": SCALINGS[self.scaling](table.X, table.weight, "X"),
            "periodic_features_": np.flatnonzero(_takes_three_values(table.X)),
        }


def _takes_three_values(X: Any) -> np.ndarray:
    """Return which features take more than two values: of two, any function is a linear one.

    Of sparse features, which are mostly zero and often many, none.
    """
    if sparse.issparse(X):
        return np.zeros(X.shape[1], bool)
    return ((X.min(axis=0) != X) & (X.max(axis=0) != X)).any(axis=0)

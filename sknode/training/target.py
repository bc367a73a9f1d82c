"""What a network learns: targets of some kind, as it sees them and as users do."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from torch import nn

__all__ = ["Target"]


class Target(ABC):
    """Targets of one kind, with all that a fit has learned of them.

    Attributes
    ----------
    n_outputs : int
        Number of outputs of the network.
    """

    n_outputs: int

    @property
    @abstractmethod
    def criterion(self) -> Callable[[], nn.Module]:
        """What makes the loss, with one value per row, or per output of a row."""

    @abstractmethod
    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return the targets in the form that the criterion takes."""

    @abstractmethod
    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Return the predictions that the outputs (n_rows, n_outputs) stand for."""

    @abstractmethod
    def average(self, outputs: np.ndarray, counts: np.ndarray | None) -> np.ndarray:
        """Return the outputs of a network that predicts what several members do on average.

        Those of the members are (n_members, n_rows, n_outputs). A mask (n_members, n_rows, 1)
        says which of them count, all if it is None.
        """

    @abstractmethod
    def score(
        self, outputs: np.ndarray, *, y: np.ndarray, sample_weight: np.ndarray | None
    ) -> float:
        """Return what the estimator's `score` would, given outputs (n_rows, n_outputs)."""

    def combine(self, outputs: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
        """Return what the members say together, or those of them that count for a row."""
        return outputs[0] if len(outputs) == 1 else self.average(outputs, counts)

    def check_same(self, y: np.ndarray) -> None:
        """Complain if targets are of another kind than those that these were learned from."""
        self.encode(y)

    def strata(self, y: np.ndarray) -> np.ndarray | None:
        """Return the numbers of the rows' strata, of which a split takes its share each."""
        return None

"""A moving average of a network's weights, which predicts better than the last of them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["WeightAverage"]


class WeightAverage:
    """The exponential moving average of a module's parameters.

    The first ones are forgotten faster, lest the initial weights weigh in a short training: the
    n-th update keeps (1 + n)/(10 + n) of the average, or `decay` if that is less.

    Parameters
    ----------
    module : nn.Module
        Whose parameters are averaged.
    decay : float
        The part of the average that an update keeps, in the long run.

    Attributes
    ----------
    weights : list of Tensor
        The average.
    n_updates : int
        Number of updates.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self._live = [parameter.detach() for parameter in module.parameters()]
        self.weights = [parameter.clone() for parameter in self._live]
        self.n_updates = 0

    def update(self) -> None:
        """Take in the weights as they are now."""
        kept = min(self.decay, (1 + self.n_updates) / (10 + self.n_updates))
        self.n_updates += 1
        torch._foreach_lerp_(self.weights, self._live, 1 - kept)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the module have the average while the body runs."""
        before: list[Tensor] = [parameter.clone() for parameter in self._live]
        self.settle()
        try:
            yield
        finally:
            torch._foreach_copy_(self._live, before)

    def settle(self) -> None:
        """Give the module the average."""
        torch._foreach_copy_(self._live, self.weights)

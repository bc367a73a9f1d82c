"""Weights that can be gone back to."""

import torch
from torch import Tensor, nn

__all__ = ["Snapshot"]


class Snapshot:
    """The weights, and the state of the optimizer, that can be gone back to.

    Attributes
    ----------
    kept : list of Tensor
        Copies of the parameters and then of the optimizer's tensors, empty before the first.
    """

    def __init__(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._parameters = list(module.parameters())
        self._optimizer = optimizer
        self.kept: list[Tensor] = []

    def take(self) -> None:
        """Keep what there is now."""
        live = self.live()
        if len(live) != len(self.kept):
            self.kept = [torch.empty_like(tensor) for tensor in live]
        torch._foreach_copy_(self.kept, live)

    def restore(self) -> None:
        """Go back to what was kept; an optimizer that had no state then starts anew."""
        live = self.live()
        if len(live) != len(self.kept):
            self._optimizer.state.clear()
        for tensor, kept in zip(live, self.kept, strict=False):
            tensor.copy_(kept)

    def live(self) -> list[Tensor]:
        """Return the tensors that are kept copies of, in an order that is always the same."""
        states = [self._optimizer.state.get(parameter, {}) for parameter in self._parameters]
        return [
            *(parameter.detach() for parameter in self._parameters),
            *(v for state in states for _, v in sorted(state.items()) if isinstance(v, Tensor)),
        ]

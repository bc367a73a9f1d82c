"""From z(1) to the outputs: a linear map of it, or its first dimensions."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .linear import linear

__all__ = ["HEADS", "FirstDims"]


class FirstDims(nn.Module):
    """The first dimensions of a state, as they are.

    Parameters
    ----------
    n_dims, n_outputs : int
        Sizes of the state and of the outputs.

    Raises
    ------
    ValueError
        If there are more outputs than dimensions.

    Examples
    --------
    >>> import torch
    >>> from sknode.modules.heads import FirstDims
    >>> FirstDims(3, 2)(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[1., 2.]])
    """

    def __init__(self, n_dims: int, n_outputs: int) -> None:
        super().__init__()
        if n_outputs > n_dims:
            raise ValueError(
                f"head='identity' reads {n_outputs} outputs off as many dimensions of the state, "
                f"which has {n_dims}; raise augment_dim, or use head='linear'"
            )
        self.n_outputs = n_outputs

    def forward(self, z: Tensor) -> Tensor:
        """Return the outputs (rows, n_outputs) of states (rows, n_dims)."""
        return z[:, : self.n_outputs]


def _identity(
    n_dims: int, n_outputs: int, generator: torch.Generator | None, n_members: int
) -> nn.Module:
    return FirstDims(n_dims, n_outputs)


HEADS: dict[str, Callable[..., nn.Module]] = {"linear": linear, "identity": _identity}

"""The whole network: lift, augmentation, ODE block, head."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from .block import ODEBlock
from .fields import MLPField
from .linear import linear

__all__ = ["LIFTS", "NODENetwork"]

LIFTS = ("identity", "linear")


class NODENetwork(nn.Module):
    """The map from a row to the outputs, through a Neural ODE.

    Parameters
    ----------
    n_features, n_outputs : int
        Sizes of a row and of its output.
    lift : {"identity", "linear"}, default="identity"
        How a row becomes z(0): as it is, or by a learned linear map to `lift_dim` dimensions.
    lift_dim : int, default=32
        Number of dimensions of the linear lift.
    augment_dim : int, default=0
        Number of zeros appended to z(0) after the lift.
    hidden_layer_sizes, activation, time_dependent, generator
        As in `MLPField`.
    solver, tolerance, n_steps, max_steps, adjoint
        As in `ODEBlock`.

    Attributes
    ----------
    lift : nn.Module
        The map from the row to z(0) before augmentation.
    block : ODEBlock
        The solve from t = 0 to t = 1.
    head : nn.Linear
        The map from z(1) to the outputs.

    Examples
    --------
    >>> import torch
    >>> from sknode.modules import NODENetwork
    >>> network = NODENetwork(4, 3, augment_dim=2)
    >>> network(torch.ones(5, 4)).shape, network.block.field.layers[0].in_features
    (torch.Size([5, 3]), 7)
    """

    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        *,
        lift: str = "identity",
        lift_dim: int = 32,
        augment_dim: int = 0,
        hidden_layer_sizes: Sequence[int] = (32,),
        activation: str = "tanh",
        time_dependent: bool = True,
        solver: str = "dopri5",
        tolerance: float | tuple[float, float] = 1e-3,
        n_steps: int | None = None,
        max_steps: int = 1000,
        adjoint: str | None = "discrete",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if lift not in LIFTS:
            raise ValueError(f"lift={lift!r} is not known; choose from {list(LIFTS)}")
        self.lift: nn.Module = nn.Identity()
        n_dims = n_features
        if lift == "linear":
            self.lift = linear(n_features, lift_dim, generator)
            n_dims = lift_dim
        self.augment_dim = augment_dim
        n_dims += augment_dim
        field = MLPField(n_dims, hidden_layer_sizes, activation, time_dependent, generator)
        _start_near_identity(field)
        self.block = ODEBlock(
            field,
            solver=solver,
            tolerance=tolerance,
            n_steps=n_steps,
            max_steps=max_steps,
            adjoint=adjoint,
        )
        self.head = linear(n_dims, n_outputs, generator)

    def start(self, x: Tensor) -> Tensor:
        """Return z(0), (rows, n_dims), of rows x, (rows, n_features)."""
        z = self.lift(x)
        return nn.functional.pad(z, (0, self.augment_dim)) if self.augment_dim else z

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (rows, n_outputs) of rows x, (rows, n_features)."""
        return self.head(self.block(self.start(x)))

    def trajectory(self, x: Tensor, times: list[float]) -> Tensor:
        """Return the states (len(times), rows, n_dims); the times increase, from 0 or later."""
        z0 = self.start(x)
        from_zero = times if times[0] == 0.0 else [0.0, *times]
        if len(from_zero) == 1:
            return z0.unsqueeze(0)
        t = torch.tensor(from_zero, dtype=torch.float64)
        return self.block.trajectory(z0, t)[-len(times) :]


def _start_near_identity(field: MLPField) -> None:
    """Shrink the last layer: a slow flow needs few steps, and gradients pass it unspoilt."""
    last = cast(nn.Linear, field.layers[-1])
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.zero_()

"""The discrete counterpart of an ODE block."""

from collections.abc import Callable, Sequence
from typing import Unpack, cast

import torch
from torch import Tensor, nn

from ..ode import Stats
from ..ode.settings import SolverSettings
from .block import Block, ODEBlock

__all__ = ["ResidualBlocks", "make_block"]


class ResidualBlocks(nn.Module):
    """The map z ← z + f_k(z), for one field after the other [1]_.

    Each is one step of Euler's method along its field, so it runs on the engines of a solve.

    Parameters
    ----------
    fields : sequence of nn.Module
        The f_k, each called as ``field(t, z)``, at t = 0.
    kinetic_energy : bool, default=False
        Whether to find the energy of the ways: the mean over the dimensions of ``∫|z'|²dt`` from
        t = 0 to t = 1, where the k-th of n blocks, counted from 0, moves z at even speed from k/n
        on.

    Attributes
    ----------
    steps : nn.ModuleList of ODEBlock
        The blocks.
    ordered : list of ODEBlock
        The blocks, one after the other.
    stats : Stats or None
        What the last forward pass cost, and its backward pass once that has run.
    first_step : None
        Nothing is carried over from one batch to the next.
    kinetic_energy : Tensor of shape (rows,) or None
        That of the last forward pass, if it is wanted.

    Raises
    ------
    ValueError
        If there is no field.

    References
    ----------
    .. [1] He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.

    Examples
    --------
    >>> import torch
    >>> from sknode.modules import MLPField, ResidualBlocks
    >>> ResidualBlocks([MLPField(2), MLPField(2)])(torch.ones(3, 2)).shape
    torch.Size([3, 2])
    """

    # A block of a fixed grid carries no step size over to the next batch.
    first_step: None = None

    def __init__(self, fields: Sequence[nn.Module], *, kinetic_energy: bool = False) -> None:
        super().__init__()
        if not fields:
            raise ValueError("there must be one residual block or more, got none")
        self.steps = nn.ModuleList(
            ODEBlock(field, solver="euler", n_steps=1, kinetic_energy=kinetic_energy)
            for field in fields
        )

    @property
    def ordered(self) -> list[ODEBlock]:
        """The blocks, one after the other."""
        return cast(list[ODEBlock], list(self.steps))

    def forward(self, z: Tensor) -> Tensor:
        """Move states through all blocks.

        Parameters
        ----------
        z : Tensor of shape ``(rows, *state)``
            The states before the first block.

        Returns
        -------
        Tensor of shape ``(rows, *state)``
            The states after the last.
        """
        for step in self.ordered:
            z = step(z)
        return z

    @property
    def kinetic_energy(self) -> Tensor | None:
        """That of the last forward pass, if it is wanted."""
        energies = [e for step in self.ordered if (e := step.kinetic_energy) is not None]
        return len(energies) * torch.stack(energies).sum(0) if energies else None

    @property
    def stats(self) -> Stats | None:
        """What the last forward pass cost, and its backward pass once that has run."""
        parts = [part for step in self.ordered if (part := step.stats) is not None]
        if not parts:
            return None
        return Stats(
            parts[0].n_rows,
            parts[0].n_stages,
            parts[0].fsal,
            nfe_forward=sum(part.nfe_forward for part in parts),
            nfe_backward=sum(part.nfe_backward for part in parts),
            n_steps=len(parts),
            _counts=torch.stack([torch.stack((p.accepted, p.rejected)) for p in parts]).sum(0),
        )

    def forget(self) -> None:
        """Drop what training keeps from one batch to the next: buffers."""
        for step in self.ordered:
            step.forget()

    def trajectory(self, z0: Tensor, times: list[float]) -> Tensor:
        """Follow states through the blocks, as if these were an ODE.

        The k-th of n blocks, counted from 0, moves z at even speed from t = k/n on.

        Parameters
        ----------
        z0 : Tensor of shape ``(rows, *state)``
            The states at t = 0.
        times : list of float
            Increasing times from 0 to 1.

        Returns
        -------
        Tensor of shape ``(len(times), rows, *state)``
            The states at these times.

        Raises
        ------
        ValueError
            If a time is beyond 1.
        """
        if times[-1] > 1:
            raise ValueError(f"times must not be beyond 1, the last block, got {times[-1]}")
        states = [z0]
        for step in self.ordered:
            states.append(step(states[-1]))
        knots = torch.stack(states)
        place = torch.tensor(times, dtype=torch.float64) * len(self.steps)
        index = place.long().clamp(max=len(self.steps) - 1)
        part = (place - index).to(z0).view(-1, *[1] * z0.ndim)
        return torch.lerp(knots[index], knots[index + 1], part)


def make_block(
    make_field: Callable[[bool], nn.Module],
    n_blocks: int | None,
    time_dependent: bool,
    **settings: Unpack[SolverSettings],
) -> Block:
    """Return an ODE block, or as many residual blocks in its place.

    `make_field` is called with whether the field depends on time; those of residual blocks do not.
    """
    if n_blocks is not None:
        fields = [make_field(False) for _ in range(n_blocks)]
        wanted = settings.get("kinetic_energy", False)
        return ResidualBlocks(fields, kinetic_energy=wanted)
    return ODEBlock(make_field(time_dependent), **settings)

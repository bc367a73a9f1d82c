"""A field and its solver settings as one module."""

from typing import Any

import torch
from torch import Tensor, nn

from ..ode import Stats
from ..ode.adjoint import Settings
from ..ode.integrate import Method
from ..ode.solution import check_settings, solve
from ..ode.workspace import Pool

__all__ = ["ODEBlock"]


class ODEBlock(nn.Module):
    """The map z(0) ↦ z(t1) along a field.

    In training mode, the step size that suited every row of the last batch is the first one tried
    on the next. In evaluation mode each row chooses its own, so that a prediction depends on
    nothing that was computed before.

    Parameters
    ----------
    field : nn.Module
        f(t, z), see `sknode.ode.odeint`.
    t1 : float, default=1.0
        The time at which the result is read off; not zero.
    solver, tolerance, n_steps, max_steps, adjoint, adjoint_tolerance, engine, kinetic_energy
        As in `sknode.ode.odeint`.

    Attributes
    ----------
    stats : Stats or None
        What the last forward pass cost, and its backward pass once that has run.
    first_step : Tensor, float or None
        The step size that the next batch of a training starts with.
    kinetic_energy : Tensor of shape (rows,), or None
        That of the last forward pass, differentiable, if the block was made with
        ``kinetic_energy=True``. Copies of the block do not have it.

    Raises
    ------
    ValueError
        If `t1` is zero or not finite.

    Examples
    --------
    >>> import torch
    >>> from sknode.modules import MLPField, ODEBlock
    >>> block = ODEBlock(MLPField(2), tolerance=1e-4)
    >>> block(torch.ones(3, 2)).shape
    torch.Size([3, 2])

    A penalty on the kinetic energy:

    >>> block = ODEBlock(MLPField(2), kinetic_energy=True)
    >>> loss = block(torch.ones(3, 2)).square().mean() + 0.1 * block.kinetic_energy.mean()
    >>> loss.backward()
    """

    def __init__(
        self,
        field: nn.Module,
        t1: float = 1.0,
        *,
        solver: str = "dopri5",
        tolerance: float | tuple[float, float] = 1e-3,
        n_steps: int | None = None,
        max_steps: int = 1000,
        adjoint: str | None = "discrete",
        adjoint_tolerance: float | tuple[float, float] | None = None,
        engine: str = "auto",
        kinetic_energy: bool = False,
    ) -> None:
        super().__init__()
        if not 0 < abs(t1) < float("inf"):
            raise ValueError(f"t1 must be finite and not zero, got {t1!r}")
        self.field = field
        self.t1 = float(t1)
        self.settings = check_settings(
            solver,
            tolerance,
            n_steps,
            max_steps,
            adjoint,
            adjoint_tolerance,
            engine=engine,
            kinetic_energy=kinetic_energy,
        )
        self.stats: Stats | None = None
        self.first_step: Tensor | float | None = None
        self.kinetic_energy: Tensor | None = None
        self._pool = Pool()

    def forward(self, z0: Tensor) -> Tensor:
        """Return z(t1), of the shape of z0, ``(rows, *state)``."""
        settings = self.settings
        if self.training and self.first_step is not None:
            # As _replace() would, which takes as long as solving a dozen rows.
            method = Method(*settings.method[:-1], self.first_step)
            settings = Settings(method, *settings[1:])
        # Its graph holds the buffers of the last pass, which this one may then use.
        self.kinetic_energy = None
        times = [0.0, self.t1]
        z, self.stats, self.kinetic_energy = solve(self.field, z0, times, settings, self._pool)
        if self.training:
            self.first_step = self.stats.first_step
        return z

    def forget(self) -> None:
        """Drop what training keeps from one batch to the next: a step size, and buffers."""
        self.first_step = None
        self.kinetic_energy = None
        self._pool = Pool()

    def trajectory(self, z0: Tensor, times: list[float]) -> Tensor:
        """Return the states ``(len(times), rows, *state)`` at times that increase from 0 on."""
        later = times if times[0] else times[1:]
        z = z0.new_empty((0, *z0.shape[1:]))
        if later:
            z, *_ = solve(self.field, z0, [0.0, *later], self.settings)
        return torch.cat((z0, z) if len(later) < len(times) else (z,)).view(-1, *z0.shape)

    def __getstate__(self) -> dict[str, Any]:
        # A tensor with a graph can be neither copied nor pickled.
        return {**self.__dict__, "kinetic_energy": None}

"""A field and its solver settings as one module."""

import torch
from torch import Tensor, nn

from ..ode import Solution, Stats, odeint

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
    solver, tolerance, n_steps, max_steps, adjoint, adjoint_tolerance
        As in `sknode.ode.odeint`.

    Attributes
    ----------
    stats : Stats or None
        What the last forward pass cost, and its backward pass once that has run.

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
    ) -> None:
        super().__init__()
        if not 0 < abs(t1) < float("inf"):
            raise ValueError(f"t1 must be finite and not zero, got {t1!r}")
        self.field = field
        self.t1 = t1
        self.solver = solver
        self.tolerance = tolerance
        self.n_steps = n_steps
        self.max_steps = max_steps
        self.adjoint = adjoint
        self.adjoint_tolerance = adjoint_tolerance
        self.stats: Stats | None = None
        self._first_step: Tensor | None = None

    def forward(self, z0: Tensor) -> Tensor:
        """Return z(t1), of the shape of z0, (rows, *state)."""
        first_step = self._first_step if self.training else None
        solution = self._solve(z0, torch.tensor([0.0, self.t1]), first_step)
        self.stats = solution.stats
        if self.training:
            self._first_step = solution.stats.first_step
        return solution.z[-1]

    def trajectory(self, z0: Tensor, t: Tensor) -> Tensor:
        """Return the states (len(t), rows, *state) at times t, the first of which has z = z0."""
        return self._solve(z0, t, None).z

    def _solve(self, z0: Tensor, t: Tensor, first_step: Tensor | None) -> Solution:
        return odeint(
            self.field,
            z0,
            t,
            solver=self.solver,
            tolerance=self.tolerance,
            n_steps=self.n_steps,
            max_steps=self.max_steps,
            adjoint=self.adjoint,
            adjoint_tolerance=self.adjoint_tolerance,
            first_step=first_step,
        )

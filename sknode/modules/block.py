"""A field and its solver settings as one module."""

from itertools import pairwise
from reprlib import repr as shortened
from typing import Any, Protocol, Unpack

import torch
from torch import Tensor, nn

from .._checks import is_number
from ..ode import Stats
from ..ode.pool import Pool
from ..ode.settings import (
    MOST_STEPS,
    Method,
    Settings,
    SolverSettings,
    describing_settings,
    with_settings,
)
from ..ode.solution import check_field, check_settings, solve

__all__ = ["Block", "ODEBlock"]


class Block(Protocol):
    """What a network has on the way from z(0) to z(1), and a training asks of it."""

    @property
    def stats(self) -> Stats | None:
        """What the last forward pass cost, and its backward pass once that has run."""

    @property
    def first_step(self) -> Tensor | float | None:
        """The step size that the next batch of a training starts with."""

    @property
    def kinetic_energy(self) -> Tensor | None:
        """That of the last forward pass, (rows,), if it is wanted."""

    def __call__(self, z0: Tensor) -> Tensor:
        """Move states (rows, *state) from z(0) to z(1)."""

    def trajectory(self, z0: Tensor, times: list[float]) -> Tensor:
        """Return the states at several times, (times, rows, *state)."""

    def forget(self) -> None:
        """Drop what training keeps from one batch to the next."""


@describing_settings
class ODEBlock(nn.Module):
    """The map z(0) ↦ z(t1) along a field, the layer of a Neural ODE [1]_.

    In training mode, the step size that suited every row of the last batch is the first one tried
    on the next. In evaluation mode each row chooses its own, so that a prediction depends on
    nothing that was computed before.

    Parameters
    ----------
    field : nn.Module
        The field f(t, z), as in `sknode.ode.odeint`.
    t1 : float, default=1.0
        The time at which the result is read off; not zero.
    {settings}

    Attributes
    ----------
    stats : Stats or None
        What the last forward pass cost, and its backward pass once that has run.
    first_step : Tensor, float or None
        The step size that the next batch of a training starts with.
    kinetic_energy : Tensor of shape (rows,) or None
        That of the last forward pass, differentiable, if the block was made with
        ``kinetic_energy=True`` [2]_. Copies of the block do not have it.

    Raises
    ------
    TypeError
        If the field is no module.
    ValueError
        If `t1` is zero or not finite, or a setting is not allowed.

    References
    ----------
    .. [1] Chen, Rubanova, Bettencourt, Duvenaud, "Neural Ordinary Differential Equations",
       NeurIPS 2018.
    .. [2] Finlay, Jacobsen, Nurbekyan, Oberman, "How to Train Your Neural ODE: the World of
       Jacobian and Kinetic Regularization", ICML 2020.

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

    @with_settings()
    def __init__(
        self,
        field: nn.Module,
        t1: float = 1.0,
        **settings: Unpack[SolverSettings],
    ) -> None:
        super().__init__()
        check_field(field)
        if not is_number(t1) or float(t1) == 0:
            raise ValueError(f"t1 must be finite and not zero, got {t1!r}")
        self.field = field
        self.t1 = float(t1)
        self.settings = check_settings(**settings)
        self.stats: Stats | None = None
        self.first_step: Tensor | float | None = None
        self.kinetic_energy: Tensor | None = None
        self._pool = Pool()

    def forward(self, z0: Tensor) -> Tensor:
        """Solve from z(0) to z(t1).

        Parameters
        ----------
        z0 : Tensor of shape ``(rows, *state)``, float32 or float64
            The states at t = 0.

        Returns
        -------
        Tensor of shape ``(rows, *state)``
            The states at t = t1.

        Raises
        ------
        SolverError
            If a state is not finite, or a row does not arrive.
        ValueError
            If z0 has no rows, or the field and z0 do not agree in dtype and device.
        """
        settings = self.settings
        if self.training and self.first_step is not None:
            # The method's own _replace() would take as long as solving a dozen rows.
            method = Method(*settings.method[:-1], self.first_step)
            settings = Settings(method, *settings[1:])
        # The energy's graph holds the buffers of the last pass, which this one may then use.
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
        """Solve for the states at several times.

        A fixed grid has the steps that `forward` takes, and goes on with them beyond t1.

        Parameters
        ----------
        z0 : Tensor of shape ``(rows, *state)``, float32 or float64
            The states at t = 0.
        times : list of float
            Times from 0 on in the direction of t1: not negative and strictly increasing, or if t1
            is negative, not positive and strictly decreasing.

        Returns
        -------
        Tensor of shape ``(len(times), rows, *state)``
            The states at each of them.

        Raises
        ------
        SolverError
            If a state is not finite, or a row does not arrive.
        ValueError
            If the times are not as described, or so late that a fixed grid would have more than a
            million steps, z0 has no rows, or the field and z0 do not agree in dtype and device.
        """
        self._check_times(times)
        later = times if times[0] else times[1:]
        z = z0.new_empty((0, *z0.shape[1:]))
        if later:
            settings, end = self._whole_steps(later[-1])
            z, *_ = solve(self.field, z0, [0.0, *later, *end], settings)
            z = z[: len(later) * len(z0)]
        return torch.cat((z0, z) if len(later) < len(times) else (z,)).view(-1, *z0.shape)

    def _check_times(self, times: list[float]) -> None:
        forward = [time / self.t1 for time in times]
        # All is asked for in a way that is false of NaN.
        if not (forward and forward[0] >= 0 and all(a < b for a, b in pairwise(forward))):
            order = "increasing" if self.t1 > 0 else "decreasing"
            raise ValueError(
                f"times must be one or more, from 0 towards t1={self.t1:g} and strictly {order}, "
                f"got {shortened(times)}"
            )

    def _whole_steps(self, last: float) -> tuple[Settings, list[float]]:
        """Return settings for a solve up to a time, and the end of its last step if that is later.

        Of two fixed grids with steps of one size, the states at their common times are the same.
        """
        method = self.settings.method
        if method.adaptive:
            return self.settings, []
        n_steps = method.n_steps or 1
        share = last / self.t1
        if n_steps * share > MOST_STEPS:
            raise ValueError(
                f"times must not be beyond {MOST_STEPS * self.t1 / n_steps:g}, which takes "
                f"{MOST_STEPS:,} steps of the fixed grid, got {last:g}"
            )
        whole = method._replace(n_steps=n_steps).stretched(share)
        assert whole.n_steps is not None
        backward = self.settings.backward_method._replace(n_steps=whole.n_steps)
        settings = self.settings._replace(method=whole, backward_method=backward)
        end = whole.n_steps * self.t1 / n_steps
        return settings, [end] if abs(end) > abs(last) * (1 + 1e-9) else []

    def __getstate__(self) -> dict[str, Any]:
        # The energy has a graph, and such a tensor can be neither copied nor pickled.
        return {**self.__dict__, "kinetic_energy": None}

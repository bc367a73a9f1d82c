"""A solve forward: the steps, the states read off them, and what the way back must know."""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..pool import Lease, Pool
from ..settings import Method, Settings
from ..stats import Stats
from .step import coefficients, kinetic_energy_of_step
from .stepping import Step, steps, time_left
from .workspace import Workspace, lease

__all__ = ["EagerProblem", "Reading", "Recorded", "Trajectory", "integrate"]

# Where there are more times than these, it pays to look which of them a step may contain.
FEW_TIMES = 16


class Reading(NamedTuple):
    """How states are read off a step, at some of the times between the first and the last.

    Attributes
    ----------
    times : slice
        Which of those times.
    weights : Tensor of shape (1 + stages, n_times, rows)
        The weights of (x, S_1, ...), zero where a time lies outside of a row's step.
    """

    times: slice
    weights: Tensor


class Recorded(NamedTuple):
    """A step, and what the reverse sweep must know about its outputs.

    Attributes
    ----------
    reading : Reading or None
        None if no time asked for lies within the step.
    stages : Tensor of shape (stages, rows, n), or None without the kinetic energy
        S_i, zero in rows that stand still.
    """

    step: Step
    reading: Reading | None
    stages: Tensor | None


class Trajectory(NamedTuple):
    """States at the times asked for but the first, (n_times - 1, rows, n), and their cost.

    `kinetic_energy` is (rows,), or None if it was not asked for.
    """

    z: Tensor
    stats: Stats
    record: list[Recorded]
    kinetic_energy: Tensor | None


def integrate(
    workspace: Workspace,
    z0: Tensor,
    times: list[float],
    method: Method,
    *,
    record: bool = False,
    kinetic_energy: bool = False,
) -> Trajectory:
    """Solve from `z0` at the first time to the last, and read off the states at the others."""
    energy = z0.new_zeros(len(z0)) if kinetic_energy else None
    outputs = _Outputs(workspace, z0, times, method)
    stats = Stats(z0.shape[0], method.tableau.n_stages, method.tableau.fsal)
    workspace.system.enter(z0, times[0], out=workspace.stack[0])
    kept = []
    for step in steps(workspace, times, method, stats, keep_tapes=record):
        reading = outputs.read(step)
        stages = None
        stats.add(step.before, step.after, step.proposal)
        if energy is not None:
            # A trial step that was rejected may have overflowed.
            stages = torch.where(step.h == 0, 0.0, step.stack.blocks[1:, :, : outputs.n])
            energy += kinetic_energy_of_step(method.tableau, stages, step.h)
        if record:
            kept.append(Recorded(step, reading, stages))
    return Trajectory(outputs.finish(step.end), stats, kept, energy)


class _Outputs:
    """The states at the times asked for, read off the steps as they pass."""

    def __init__(
        self, workspace: Workspace, z0: Tensor, times: list[float], method: Method
    ) -> None:
        self.n = workspace.system.n_controlled
        self._left = None
        if len(times) == 2:
            return
        self._between = z0.new_empty((len(times) - 2, len(z0), self.n))
        left = time_left(times, z0)
        # A time so near to the first that rounding makes them one belongs to the first step.
        self._left = torch.where(
            left[1:-1].abs() < left[0].abs(), left[1:-1], torch.nextafter(left[0], left[-1])
        ).unsqueeze(1)
        self._dense = coefficients(workspace.tableau, z0.dtype, z0.device).dense
        self._in_order = self._left.abs().neg().flatten().tolist()
        self._of_grid: Iterator[slice] | None = None
        if not method.adaptive:
            nodes = time_left(method.grid(times), z0).abs().tolist()
            ends = [bisect_right(self._in_order, -node) for node in nodes]
            self._of_grid = (slice(*pair) for pair in pairwise(ends))

    def read(self, step: Step) -> Reading | None:
        """Read the states at the times within this step.

        Which step a time belongs to is decided on the time left at the step's ends, which
        neighbouring steps share to the last bit.
        """
        if self._left is None:
            return None
        times = next(self._of_grid) if self._of_grid else self._times_within(step)
        if times.start == times.stop:
            return None
        left = self._left[times]
        inside = (step.after.abs() <= left.abs()) & (left.abs() < step.before.abs())
        theta = torch.where(inside, (step.before - left) / step.h.view(-1), 0.0)
        theta = theta.expand(len(left), step.end.shape[0])
        inside = inside.expand_as(theta)
        powers = torch.stack([theta**p for p in range(1, self._dense.shape[1] + 1)])
        weights = torch.cat(
            (inside.unsqueeze(0).to(theta.dtype), torch.einsum("sp,pkr->skr", self._dense, powers))
        )
        states = torch.einsum("skr,srd->krd", weights, step.stack.blocks[:, :, : self.n])
        between = self._between[times]
        torch.where(inside.unsqueeze(2), states, between, out=between)
        return Reading(times, weights)

    def _times_within(self, step: Step) -> slice:
        """Return the times that may lie within the step of a row."""
        if len(self._in_order) <= FEW_TIMES:
            return slice(0, len(self._in_order))
        moved = step.before != step.after
        first = torch.where(moved, step.before.abs(), 0.0).max().item()
        last = torch.where(moved, step.after.abs(), inf).min().item()
        start, stop = (bisect_right(self._in_order, -end) for end in (first, min(first, last)))
        return slice(start, stop)

    def finish(self, end: Tensor) -> Tensor:
        """Add the state at the last time, which is where the last step ends."""
        last = end[:, : self.n].unsqueeze(0)
        return last.clone() if self._left is None else torch.cat((self._between, last))


class EagerProblem(NamedTuple):
    """A field to be solved between times."""

    field: nn.Module
    parameters: tuple[Tensor, ...]
    times: list[float]
    settings: Settings
    pool: Pool | None

    def integrate(self, z0: Tensor, *, record: bool = False) -> tuple[Lease, Trajectory]:
        """Solve from `z0`; the workspace is the solve's own while the lease is held."""
        method = self.settings.method
        held = lease(self.field, self.parameters, z0, method.tableau, self.pool)
        trajectory = integrate(
            held.workspace,
            z0,
            self.times,
            method,
            record=record,
            kinetic_energy=self.settings.kinetic_energy,
        )
        return held, trajectory

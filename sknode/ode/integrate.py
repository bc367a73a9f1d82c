"""The stepping loops: a fixed grid, and adaptive with a step size for each row."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from itertools import pairwise
from math import ceil, inf
from typing import NamedTuple

import torch
from torch import Tensor

from ..exceptions import SolverError
from .control import Controller, Tolerance
from .field import Stack, Tape
from .step import coefficients, kinetic_energy_of_step, take_step
from .tableau import Tableau
from .workspace import Workspace

__all__ = [
    "MOST_STEPS",
    "Method",
    "Reading",
    "Recorded",
    "Stats",
    "Step",
    "Trajectory",
    "integrate",
    "overflow",
    "step_too_small",
    "steps",
    "too_many_steps",
]

# The discrete adjoint keeps them all.
MOST_STEPS = 1_000_000
# A look at the device costs a host as much as many kernels, so off the CPU the loop looks only
# every few steps whether it is done: the steps too many are steps of size zero.
STEPS_BETWEEN_LOOKS = 4
# More times are worth a look at which of them a step may contain.
FEW_TIMES = 16


class Method(NamedTuple):
    """Everything about a solve but the field and the state.

    `n_steps` is the number of steps of a fixed grid, and None for adaptive steps; `first_step`
    is None where each row chooses its own.
    """

    tableau: Tableau
    tolerance: Tolerance
    n_steps: int | None
    max_steps: int
    first_step: float | Tensor | None = None

    @property
    def adaptive(self) -> bool:
        """Whether each row chooses its own steps."""
        return self.tableau.adaptive and self.n_steps is None

    def stretched(self, share: float) -> "Method":
        """Return the method for a way so many times as long, with steps that are no larger."""
        if self.n_steps is None:
            return self
        # Less a little, lest rounding turn a share of 2.0000000000000004 into 3 steps.
        return self._replace(n_steps=max(1, ceil(self.n_steps * share - 1e-9)))

    def grid(self, times: list[float]) -> list[float]:
        """Return the ends of the steps of a fixed grid through the times."""
        if self.n_steps is None:
            return times
        return torch.linspace(times[0], times[-1], self.n_steps + 1, dtype=torch.float64).tolist()


class Step(NamedTuple):
    """One step of all rows.

    Attributes
    ----------
    tape : Tape
        The stages.
    stack : Stack
        (x, S_1, ..., S_s), valid until the next step is asked for.
    h : Tensor of shape (rows, 1) or ()
        Step sizes, zero for rows that were rejected or are finished.
    before, after : Tensor of shape (rows,) or ()
        The time left to go, at the step's two ends.
    end : Tensor of shape (rows, width)
        The state after the step, valid until the next step is asked for.
    proposal : Tensor of shape (rows,), or None on a fixed grid
        The step sizes that the controller would take next, were there time left.
    """

    tape: Tape
    stack: Stack
    h: Tensor
    before: Tensor
    after: Tensor
    end: Tensor
    proposal: Tensor | None = None


@dataclass(eq=False)
class Stats:
    """What a solve cost.

    Attributes
    ----------
    n_rows : int
        Number of rows.
    n_stages : int
        Number of stages of the method.
    fsal : bool
        Whether the last stage of a step is the first of the next.
    nfe_forward, nfe_backward : int
        Evaluations of the field by the whole batch, a batch counting one. Backward, a pullback
        counts as an evaluation; the number is zero until the backward pass has run, and with
        `adjoint=None`, where autograd does not tell.
    n_steps : int
        Steps of the whole batch, rejected ones included; no row was tried more often.
    accepted : Tensor of shape (rows,), int64
        Steps that each row took.
    rejected : Tensor of shape (rows,), int64
        Steps that each row tried and gave up.
    nfe : Tensor of shape (rows,), int64
        Evaluations of the field that each row took part in, forward.
    first_step : Tensor of shape (), float or None
        The first step size that would have suited every row; None on a fixed grid.

    Examples
    --------
    >>> import torch
    >>> from sknode.modules import MLPField
    >>> from sknode.ode import odeint
    >>> field = MLPField(2, time_dependent=False)
    >>> stats = odeint(field, torch.ones(3, 2), torch.tensor([0.0, 1.0]), solver="rk4").stats
    >>> stats.accepted, stats.nfe_forward
    (tensor([1, 1, 1]), 4)
    """

    n_rows: int
    n_stages: int
    fsal: bool
    nfe_forward: int = 0
    nfe_backward: int = 0
    n_steps: int = 0
    _counts: Tensor | None = None
    _uncounted: list[tuple[Tensor, Tensor]] = dataclass_field(default_factory=list)
    _first_proposal: Tensor | float | None = None

    def add(self, step: Step) -> None:
        """Take note of a step.

        Counting is put off until somebody asks, or many steps have come together: a training
        step that nobody looks at does not pay for it.

        Parameters
        ----------
        step : Step
            A step of all rows, for each of which it was accepted, rejected, or of size zero.
        """
        if self.n_steps == 0:
            self._first_proposal = step.proposal
        self.n_steps += 1
        self._uncounted.append((step.before, step.after))
        if len(self._uncounted) == 64:
            self._count()

    def _count(self) -> Tensor:
        if self._uncounted:
            before, after = (torch.stack(ends) for ends in zip(*self._uncounted, strict=True))
            self._uncounted.clear()
            tried, accepted = (before != 0).sum(0), (before != after).sum(0)
            counts = torch.stack((accepted, tried - accepted))
            self._counts = counts if self._counts is None else self._counts + counts
        assert self._counts is not None
        return self._counts.reshape(2, -1).expand(2, self.n_rows)

    @property
    def accepted(self) -> Tensor:
        """Steps that each row took."""
        return self._count()[0]

    @property
    def rejected(self) -> Tensor:
        """Steps that each row tried and gave up."""
        return self._count()[1]

    @property
    def nfe(self) -> Tensor:
        """Evaluations of the field that each row took part in, forward."""
        stages = self.n_stages - 1 if self.fsal else self.n_stages
        # The evaluations outside the steps: the first stage, and the one that helps to choose
        # the first step.
        outside = self.nfe_forward - stages * self.n_steps
        return stages * self._count().sum(0) + outside

    @property
    def first_step(self) -> Tensor | float | None:
        """The first step size that would have suited every row; None on a fixed grid."""
        proposal = self._first_proposal
        return (
            torch.linalg.vector_norm(proposal, -inf) if isinstance(proposal, Tensor) else proposal
        )


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
        reading, stages = outputs.read(step), None
        stats.add(step)
        if energy is not None:
            # A trial step may have overflowed.
            stages = torch.where(step.h == 0, 0.0, step.stack.blocks[1:, :, : outputs.n])
            energy += kinetic_energy_of_step(method.tableau, stages, step.h)
        if record:
            kept.append(Recorded(step, reading, stages))
    return Trajectory(outputs.finish(step.end), stats, kept, energy)


def steps(
    workspace: Workspace, times: list[float], method: Method, stats: Stats, *, keep_tapes: bool
) -> Iterator[Step]:
    """Go from x = `workspace.stack[0]` at the first time to the last, all rows step by step.

    With `keep_tapes` each step has a tape of its own, otherwise all share one.
    """
    walk = _Walk(workspace, stats, keep_tapes)
    if method.adaptive:
        return _adaptive(walk, times[0], times[-1], method)
    return _fixed(walk, method.grid(times))


class _Walk:
    """Where a solve stands: the stack with x at its bottom, the tape, the last derivative."""

    def __init__(self, workspace: Workspace, stats: Stats, keep_tapes: bool) -> None:
        self.workspace, self.stats, self.keep_tapes = workspace, stats, keep_tapes
        self.system, self.tableau = workspace.system, workspace.tableau
        self.stack = workspace.stack
        self.x = self.stack[0]
        self.n_tapes = 1
        self.tape = workspace.tape(0) if keep_tapes else workspace.scratch()
        self.k: Tensor | None = None

    def first_stage(self) -> Tensor:
        """Return the derivative at x, which FSAL methods know from the step before."""
        if self.k is None:
            self.tape.x[0].copy_(self.x)
            self.k = self.system.evaluate(self.tape, 0)
            self.stats.nfe_forward += 1
        return self.k

    def step(self, h: Tensor) -> tuple[Tensor, Tensor | None]:
        """Try a step from x."""
        torch.mul(self.first_stage(), h, out=self.stack[1])
        self.stats.nfe_forward += self.tableau.n_stages - 1
        return take_step(self.system, self.tableau, self.stack, self.tape, h)

    def move(self, end: Tensor, k: Tensor | None, accepted: Tensor | None = None) -> None:
        """Go to the end of the step, in the rows that were accepted (None: all)."""
        previous = self.tape
        if self.keep_tapes:
            self.tape = self.workspace.tape(self.n_tapes)
            self.n_tapes += 1
        if self.tableau.fsal:
            self.tape.carry_from(previous, accepted)
        if accepted is None:
            self.x.copy_(end)
            self.k = k if self.tableau.fsal else None
        else:
            column = accepted.unsqueeze(1)
            torch.where(column, end, self.x, out=self.x)
            assert k is not None
            assert self.k is not None
            self.k = torch.where(column, k, self.k)


def _fixed(walk: _Walk, grid: list[float]) -> Iterator[Step]:
    left = _time_left(grid, walk.x).unbind()
    sizes = walk.x.new_tensor([b - a for a, b in pairwise(grid)]).unbind()
    sums = []
    for h, before, after in zip(sizes, left[:-1], left[1:], strict=True):
        end, k = walk.step(h)
        yield Step(walk.tape, walk.stack, h, before, after, end)
        walk.move(end, k)
        sums.append(end.sum())
    finite = torch.isfinite(walk.x).all(dim=1)
    if not bool(finite.all()):
        n = int(torch.isfinite(torch.stack(sums)).sum())
        raise overflow(grid, n, int((~finite).sum()), len(finite))


def _adaptive(walk: _Walk, start: float, stop: float, method: Method) -> Iterator[Step]:
    x, tableau = walk.x, method.tableau
    controller = Controller(walk.system, tableau, method.tolerance)
    error_weights = coefficients(tableau, x.dtype, x.device).error
    assert error_weights is not None
    towards = torch.minimum if stop > start else torch.maximum
    every = 1 if x.is_cpu else STEPS_BETWEEN_LOOKS
    left = x.new_full(x.shape[:1], stop - start)
    wanted = _first_steps(walk, controller, stop - start, method)
    error = torch.empty_like(x)
    for n in range(1, method.max_steps + 1):
        tried = towards(wanted, left)
        end, k = walk.step(tried.unsqueeze(1))
        walk.stack.combine(error_weights, out=error.view(-1))
        accepted, factor = controller.judge(x, end, error)
        all_accepted = every == 1 and bool(accepted.all())
        wanted = tried * factor
        h = tried if all_accepted else torch.where(accepted, tried, 0.0)
        after = left - h
        if not all_accepted:
            walk.tape.hold(accepted)
            end = torch.where(accepted.unsqueeze(1), end, x)
        yield Step(walk.tape, walk.stack, h.unsqueeze(1), left, after, end, wanted)
        look = n % every == 0 or n == method.max_steps
        if look and torch.equal(h, left):
            return
        left = after
        if look and not all_accepted:
            _check_progress(stop, left, wanted, n)
        walk.move(end, k, None if all_accepted else accepted)
    raise too_many_steps(*_failed(stop, left, left != 0, n))


def _first_steps(walk: _Walk, controller: Controller, span: float, method: Method) -> Tensor:
    if method.first_step is not None:
        given = torch.as_tensor(method.first_step, dtype=walk.x.dtype, device=walk.x.device)
        return (given if span > 0 else -given).expand(walk.x.shape[0])
    walk.first_stage()
    walk.stats.nfe_forward += 1
    k = walk.k
    assert k is not None
    size = controller.first_step(walk.x, k, span, walk.tape, method.tableau.order)
    return size if span > 0 else -size


def _check_progress(stop: float, left: Tensor, wanted: Tensor, n: int) -> None:
    """Fail if a step has become too small to change the time, or is not a number."""
    reached = stop - left
    moves = (reached + wanted - reached).abs() > 0
    stuck = (left != 0) & ~moves
    if bool(stuck.any()):
        raise step_too_small(*_failed(stop, left, stuck, n))


def _failed(stop: float, left: Tensor, rows: Tensor, n: int) -> tuple[float, int, int, int]:
    """Return the time reached by the slowest of the rows, the steps, and how many of how many."""
    reached = stop - left[rows].abs().max().item() * (1 if bool((left >= 0).all()) else -1)
    return reached, n, int(rows.sum()), len(rows)


def too_many_steps(reached: float, n: int, n_failed: int, n_rows: int) -> SolverError:
    """Return the error of rows that have not arrived after `max_steps`."""
    return SolverError(
        f"stopped at t={reached:.4g} after {n} steps in {n_failed} of {n_rows} rows; loosen "
        "`tolerance` or raise `max_steps`"
    )


def step_too_small(reached: float, n: int, n_failed: int, n_rows: int) -> SolverError:
    """Return the error of rows whose step no longer changes the time."""
    return SolverError(
        f"the step size fell below the smallest representable at t={reached:.4g} after {n} steps "
        f"in {n_failed} of {n_rows} rows; loosen `tolerance`, or check that the field is finite "
        "and smooth there (large weights or inputs make it overflow)"
    )


def overflow(grid: list[float], n: int, n_failed: int, n_rows: int) -> SolverError:
    """Return the error of rows that were last finite after n steps of a fixed grid."""
    return SolverError(
        f"the state was last finite at t={grid[n]:.4g} after {n} of {len(grid) - 1} steps, and "
        f"{n_failed} of {n_rows} rows overflowed; raise `n_steps`, or choose an adaptive `solver`"
    )


def _time_left(times: list[float], like: Tensor) -> Tensor:
    """Return the time left to go at some times; only the difference is rounded."""
    return like.new_tensor([times[-1] - t for t in times])


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
        left = _time_left(times, z0)
        # A time so near to the first that rounding makes them one belongs to the first step.
        self._left = torch.where(
            left[1:-1].abs() < left[0].abs(), left[1:-1], torch.nextafter(left[0], left[-1])
        ).unsqueeze(1)
        self._dense = coefficients(workspace.tableau, z0.dtype, z0.device).dense
        self._in_order = self._left.abs().neg().flatten().tolist()
        self._of_grid: Iterator[slice] | None = None
        if not method.adaptive:
            nodes = _time_left(method.grid(times), z0).abs().tolist()
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

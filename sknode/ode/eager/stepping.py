"""The stepping loops: a fixed grid, and adaptive with a step size for each row."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from ..failures import overflow, step_too_small, too_many_steps
from ..field import Stack, Tape
from ..settings import Method
from ..stats import Stats
from .control import Controller
from .step import coefficients, take_step
from .workspace import Workspace

__all__ = ["Step", "steps", "time_left"]

# A look at the device costs a host as much as many kernels, so off the CPU the loop looks only
# every few steps whether it is done: the steps too many are steps of size zero.
STEPS_BETWEEN_LOOKS = 4


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
        self.workspace = workspace
        self.stats = stats
        self.keep_tapes = keep_tapes
        self.system = workspace.system
        self.tableau = workspace.tableau
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
    left = time_left(grid, walk.x).unbind()
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
    x = walk.x
    tableau = method.tableau
    controller = Controller(walk.system, tableau, method.rtol, method.atol)
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


def time_left(times: list[float], like: Tensor) -> Tensor:
    """Return the time left to go at some times; only the difference is rounded."""
    return like.new_tensor([times[-1] - t for t in times])

"""Gradients of a solve: two hand-written reverse sweeps, and plain autograd.

The *discrete* adjoint goes back through the accepted steps and is the exact gradient of what was
computed, its step sizes held. With λ the cotangent of a step's end, the cotangents of its stages
are, from the last to the first,

    σ_i = b_i λ + Σ_{j>i} a_ji μ_j,    μ_i = h σ_i · ∂f/∂x (X_i),

and the cotangent of its start is λ + Σ μ_i; the parameters collect h σ_i · ∂f/∂θ.

The *continuous* adjoint (Chen et al. 2018) forgets the steps and solves z' = f together with
a' = −a · ∂f/∂z backwards in time, each row again with steps of its own. The parameters' gradient
∫ a · ∂f/∂θ dt is a quadrature with the weights b_i of those steps and stays out of the error
control (the seminorm of Kidger et al. 2021).
"""

from functools import lru_cache
from math import ceil
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable

from .field import Dynamics, Stack, Tape, bind
from .integrate import Method, Stats, Trajectory, integrate, steps
from .step import differentiable_step
from .tableau import Tableau

__all__ = ["ADJOINTS", "Problem", "solve"]


class Problem(NamedTuple):
    """A solve, and how to differentiate it."""

    field: nn.Module
    times: list[float]
    method: Method
    backward_method: Method


def solve(problem: Problem, z0: Tensor, adjoint: str | None) -> tuple[Tensor, Stats]:
    """Solve for the states (n_times, rows, *state), differentiable in `z0` and the parameters."""
    parameters = tuple(problem.field.parameters())
    if not torch.is_grad_enabled() or not any(p.requires_grad for p in (z0, *parameters)):
        with torch.no_grad():
            return _forward(problem, z0)[1:]
    if adjoint is None:
        return _solve_with_autograd(problem, z0)
    stats: list[Stats] = []
    z = ADJOINTS[adjoint].apply(problem, stats, z0, *parameters)
    return z, stats[0]


def _forward(
    problem: Problem, z0: Tensor, *, record: bool = False
) -> tuple[tuple[Dynamics, Trajectory], Tensor, Stats]:
    system = bind(problem.field, z0)
    x0 = system.extend(z0, problem.times[0])
    trajectory = integrate(system, x0, problem.times, problem.method, record=record)
    z = trajectory.x[:, :, : z0[0].numel()].reshape(-1, *z0.shape)
    return (system, trajectory), z, trajectory.stats


class _DiscreteAdjoint(Function):
    @staticmethod
    def forward(
        ctx: Any, problem: Problem, stats: list[Stats], z0: Tensor, *parameters: Tensor
    ) -> Tensor:
        (ctx.system, ctx.trajectory), z, counted = _forward(problem, z0, record=True)
        ctx.tableau = problem.method.tableau
        ctx.state_shape = z0.shape
        # The sweep does not read the parameters; saving them lets autograd complain when they
        # were changed in between.
        ctx.save_for_backward(*parameters)
        stats.append(counted)
        return z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple:
        _ = ctx.saved_tensors
        system, trajectory = ctx.system, ctx.trajectory
        g = system.extend_cotangent(g)
        start = g[0] + _reverse_sweep(system, ctx.tableau, trajectory, g)
        return None, None, _states(start, ctx.state_shape), *system.gradients()


def _reverse_sweep(
    system: Dynamics, tableau: Tableau, trajectory: Trajectory, g: Tensor
) -> Tensor:
    """Pull cotangents (n_times, rows, width) of the states back to the start, (rows, width)."""
    # The last stage of an FSAL method enters nothing but the next step, where it is the first,
    # and the interpolant.
    n = tableau.n_stages - (tableau.fsal and len(g) == 2)
    weights, total = _reverse_coefficients(tableau, n, g.dtype, g.device)
    system.begin_reverse(tableau.n_stages, weighted=False)
    cotangents = Stack(n + 1, system.shape, g)
    cotangents[0].copy_(g[-1])
    start = torch.empty_like(g[0])
    for step, dense in reversed(trajectory.record):
        read_off = None if dense is None else torch.einsum("skr,krd->srd", dense, g[1:-1])
        for i in reversed(range(n)):
            cotangents.combine(weights[i], out=system.v.flat[i])
            if read_off is not None:
                system.v[i].add_(read_off[i + 1])
            system.v[i].mul_(step.h)
            system.pullback(step.tape, i, out=cotangents[n - i])
        system.accumulate(step.tape, range(n))
        cotangents.combine(total, out=start.view(-1))
        if read_off is not None:
            start.add_(read_off[0])
        cotangents[0].copy_(start)
    trajectory.stats.nfe_backward += n * len(trajectory.record)
    return start


@lru_cache(maxsize=64)
def _reverse_coefficients(
    tableau: Tableau, n: int, dtype: torch.dtype, device: torch.device
) -> tuple[list[Tensor], Tensor]:
    """Weights of (λ, μ_n, ..., μ_{i+1}) in σ_i, for each of the first n stages, and of their sum."""
    rows = [
        [tableau.b[i], *(tableau.a[j][i] for j in reversed(range(i + 1, n)))] for i in range(n)
    ]
    weights = [torch.tensor(row, dtype=dtype, device=device) for row in rows]
    return weights, torch.ones(n + 1, dtype=dtype, device=device)


class _ContinuousAdjoint(Function):
    @staticmethod
    def forward(
        ctx: Any, problem: Problem, stats: list[Stats], z0: Tensor, *parameters: Tensor
    ) -> Tensor:
        _, z, counted = _forward(problem, z0)
        ctx.problem, ctx.stats = problem, counted
        ctx.save_for_backward(z, *parameters)
        stats.append(counted)
        return z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple:
        z = ctx.saved_tensors[0]
        problem: Problem = ctx.problem
        system = _AdjointDynamics(bind(problem.field, z[0]))
        system.begin_reverse(problem.method.tableau.n_stages, weighted=True)
        g = system.field.extend_cotangent(g)
        times = problem.times
        a = g[-1]
        # Each stretch between two times starts from the state that the forward pass found there.
        for i in reversed(range(1, len(times))):
            x = system.field.extend(z[i], times[i])
            a = _pull_back(system, x, a, times[i], times[i - 1], problem, ctx.stats) + g[i - 1]
        return None, None, _states(a, z[0].shape), *system.gradients()


def _pull_back(
    system: "_AdjointDynamics",
    x: Tensor,
    a: Tensor,
    start: float,
    stop: float,
    problem: Problem,
    forward_stats: Stats,
) -> Tensor:
    """Solve the adjoint ODE from `start` back to `stop`, collecting the parameters' gradient."""
    # The ODE is linear in a, so each row's cotangent is scaled to size one: the tolerance then
    # means the same for a mean loss as for a sum, and for any number of rows.
    size = a.square().sum(1, keepdim=True).div_(system.field.n_controlled).sqrt_()
    size = torch.where(size == 0, 1.0, size)
    method = _backward_method(problem, abs(stop - start))
    tableau = method.tableau
    n = tableau.n_stages - tableau.fsal
    b = a.new_tensor(tableau.b[:n]).view(n, 1, 1)
    stats = Stats(len(x), tableau.n_stages, tableau.fsal)
    end = x
    ends = [start, stop]
    for step in steps(system, torch.cat((x, a / size), 1), ends, method, stats, keep_tapes=False):
        system.accumulate(step.tape, range(n), -b * (step.h * size))
        end = step.end
    forward_stats.nfe_backward += stats.nfe_forward
    return end[:, x.shape[1] :] * size


def _backward_method(problem: Problem, span: float) -> Method:
    """Give a stretch its share of the steps of a fixed grid."""
    method = problem.backward_method
    if method.n_steps is None:
        return method
    whole = abs(problem.times[-1] - problem.times[0])
    # Less a little, lest rounding turn a share of 2.0000000000000004 into 3 steps.
    return method._replace(n_steps=max(1, ceil(method.n_steps * span / whole - 1e-9)))


class _AdjointTape(Tape):
    def __init__(self, n_stages: int, system: "_AdjointDynamics") -> None:
        super().__init__(n_stages, system.shape, system.controlled)
        self.field = system.field.new_tape(n_stages)
        self.buffers += [*self.field.buffers, *system.field.cotangents]


class _AdjointDynamics(Dynamics):
    """The extended state x together with its cotangent a: (F(x), −a · ∂F/∂x)."""

    def __init__(self, field: Dynamics) -> None:
        self.field = field
        rows, width = field.shape
        self.shape = (rows, 2 * width)
        self.n_controlled = 2 * field.n_controlled
        self.controlled = torch.cat((field.controlled, field.controlled))
        self._pulled = field.controlled.new_empty(field.shape)

    def new_tape(self, n_stages: int) -> _AdjointTape:
        return _AdjointTape(n_stages, self)

    def evaluate(self, tape: Tape, stage: int) -> Tensor:
        assert isinstance(tape, _AdjointTape)
        width = self.field.shape[1]
        tape.field.x[stage].copy_(tape.x[stage][:, :width])
        self.field.v[stage].copy_(tape.x[stage][:, width:])
        derivative = self.field.evaluate(tape.field, stage)
        self.field.pullback(tape.field, stage, out=self._pulled)
        return torch.cat((derivative, self._pulled.neg()), 1)

    def begin_reverse(self, n_stages: int, *, weighted: bool) -> None:
        self.field.begin_reverse(n_stages, weighted=weighted)

    def pullback(self, tape: Tape, stage: int, out: Tensor) -> None:
        raise NotImplementedError("the adjoint ODE is not differentiated again")

    def accumulate(self, tape: Tape, stages: range, weights: Tensor | None = None) -> None:
        assert isinstance(tape, _AdjointTape)
        self.field.accumulate(tape.field, stages, weights)

    def gradients(self) -> list[Tensor | None]:
        return self.field.gradients()


def _solve_with_autograd(problem: Problem, z0: Tensor) -> tuple[Tensor, Stats]:
    """Find the steps without a graph, then take them again with one.

    The second pass knows which rows each step moves and by how much, so the graph holds neither
    trial steps nor step-size control.
    """
    with torch.no_grad():
        (_, trajectory), _, stats = _forward(problem, z0, record=True)
    column = (-1, *[1] * (z0.ndim - 1))
    z, between = z0, z0.new_zeros((len(problem.times) - 2, *z0.shape))
    for step, dense in trajectory.record:
        t = (problem.times[-1] - step.before).view(column).expand(len(z0), *column[1:])
        h = step.h.view(column)
        start = z
        z, stages = differentiable_step(problem.field, problem.method.tableau, t, z, h)
        if dense is not None:
            between = between + torch.einsum("skr,sr...->kr...", dense, torch.stack([start, *stages]))
    return torch.cat((z0.unsqueeze(0), between, z.unsqueeze(0))), stats


def _states(x: Tensor, shape: torch.Size) -> Tensor:
    return x[:, : shape[1:].numel()].reshape(shape)


ADJOINTS = {"discrete": _DiscreteAdjoint, "continuous": _ContinuousAdjoint}

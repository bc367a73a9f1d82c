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

The kinetic energy E = ∫ mean(f²) |dt| is a quadrature with those weights, too. With g its cotangent
and p = ±2g/n the *pull*, the cotangent of k_i in the discrete adjoint is h σ_i + p·b_i·S_i, and
that of f in the continuous one a + p·f.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable

from .field import Dynamics, Tape, bind
from .integrate import Method, Recorded, Stats, Trajectory, integrate, steps
from .step import differentiable_step, kinetic_energy_of_step
from .tableau import Tableau
from .workspace import Lease, Pool, Workspace, lease

__all__ = [
    "ADJOINTS",
    "Settings",
    "apply",
    "mean_square_of_pull",
    "pull_of_energy",
    "solve",
    "stages_of_a_sweep",
    "wants_gradient",
]


class Settings(NamedTuple):
    """How to solve forward, how to solve the continuous adjoint, which adjoint to take, and where.

    `engine` is "auto", "native" or "eager"; `kinetic_energy` tells whether it is wanted.
    """

    method: Method
    backward_method: Method
    adjoint: str | None
    engine: str = "auto"
    kinetic_energy: bool = False

    def method_of_stretch(self, start: float, stop: float, times: list[float]) -> Method:
        """Return the backward method for one stretch, with its share of the steps of a grid."""
        return self.backward_method.stretched(abs(stop - start) / abs(times[-1] - times[0]))


class Problem(NamedTuple):
    """A field to be solved between times."""

    field: nn.Module
    parameters: tuple[Tensor, ...]
    times: list[float]
    settings: Settings
    pool: Pool | None

    def integrate(self, z0: Tensor, *, record: bool = False) -> tuple[Lease, Trajectory]:
        """Solve from `z0`; the workspace is the solve's own while the lease is held."""
        method, energy = self.settings.method, self.settings.kinetic_energy
        held = lease(self.field, self.parameters, z0, method.tableau, self.pool)
        return held, integrate(
            held.workspace, z0, self.times, method, record=record, kinetic_energy=energy
        )


def solve(
    field: nn.Module,
    parameters: tuple[Tensor, ...],
    z0: Tensor,
    times: list[float],
    settings: Settings,
    pool: Pool | None,
) -> tuple[Tensor, Stats, Tensor | None]:
    """Solve for the states at all times but the first, one below the other, (rows, *state) each.

    The last of the three is the kinetic energy (rows,), or None if it is not wanted. Both are
    differentiable in `z0` and the parameters, those of `parameters_of` the field.
    """
    problem = Problem(field, parameters, times, settings, pool)
    if not wants_gradient(z0, parameters):
        with torch.no_grad():
            _, trajectory = problem.integrate(z0)
        z = trajectory.z.view(-1, *z0.shape[1:])
        return z, trajectory.stats, trajectory.kinetic_energy
    if settings.adjoint is None:
        return _solve_with_autograd(problem, z0)
    return apply(FUNCTIONS[settings.adjoint], problem, z0, parameters)


def wants_gradient(z0: Tensor, parameters: tuple[Tensor, ...]) -> bool:
    """Return whether autograd follows a solve."""
    return torch.is_grad_enabled() and any(p.requires_grad for p in (z0, *parameters))


def apply(
    function: type[Function], problem: NamedTuple, z0: Tensor, parameters: tuple[Tensor, ...]
) -> tuple[Tensor, Stats, Tensor | None]:
    """Solve a problem in an autograd function, which leaves its stats in a list it is given."""
    stats: list[Stats] = []
    z, energy = function.apply(problem, stats, z0, *parameters)
    return z, stats[0], energy


def pull_of_energy(g: Tensor | None, times: list[float], n: int) -> Tensor | None:
    """Return the factors (rows, 1) of f in the cotangent of f, where g (rows,) is that of E.

    States have n dimensions; None without an energy.
    """
    if g is None:
        return None
    direction = 1.0 if times[-1] > times[0] else -1.0
    return g.unsqueeze(1) * (2.0 * direction / n)


def mean_square_of_pull(pull: Tensor, energy: Tensor, times: list[float]) -> Tensor:
    """Return the mean of (p·f)² over the dimensions and over the way, (rows, 1)."""
    # A method with negative weights may find a negative energy on a coarse grid.
    return pull.square() * energy.abs().unsqueeze(1) / abs(times[-1] - times[0])


def stages_of_a_sweep(tableau: Tableau, n_outputs: int) -> int:
    """Return how many stages of a step the reverse sweep goes through.

    The last stage of an FSAL method enters nothing but the next step, where it is the first, and
    the interpolant.
    """
    return tableau.n_stages - (tableau.fsal and n_outputs == 1)


class _DiscreteAdjoint(Function):
    @staticmethod
    def forward(
        ctx: Any, problem: Problem, stats: list[Stats], z0: Tensor, *parameters: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        ctx.lease, trajectory = problem.integrate(z0, record=True)
        # Not the outputs themselves: they would hold the graph that holds them.
        ctx.record, ctx.stats, ctx.times = trajectory.record, trajectory.stats, problem.times
        # The sweep does not read the parameters; saving them lets autograd complain when they
        # were changed in between.
        ctx.save_for_backward(*parameters)
        stats.append(trajectory.stats)
        ctx.shape = z0.shape
        return trajectory.z.view(-1, *z0.shape[1:]), trajectory.kinetic_energy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, g_energy: Tensor | None) -> tuple:
        _ = ctx.saved_tensors
        workspace = ctx.lease.workspace
        wanted = ctx.needs_input_grad[2]
        n = ctx.shape[1:].numel()
        g = g.reshape(-1, ctx.shape[0], n)
        pull = pull_of_energy(g_energy, ctx.times, n)
        with ctx.lease.lock:
            start = _reverse_sweep(workspace, ctx.record, g, pull, start_wanted=wanted)
            ctx.stats.nfe_backward += stages_of_a_sweep(workspace.tableau, len(g)) * len(ctx.record)
            gradients = workspace.system.gradients()
        z0 = _states(start, ctx.shape) if wanted else None
        return None, None, z0, *gradients


def _reverse_sweep(
    workspace: Workspace,
    record: list[Recorded],
    g: Tensor,
    pull: Tensor | None,
    *,
    start_wanted: bool,
) -> Tensor:
    """Pull cotangents (n_times - 1, rows, n) of the states back to the start, (rows, width).

    Unless the start's is wanted, the parameters' gradient alone is computed.
    """
    system, tableau = workspace.system, workspace.tableau
    n = stages_of_a_sweep(tableau, g.shape[0])
    weights, total = _reverse_coefficients(tableau, n, g.dtype, g.device)
    system.begin_reverse(tableau.n_stages, weighted=False)
    cotangents = workspace.cotangents(n)
    system.enter(g[-1], 0.0, out=cotangents[0])
    start = torch.empty_like(cotangents[0])
    for left, (step, reading, stages) in reversed(list(enumerate(record))):
        read_off = None
        if reading is not None:
            read_off = torch.einsum("skr,krd->srd", reading.weights, g[reading.times])
        system.linearise(step.tape)
        for i in reversed(range(n)):
            cotangents.combine(weights[i], out=system.v.flat[i])
            if read_off is not None:
                system.v[i][:, : g.shape[2]].add_(read_off[i + 1])
            system.v[i].mul_(step.h)
            if stages is not None and pull is not None:
                system.v[i][:, : g.shape[2]].addcmul_(stages[i], pull, value=tableau.b[i])
            wanted = left or i or start_wanted
            system.pullback(step.tape, i, out=cotangents[n - i] if wanted else None)
        system.accumulate(step.tape, n)
        if not (left or start_wanted):
            break
        cotangents.combine(total, out=start.view(-1))
        if read_off is not None:
            start[:, : g.shape[2]].add_(read_off[0])
        cotangents[0].copy_(start)
    return start


@lru_cache(maxsize=64)
def _reverse_coefficients(
    tableau: Tableau, n: int, dtype: torch.dtype, device: torch.device
) -> tuple[list[Tensor], Tensor]:
    """Weights of (λ, μ_n, ..., μ_{i+1}) in σ_i, for the first n stages, and of their sum."""
    rows = [[tableau.b[i], *(tableau.a[j][i] for j in reversed(range(i + 1, n)))] for i in range(n)]
    weights = [torch.tensor(row, dtype=dtype, device=device) for row in rows]
    return weights, torch.ones(n + 1, dtype=dtype, device=device)


class _ContinuousAdjoint(Function):
    @staticmethod
    def forward(
        ctx: Any, problem: Problem, stats: list[Stats], z0: Tensor, *parameters: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        _, trajectory = problem.integrate(z0)
        z = trajectory.z.view(-1, *z0.shape[1:])
        ctx.problem, ctx.stats, ctx.shape = problem, trajectory.stats, z0.shape
        ctx.save_for_backward(z, trajectory.kinetic_energy, *parameters)
        stats.append(trajectory.stats)
        return z, trajectory.kinetic_energy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, g_energy: Tensor | None) -> tuple:
        z, energy, *parameters = ctx.saved_tensors
        z = z.view(-1, *ctx.shape)
        g = g.reshape(z.shape)
        times = ctx.problem.times
        field = bind(ctx.problem.field, z[0])
        field.load(parameters)
        pull = pull_of_energy(g_energy, times, g[0, 0].numel())
        square = None if pull is None else mean_square_of_pull(pull, energy, times)
        system = _AdjointDynamics(field, pull, square)
        tableau = ctx.problem.settings.method.tableau
        system.begin_reverse(tableau.n_stages, weighted=True)
        workspace = Workspace(system, tableau)
        a = torch.zeros_like(g[0]).flatten(1)
        # Each stretch between two times starts from the state that the forward pass found there.
        for i in reversed(range(len(z))):
            a = a + g[i].flatten(1)
            a = _pull_back(workspace, z[i], a, times[i + 1], times[i], ctx.problem, ctx.stats)
        return None, None, a.view(ctx.shape), *system.gradients()


def _pull_back(
    workspace: Workspace,
    z: Tensor,
    a: Tensor,
    start: float,
    stop: float,
    problem: Problem,
    forward_stats: Stats,
) -> Tensor:
    """Solve the adjoint ODE from `start` back to `stop`, collecting the parameters' gradient."""
    system, tableau = workspace.system, workspace.tableau
    assert isinstance(system, _AdjointDynamics)
    size = system.enter_both(z, a, start, out=workspace.stack[0])
    n = tableau.n_stages - tableau.fsal
    b = a.new_tensor(tableau.b[:n]).view(n, 1, 1)
    stats = Stats(len(a), tableau.n_stages, tableau.fsal)
    method = problem.settings.method_of_stretch(start, stop, problem.times)
    for step in steps(workspace, [start, stop], method, stats, keep_tapes=False):
        system.accumulate(step.tape, n, -b * (step.h * size))
    forward_stats.nfe_backward += stats.nfe_forward
    width = system.field.shape[1]
    return step.end[:, width : width + a.shape[1]] * size


class _AdjointTape(Tape):
    def __init__(self, n_stages: int, system: "_AdjointDynamics") -> None:
        super().__init__(n_stages, system.shape, system.controlled)
        self.field = system.field.new_tape(n_stages)
        self.buffers += [*self.field.buffers, *system.field.cotangents]


class _AdjointDynamics(Dynamics):
    """The extended state x together with its cotangent a: (F(x), −(a + p·F) · ∂F/∂x).

    `pull` is p, (rows, 1), or None without an energy, and `square` its `mean_square_of_pull`.
    """

    def __init__(self, field: Dynamics, pull: Tensor | None, square: Tensor | None) -> None:
        self.field = field
        self._pull, self._square = pull, square
        rows, width = field.shape
        self.shape = (rows, 2 * width)
        self.n_controlled = 2 * field.n_controlled
        self.controlled = torch.cat((field.controlled, field.controlled))
        self._pulled = field.controlled.new_empty(field.shape)
        self._pulled_time = self._pulled[:, field.n_controlled :]

    def enter_both(self, z: Tensor, a: Tensor, t: float, out: Tensor) -> Tensor:
        """Write states (rows, *state) at time t and scaled cotangents (rows, n) into `out`.

        The ODE is linear in a and p, so each row's are scaled to size one: the tolerance then
        means the same for a mean loss as for a sum, and for any number of rows. Returns the sizes,
        (rows, 1).
        """
        square = a.square().mean(1, keepdim=True)
        size = (square if self._square is None else square + self._square).sqrt_()
        size = torch.where(size == 0, 1.0, size)
        self._scaled_pull = None if self._pull is None else self._pull / size
        width = self.field.shape[1]
        self.field.enter(z, t, out=out[:, :width])
        self.field.enter(a / size, 0.0, out=out[:, width:])
        return size

    def new_tape(self, n_stages: int) -> _AdjointTape:
        return _AdjointTape(n_stages, self)

    def evaluate(self, tape: Tape, stage: int) -> Tensor:
        assert isinstance(tape, _AdjointTape)
        width = self.field.shape[1]
        tape.field.x[stage].copy_(tape.x[stage][:, :width])
        self.field.v[stage].copy_(tape.x[stage][:, width:])
        derivative = self.field.evaluate(tape.field, stage)
        if self._scaled_pull is not None:
            self.field.v[stage].addcmul_(derivative, self._scaled_pull)
        self.field.linearise(tape.field, stage)
        self.field.pullback(tape.field, stage, out=self._pulled)
        # It has no say in the error.
        self._pulled_time.zero_()
        return torch.cat((derivative, self._pulled.neg()), 1)

    def begin_reverse(self, n_stages: int, *, weighted: bool) -> None:
        self.field.begin_reverse(n_stages, weighted=weighted)

    def pullback(self, tape: Tape, stage: int, out: Tensor | None) -> None:
        raise NotImplementedError("the adjoint ODE is not differentiated again")

    def accumulate(self, tape: Tape, n_stages: int, weights: Tensor | None = None) -> None:
        assert isinstance(tape, _AdjointTape)
        self.field.accumulate(tape.field, n_stages, weights)

    def gradients(self) -> list[Tensor | None]:
        return self.field.gradients()


def _solve_with_autograd(problem: Problem, z0: Tensor) -> tuple[Tensor, Stats, Tensor | None]:
    """Find the steps without a graph, then take them again with one.

    The second pass knows which rows each step moves and by how much, so the graph holds neither
    trial steps nor step-size control.
    """
    tableau = problem.settings.method.tableau
    with torch.no_grad():
        _, trajectory = problem.integrate(z0, record=True)
    energy = z0.new_zeros(len(z0)) if problem.settings.kinetic_energy else None
    column = (-1, *[1] * (z0.ndim - 1))
    z, read, places = z0, [], []
    for step, reading, _ in trajectory.record:
        t = (problem.times[-1] - step.before).view(column).expand(len(z0), *column[1:])
        start = z
        z, stages = differentiable_step(problem.field, tableau, t, z, step.h.view(column))
        if energy is not None:
            energy = energy + kinetic_energy_of_step(tableau, torch.stack(stages), step.h)
        if reading is not None:
            stack = torch.stack([start, *stages])
            read.append(torch.einsum("skr,sr...->kr...", reading.weights, stack))
            places.append(torch.arange(reading.times.start, reading.times.stop))
    between = z0.new_zeros((len(problem.times) - 2, *z0.shape))
    if read:
        between = between.index_add(0, torch.cat(places).to(z0.device), torch.cat(read))
    return torch.cat((between.flatten(0, 1), z)), trajectory.stats, energy


def _states(x: Tensor, shape: torch.Size) -> Tensor:
    return x[:, : shape[1:].numel()].reshape(shape)


FUNCTIONS = {"discrete": _DiscreteAdjoint, "continuous": _ContinuousAdjoint}
ADJOINTS = (*FUNCTIONS, None)

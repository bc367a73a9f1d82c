"""The continuous adjoint (Chen et al. 2018): another ODE, solved backwards.

It forgets the steps and solves z' = f together with a' = −a · ∂f/∂z backwards in time, each row
again with steps of its own. The parameters' gradient ∫ a · ∂f/∂θ dt is a quadrature with the
weights b_i of those steps and stays out of the error control (the seminorm of Kidger et al. 2021).

With g the cotangent of the kinetic energy E = ∫ mean(f²) |dt| and p = ±2g/n the *pull*, the
cotangent of f is a + p·f.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from ..field import Dynamics, Tape
from ..gradients import mean_square_of_pull, pull_of_energy
from ..stats import Stats
from .integrate import EagerProblem
from .module import bind
from .stepping import steps
from .workspace import Workspace

__all__ = ["EagerContinuousAdjoint"]


class EagerContinuousAdjoint(Function):
    """A solve that is differentiated by the continuous adjoint."""

    @staticmethod
    def forward(
        ctx: Any, problem: EagerProblem, notes: list[Stats], z0: Tensor, *parameters: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Solve, and keep the states."""
        _, trajectory = problem.integrate(z0)
        z = trajectory.z.view(-1, *z0.shape[1:])
        ctx.problem = problem
        ctx.stats = trajectory.stats
        ctx.shape = z0.shape
        ctx.save_for_backward(z, trajectory.kinetic_energy, *parameters)
        notes.append(trajectory.stats)
        return z, trajectory.kinetic_energy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, g_energy: Tensor | None) -> tuple:
        """Return the gradients of the initial state and the parameters."""
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
        # Each stretch starts from the state that the forward pass found at its later time.
        for i in reversed(range(len(z))):
            a = a + g[i].flatten(1)
            stretch = times[i + 1], times[i]
            a = _pull_back(system, workspace, z[i], a, stretch, ctx.problem, ctx.stats)
        return None, None, a.view(ctx.shape), *system.gradients()


def _pull_back(
    system: "_AdjointDynamics",
    workspace: Workspace,
    z: Tensor,
    a: Tensor,
    stretch: tuple[float, float],
    problem: EagerProblem,
    forward_stats: Stats,
) -> Tensor:
    """Solve the adjoint ODE over a stretch of time, collecting the parameters' gradient."""
    start, stop = stretch
    tableau = workspace.tableau
    size = system.enter_both(z, a, start, out=workspace.stack[0])
    n = tableau.n_stages - tableau.fsal
    b = a.new_tensor(tableau.b[:n]).view(n, 1, 1)
    stats = Stats(len(a), tableau.n_stages, tableau.fsal)
    method = problem.settings.method_of_stretch(start, stop, problem.times)
    for step in steps(workspace, [start, stop], method, stats, keep_tapes=False):
        workspace.system.accumulate(step.tape, n, -b * (step.h * size))
    forward_stats.nfe_backward += stats.nfe_forward
    width = system.field.shape[1]
    return step.end[:, width : width + a.shape[1]] * size


class _AdjointTape(Tape):
    def __init__(self, n_stages: int, system: "_AdjointDynamics") -> None:
        super().__init__(n_stages, system.shape, system.controlled)
        self.field = system.field.new_tape(n_stages)
        self.buffers += [*self.field.buffers, *system.field.cotangents]


class _AdjointDynamics(Dynamics[_AdjointTape]):
    """The extended state x together with its cotangent a: (F(x), −(a + p·F) · ∂F/∂x).

    `pull` is p, (rows, 1), or None without an energy, and `square` its `mean_square_of_pull`.
    """

    def __init__(self, field: Dynamics, pull: Tensor | None, square: Tensor | None) -> None:
        self.field = field
        self._pull = pull
        self._square = square
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

    def evaluate(self, tape: _AdjointTape, stage: int) -> Tensor:
        width = self.field.shape[1]
        tape.field.x[stage].copy_(tape.x[stage][:, :width])
        self.field.v[stage].copy_(tape.x[stage][:, width:])
        derivative = self.field.evaluate(tape.field, stage)
        if self._scaled_pull is not None:
            self.field.v[stage].addcmul_(derivative, self._scaled_pull)
        self.field.linearise(tape.field, stage)
        self.field.pullback(tape.field, stage, out=self._pulled)
        # The time's cotangent has no say in the error.
        self._pulled_time.zero_()
        return torch.cat((derivative, self._pulled.neg()), 1)

    def begin_reverse(self, n_stages: int, *, weighted: bool) -> None:
        self.field.begin_reverse(n_stages, weighted=weighted)

    def pullback(self, tape: _AdjointTape, stage: int, out: Tensor | None) -> None:
        raise NotImplementedError("the adjoint ODE is not differentiated again")

    def accumulate(self, tape: _AdjointTape, n_stages: int, weights: Tensor | None = None) -> None:
        self.field.accumulate(tape.field, n_stages, weights)

    def gradients(self) -> list[Tensor | None]:
        return self.field.gradients()

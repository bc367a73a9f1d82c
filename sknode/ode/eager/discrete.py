"""The discrete adjoint: a reverse sweep through the accepted steps.

It is the exact gradient of what was computed, the step sizes held. With λ the cotangent of a
step's end, the cotangents of its stages are, from the last to the first,

    σ_i = b_i λ + Σ_{j>i} a_ji μ_j,    μ_i = h σ_i · ∂f/∂x (X_i),

and the cotangent of its start is λ + Σ μ_i; the parameters collect h σ_i · ∂f/∂θ.

The kinetic energy E = ∫ mean(f²) |dt| is a quadrature with the weights b_i. With g its cotangent
and p = ±2g/n the *pull*, the cotangent of k_i is h σ_i + p·b_i·S_i.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from ..gradients import pull_of_energy, stages_of_a_sweep
from ..stats import Stats
from ..tableau import Tableau
from .integrate import EagerProblem, Recorded
from .workspace import Workspace

__all__ = ["EagerDiscreteAdjoint"]


class EagerDiscreteAdjoint(Function):
    """A solve that is differentiated by the discrete adjoint."""

    @staticmethod
    def forward(
        ctx: Any, problem: EagerProblem, notes: list[Stats], z0: Tensor, *parameters: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Solve, and keep the steps."""
        ctx.lease, trajectory = problem.integrate(z0, record=True)
        # The outputs themselves are not kept: they would hold the graph that holds them.
        ctx.record = trajectory.record
        ctx.stats = trajectory.stats
        ctx.times = problem.times
        ctx.shape = z0.shape
        # The sweep does not read the parameters; saving them lets autograd complain when they
        # were changed in between.
        ctx.save_for_backward(*parameters)
        notes.append(trajectory.stats)
        return trajectory.z.view(-1, *z0.shape[1:]), trajectory.kinetic_energy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, g_energy: Tensor | None) -> tuple:
        """Return the gradients of the initial state and the parameters."""
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
    system = workspace.system
    tableau = workspace.tableau
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


def _states(x: Tensor, shape: torch.Size) -> Tensor:
    return x[:, : shape[1:].numel()].reshape(shape)

"""One explicit Runge-Kutta step of a whole batch.

Stages are kept times the step size, S_i = h k_i, and every row has its own h. A row with h = 0
stands still, whatever its stages hold, so rejected and finished rows need no mask: neither on
the way forward nor in the reverse sweep.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ..field import Dynamics, Stack, Tape
from ..tableau import Tableau

__all__ = [
    "Coefficients",
    "coefficients",
    "differentiable_step",
    "kinetic_energy_of_step",
    "take_step",
]


class Coefficients(NamedTuple):
    """A tableau as tensors, laid out for weighted sums over a `Stack`.

    stages[i], end : weights of (x, S_1, S_2, ...) in the argument of stage i and in the solution.
    error : weights of (x, S_1, ..., S_s) in the error estimate.
    dense : (stages, powers), coefficients of θ, θ², ... in the interpolant.
    """

    stages: tuple[Tensor, ...]
    end: Tensor
    error: Tensor | None
    dense: Tensor


@lru_cache(maxsize=64)
def coefficients(tableau: Tableau, dtype: torch.dtype, device: torch.device) -> Coefficients:
    """Return the tableau's numbers as tensors of the given kind."""

    def tensor(numbers: tuple) -> Tensor:
        return torch.tensor(numbers, dtype=dtype, device=device)

    return Coefficients(
        stages=tuple(tensor((1.0, *row)) for row in tableau.a),
        end=tensor((1.0, *tableau.b)),
        error=None if tableau.b_error is None else tensor((0.0, *tableau.b_error)),
        dense=tensor(tableau.b_dense),
    )


def take_step(
    system: Dynamics, tableau: Tableau, stack: Stack, tape: Tape, h: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Take one step from x = `stack[0]`, with S_1 = `stack[1]` already there.

    Parameters
    ----------
    h : Tensor of shape (rows, 1) or ()
        Step sizes.

    Returns
    -------
    end : Tensor of shape (rows, width)
        The state after the step; for a method with FSAL a view of the tape.
    k : Tensor of shape (rows, width), or None for a method of one stage
        The derivative at the last stage.
    """
    weights = coefficients(tableau, h.dtype, h.device)
    k = None
    for i in range(1, tableau.n_stages):
        stack.combine(weights.stages[i], out=tape.x.flat[i])
        k = system.evaluate(tape, i)
        torch.mul(k, h, out=stack[i + 1])
    if tableau.fsal:
        return tape.x[tableau.n_stages - 1], k
    end = torch.empty_like(stack[0])
    stack.combine(weights.end, out=end.view(-1))
    return end, k


def differentiable_step(
    f: Callable[[Tensor, Tensor], Tensor], tableau: Tableau, t: Tensor, z: Tensor, h: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Take the same step in operations that autograd can follow.

    Returns the state after the step and the stages S_i, both of the shape of `z`.
    """
    stages: list[Tensor] = []
    for c, row in zip(tableau.c, tableau.a, strict=True):
        stages.append(h * f(t + c * h, _weighted_sum(z, row, stages)))
    return _weighted_sum(z, tableau.b, stages), stages


def kinetic_energy_of_step(tableau: Tableau, stages: Tensor, h: Tensor) -> Tensor:
    """Return ∫ mean(f²) |dt| over a step, (rows,), by the method's own quadrature.

    Parameters
    ----------
    stages : Tensor of shape (stages, rows, *state)
        S_i, zero in rows whose h is.
    h : Tensor of shape (rows, 1, ...) or ()
        Step sizes.
    """
    b = coefficients(tableau, h.dtype, h.device).end[1:]
    length = torch.where(h == 0, 1.0, h.abs()).view(-1)
    return b @ stages.flatten(2).square().mean(2) / length


def _weighted_sum(z: Tensor, weights: tuple[float, ...], stages: list[Tensor]) -> Tensor:
    for weight, stage in zip(weights, stages, strict=True):
        if weight:
            z = torch.add(z, stage, alpha=weight)
    return z

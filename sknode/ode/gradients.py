"""What the adjoints of both engines have in common."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import Function

from .stats import Stats
from .tableau import Tableau

__all__ = [
    "apply",
    "mean_square_of_pull",
    "pull_of_energy",
    "stages_of_a_sweep",
    "wants_gradient",
]


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

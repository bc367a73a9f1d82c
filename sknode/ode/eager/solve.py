"""The eager engine: torch, for every field and device."""

import torch
from torch import Tensor, nn

from ..gradients import apply, wants_gradient
from ..pool import Pool
from ..settings import Settings
from ..stats import Stats
from .continuous import EagerContinuousAdjoint
from .discrete import EagerDiscreteAdjoint
from .integrate import EagerProblem
from .step import differentiable_step, kinetic_energy_of_step

__all__ = ["solve_eagerly"]

FUNCTIONS = {"discrete": EagerDiscreteAdjoint, "continuous": EagerContinuousAdjoint}


def solve_eagerly(
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
    problem = EagerProblem(field, parameters, times, settings, pool)
    if not wants_gradient(z0, parameters):
        with torch.no_grad():
            _, trajectory = problem.integrate(z0)
        z = trajectory.z.view(-1, *z0.shape[1:])
        return z, trajectory.stats, trajectory.kinetic_energy
    if settings.adjoint is None:
        return _solve_with_autograd(problem, z0)
    return apply(FUNCTIONS[settings.adjoint], problem, z0, parameters)


def _solve_with_autograd(problem: EagerProblem, z0: Tensor) -> tuple[Tensor, Stats, Tensor | None]:
    """Find the steps without a graph, then take them again with one.

    The second pass knows which rows each step moves and by how much, so the graph holds neither
    trial steps nor step-size control.
    """
    tableau = problem.settings.method.tableau
    with torch.no_grad():
        _, trajectory = problem.integrate(z0, record=True)
    energy = z0.new_zeros(len(z0)) if problem.settings.kinetic_energy else None
    column = (-1, *[1] * (z0.ndim - 1))
    z = z0
    read = []
    places = []
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

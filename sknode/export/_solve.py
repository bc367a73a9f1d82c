"""A solve as a sequence of steps that are known beforehand."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

from .._checks import check_count
from ..modules import ODEBlock, ResidualBlocks
from ..ode.tableau import Tableau
from ._graph import Graph

__all__ = ["Slope", "Way", "append_solve", "ways_of"]

N_STEPS = 10
# A graph of so many steps has tens of thousands of nodes and more.
MOST_STEPS = 1000

Slope: TypeAlias = Callable[[float, str], str]
"""Appends f(t, z), given t and the name of z."""


class Way(NamedTuple):
    """A block, and the ends of its steps."""

    block: ODEBlock
    grid: list[float]

    @property
    def n_steps(self) -> int:
        """The number of steps."""
        return len(self.grid) - 1


def ways_of(block: ODEBlock | ResidualBlocks, n_steps: Any) -> list[Way]:
    """Return the solves from z(0) to z(1), one after the other."""
    if n_steps is not None:
        n_steps = check_count("n_steps", n_steps, MOST_STEPS)
    if isinstance(block, ODEBlock) and block.settings.method.adaptive:
        method = block.settings.method._replace(n_steps=n_steps or N_STEPS)
        return [Way(block, method.grid([0.0, block.t1]))]
    blocks = block.ordered if isinstance(block, ResidualBlocks) else [block]
    ways = [Way(each, each.settings.method.grid([0.0, each.t1])) for each in blocks]
    n_own = sum(way.n_steps for way in ways)
    if n_own > MOST_STEPS:
        raise ValueError(f"at most {MOST_STEPS} steps are exported, the estimator takes {n_own}")
    if n_steps not in (None, n_own):
        raise ValueError(
            f"the number of steps is fixed, n_steps={n_own}; leave n_steps out, got {n_steps}"
        )
    return ways


def append_solve(graph: Graph, way: Way, slope: Slope, z: str) -> str:
    """Append all steps of a way from z."""
    tableau = way.block.settings.method.tableau
    for start, stop in pairwise(way.grid):
        z = _step(graph, tableau, slope, start, stop - start, z)
    return z


def _step(graph: Graph, tableau: Tableau, slope: Slope, t: float, h: float, z: str) -> str:
    """Append one step of size h from z at t."""
    # The last stage of a FSAL method weighs nothing: on a grid it would only be computed twice.
    n_stages = max(i for i, weight in enumerate(tableau.b, start=1) if weight)
    stages: list[str] = []
    for c, row in zip(tableau.c[:n_stages], tableau.a[:n_stages], strict=True):
        stages.append(slope(t + c * h, graph.add_up(z, (h * weight for weight in row), stages)))
    return graph.add_up(z, (h * weight for weight in tableau.b[:n_stages]), stages)

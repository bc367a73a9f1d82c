"""The field that moves rows, at the points of a grid."""

from typing import NamedTuple

import numpy as np

from ._plane import MARGIN, Plane, box_of
from ._ways import Ways, derivative

__all__ = ["grid_of"]


class Grid(NamedTuple):
    """The field at the points of a grid, as in `VectorFieldDisplay`."""

    grid_x: np.ndarray
    grid_y: np.ndarray
    velocity: np.ndarray


def grid_of(ways: Ways, times: np.ndarray, member: int, n: int) -> Grid:
    """Evaluate the field of a member around ways, on n rows of a grid, at some times."""
    if ways.plane is None:
        return _over_time(ways, times, member, n)
    return _on_plane(ways, ways.plane, times, member, n)


def _on_plane(ways: Ways, plane: Plane, times: np.ndarray, member: int, n: int) -> Grid:
    low, high = box_of(ways.states)
    x, y = np.meshgrid(*np.linspace(low, high, n).T)
    states = plane.states_at(np.stack([x, y], axis=-1).reshape(n * n, 2))
    moved = [derivative(ways.model, member, t, states) @ plane.components.T for t in times]
    return Grid(x, y, np.reshape(moved, (len(times), n, n, 2)))


def _over_time(ways: Ways, times: np.ndarray, member: int, n: int) -> Grid:
    z = ways.states[..., 1]
    low = z.min()
    high = z.max()
    margin = MARGIN * (high - low) or 1.0
    rows = np.linspace(low - margin, high + margin, n)
    x, y = np.meshgrid(times, rows)
    slopes = np.column_stack([derivative(ways.model, member, t, rows[:, None]) for t in times])
    return Grid(x, y, np.stack([np.ones_like(slopes), slopes], axis=-1)[None])

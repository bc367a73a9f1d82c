"""A plane through the space of the states, on which they are drawn."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.decomposition import PCA

from .._checks import is_integer

__all__ = ["MARGIN", "Plane", "box_of", "check_dims", "names_of", "plane_of", "ratio_of"]

MARGIN = 0.1
# Height/width of the box around states.
FLATTEST = 0.6


class Plane(NamedTuple):
    """A plane through the space of the states.

    Attributes
    ----------
    origin : ndarray of shape (n_dims,)
        The state at the coordinates (0, 0).
    components : ndarray of shape (2, n_dims)
        The directions of the coordinates, orthonormal.
    """

    origin: np.ndarray
    components: np.ndarray

    def project(self, states: np.ndarray) -> np.ndarray:
        """Return the coordinates (..., 2) of states (..., n_dims)."""
        return (states - self.origin) @ self.components.T

    def states_at(self, coordinates: np.ndarray) -> np.ndarray:
        """Return the states (..., n_dims) of the plane at coordinates (..., 2)."""
        return self.origin + coordinates @ self.components


def check_dims(dims: Any, n_dims: int) -> tuple[int, int] | None:
    """Return the dimensions that are drawn; None: the principal components, or over time."""
    if dims is None:
        return (0, 1) if n_dims == 2 else None
    pair = _pair_of(dims)
    if not all(is_integer(k, 0, n_dims - 1) for k in pair) or pair[0] == pair[1]:
        raise ValueError(
            f"dims must be two different integers from 0 to {n_dims - 1}, of the {n_dims} "
            f"dimensions of the state, or None, got {dims!r}"
        )
    return int(pair[0]), int(pair[1])


def _pair_of(dims: Any) -> tuple[Any, Any]:
    """Return the two that something consists of, or twice None if it does not."""
    try:
        first, second = dims
    except (TypeError, ValueError):
        return None, None
    return first, second


def plane_of(states: np.ndarray, dims: tuple[int, int] | None) -> Plane:
    """Return the plane of two dimensions through the mean of states, or their principal one."""
    if dims is None:
        found = PCA(2, svd_solver="full").fit(states)
        return Plane(found.mean_, found.components_)
    origin = states.mean(axis=0)
    # The coordinates on the plane are those of the state then.
    origin[list(dims)] = 0.0
    return Plane(origin, np.eye(states.shape[1])[list(dims)])


def names_of(dims: tuple[int, int] | None, explained: np.ndarray) -> tuple[str, str]:
    """Return the names of the coordinates on a plane, with the part that each explains."""
    if dims is None:
        return f"component 1 ({explained[0]:.0%})", f"component 2 ({explained[1]:.0%})"
    return f"z[{dims[0]}]", f"z[{dims[1]}]"


def box_of(states: np.ndarray) -> np.ndarray:
    """Return the least and the greatest coordinates, (2, 2), that leave a margin around states.

    The box is not so flat or narrow that axes of its shape had no room for a label.
    """
    low = states.min(axis=(0, 1))
    high = states.max(axis=(0, 1))
    middle = (low + high) / 2
    half = (high - low) / 2
    half += MARGIN * half.max()
    half = half.clip(min=FLATTEST * half.max() or 1.0)
    return np.stack([middle - half, middle + half])


def ratio_of(states: np.ndarray) -> float:
    """Return height/width of the box around states."""
    width, height = np.diff(box_of(states), axis=0)[0]
    return float(height / width)

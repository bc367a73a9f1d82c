"""What the displays of states share: the rows' ways on a plane, their colours, and the axes."""

from copy import deepcopy
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from torch import Tensor

from .._checks import check_integer, is_integer
from .._vectors import check_vector
from ..estimators.classification import Classification
from ..estimators.tabular import BaseRowNetwork
from ..modules import MLPField
from ..modules.residual import ResidualBlocks
from ..training.threads import one_thread
from ._axes import make_axes
from ._fitted import parts_of
from ._labels import labels_of, values_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection, PathCollection

__all__ = [
    "ACCESSIBLE",
    "FINE",
    "MARGIN",
    "OVER_TIME",
    "Colouring",
    "Plane",
    "Ways",
    "asked_of",
    "box_of",
    "check_cmap",
    "derivative",
    "draw_points",
    "draw_ways",
    "frame",
    "increase",
    "panels",
    "ratio_of",
    "ways_of",
]

COARSE = np.linspace(0, 1, 5)
# 48 parts: the corners of the way through a residual network of 1 to 4, 6 or 8 blocks are in it.
FINE = np.linspace(0, 1, 49)
# An animation with a frame for each runs for eight minutes.
MOST_TIMES = 10_000
# The squares of states that have moved for so long are finite.
LAST_TIME = 1e100
MARGIN = 0.1
# Height/width: the least of a plane, and that of a state over time.
FLATTEST, OVER_TIME = 0.6, 0.7
COLUMNS = 5
# M. A. Petroff, "Accessible Color Sequences for Data Visualization", arXiv:2107.02270.
ACCESSIBLE = [
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
]  # fmt: skip


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


class Asked(NamedTuple):
    """What is to be followed, as it must be.

    Attributes
    ----------
    before : Pipeline or None
        What is done to the rows before.
    fitted : BaseRowNetwork
    n_dims : int
        The dimensions of the state.
    X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
        The rows, which the estimator checks.
    y : ndarray of shape (n_samples,) or None
    classes : ndarray of shape (n_classes,) or None
        None if y are numbers.
    times : ndarray of shape (n_times,)
    member : int
    dims : tuple of two ints or None
        None: the principal components, or over time.
    """

    before: Pipeline | None
    fitted: BaseRowNetwork
    n_dims: int
    X: Any
    y: np.ndarray | None
    classes: np.ndarray | None
    times: np.ndarray
    member: int
    dims: tuple[int, int] | None


class Ways(NamedTuple):
    """The ways of rows from z(0) on, as they are drawn.

    Attributes
    ----------
    model : BaseRowNetwork
        A copy of the estimator.
    plane : Plane or None
        None if the state has one dimension, which is drawn over time.
    states : ndarray of shape (n_times, n_samples, 2)
        The coordinates on the plane, or the times and the states.
    times : ndarray of shape (n_times,)
    y : ndarray of shape (n_samples,) or None
    classes : ndarray of shape (n_classes,) or None
        None if y are numbers.
    explained : ndarray of shape (2,) or None
        The part of the states' variance that lies along each coordinate.
    labels : tuple of two strings
        The coordinates' names.
    """

    model: BaseRowNetwork
    plane: Plane | None
    states: np.ndarray
    times: np.ndarray
    y: np.ndarray | None
    classes: np.ndarray | None
    explained: np.ndarray | None
    labels: tuple[str, str]


def asked_of(
    display: str, estimator: Any, X: Any, y: Any, times: Any, member: Any, dims: Any
) -> Asked:
    """Check what is asked for, before any work.

    Without `times` they are few, or many if the state has one dimension.
    """
    before, fitted = parts_of(display, estimator, BaseRowNetwork)
    n_dims = _fields_of(fitted)[0].dense_form().n_dims
    member = check_integer("member", member, 0, fitted.net_.module_.n_members - 1)
    dims = _check_dims(dims, n_dims)
    y, classes = _check_labels(fitted, X, y)
    if times is None:
        times = FINE if n_dims == 1 else COARSE
    times = check_vector(
        "times",
        times,
        f"one-dimensional, not negative and strictly increasing, at most {MOST_TIMES} and none "
        f"above {LAST_TIME:g}",
        lambda t: increase(t, MOST_TIMES, LAST_TIME),
    )
    return Asked(before, fitted, n_dims, X, y, classes, times, member, dims)


def ways_of(asked: Asked) -> Ways:
    """Follow rows through a fitted estimator, which stays as it is."""
    before, fitted, n_dims, X, y, classes, times, member, dims = asked
    # A residual block keeps what it last cost.
    model = deepcopy(fitted)
    states = model.trajectory(before.transform(X) if before else X, times, member=member)
    states = states.astype(np.float64)
    if n_dims == 1:
        over_time = np.stack(np.broadcast_arrays(times[:, None], states[..., 0]), axis=-1)
        return Ways(model, None, over_time, times, y, classes, None, ("t", "z"))
    plane = _plane_of(states.reshape(-1, n_dims), dims)
    drawn = plane.project(states)
    explained = drawn.var(axis=(0, 1)) / (states.var(axis=(0, 1)).sum() or 1.0)
    return Ways(model, plane, drawn, times, y, classes, explained, _labels_of(dims, explained))


def derivative(model: BaseRowNetwork, member: int, t: float, states: np.ndarray) -> np.ndarray:
    """Return dz/dt of a member at states (n_states, n_dims).

    The k-th of n residual blocks moves z by f_k(z) in a time of 1/n, from k/n on.
    """
    network, fields = model.net_.module_, _fields_of(model)
    field = fields[min(int(t * len(fields)), len(fields) - 1)]
    z = torch.as_tensor(states).to(next(network.parameters()))
    with torch.no_grad(), one_thread():
        moved: Tensor = field.eval()(z.new_tensor(t), z.repeat(network.n_members, 1))
    moved = moved.view(network.n_members, *z.shape)[member]
    return len(fields) * moved.cpu().numpy().astype(np.float64)


def _fields_of(model: BaseRowNetwork) -> list[MLPField]:
    """Return the field, or those of the residual blocks."""
    block = model.net_.module_.block
    if isinstance(block, ResidualBlocks):
        return [cast(MLPField, step.field) for step in block.ordered]
    return [block.field]


def increase(times: np.ndarray, most: int, last: float) -> bool:
    """Say whether there are times and not too many, in order, from zero to the last one."""
    few = 0 < times.size <= most
    return few and times[0] >= 0 and times[-1] <= last and bool((np.diff(times) > 0).all())


def _check_dims(dims: Any, n_dims: int) -> tuple[int, int] | None:
    """Return the dimensions that are drawn; None: the principal components, or over time."""
    if dims is None:
        return (0, 1) if n_dims == 2 else None
    try:
        i, j = dims
    except (TypeError, ValueError):
        i = j = None
    if not all(is_integer(k, 0, n_dims - 1) for k in (i, j)) or i == j:
        raise ValueError(
            f"dims must be two different integers from 0 to {n_dims - 1}, of the {n_dims} "
            f"dimensions of the state, or None, got {dims!r}"
        )
    return int(i), int(j)


def _check_labels(
    model: BaseRowNetwork, X: Any, y: Any
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return what the rows are coloured by, and the classes if it is that."""
    if y is None:
        return None, None
    if not isinstance(model, Classification):
        return values_of(X, y), None
    y = labels_of(X, y)
    classes = set(model.classes_.tolist())
    other = [label for label in y.tolist() if label not in classes]
    if other:
        raise ValueError(f"y must consist of the classes {model.classes_}, got also {other[:1]}")
    return y, model.classes_


def _plane_of(states: np.ndarray, dims: tuple[int, int] | None) -> Plane:
    """Return the plane of two dimensions through the mean of states, or their principal one."""
    if dims is None:
        found = PCA(2, svd_solver="full").fit(states)
        return Plane(found.mean_, found.components_)
    origin = states.mean(axis=0)
    # So that the coordinates are those of the state.
    origin[list(dims)] = 0.0
    return Plane(origin, np.eye(states.shape[1])[list(dims)])


def _labels_of(dims: tuple[int, int] | None, explained: np.ndarray) -> tuple[str, str]:
    if dims is None:
        return f"component 1 ({explained[0]:.0%})", f"component 2 ({explained[1]:.0%})"
    return f"z[{dims[0]}]", f"z[{dims[1]}]"


class Colouring:
    """The colours of rows: of their classes, of their values, or one for all.

    Attributes
    ----------
    of_rows : ndarray of shape (n_rows, 4)
        Red, green, blue and opacity of each row.
    """

    def __init__(
        self, n_rows: int, y: np.ndarray | None, classes: np.ndarray | None, cmap: Any
    ) -> None:
        from matplotlib import colormaps
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize, to_rgba_array

        check_cmap(cmap)
        self._names: list[str] = []
        self._scale: ScalarMappable | None = None
        if y is None:
            self.of_rows = to_rgba_array([ACCESSIBLE[0]] * n_rows)
        elif classes is None:
            scale = Normalize(y.min(), y.max())
            self._scale = ScalarMappable(scale, "viridis" if cmap is None else cmap)
            self.of_rows = np.asarray(self._scale.to_rgba(y))
        else:
            self._names = [str(name) for name in classes]
            if cmap is None and len(classes) <= len(ACCESSIBLE):
                self._palette = to_rgba_array(ACCESSIBLE[: len(classes)])
            else:
                spread = colormaps["turbo"] if cmap is None else colormaps.get_cmap(cmap)
                self._palette = spread(np.linspace(0, 1, len(classes)))
            self.of_rows = self._palette[np.searchsorted(classes, y)]

    def add_key(self, axes: np.ndarray, *, outside: bool) -> None:
        """Draw what the colours mean: a legend, or a colour bar."""
        if self._scale is not None:
            axes[0].figure.colorbar(self._scale, ax=list(axes), label="y")
        if not self._names:
            return
        from matplotlib.lines import Line2D

        handles = [
            Line2D([], [], color=colour, marker="o", linestyle="", label=name)
            for name, colour in zip(self._names, self._palette, strict=True)
        ]
        right = axes[min(len(axes), COLUMNS) - 1]
        if outside:
            right.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        else:
            right.legend(handles=handles)


def check_cmap(cmap: Any) -> None:
    """Raise an error, which is matplotlib's own, if something is no colour map."""
    from matplotlib import colormaps

    if cmap is not None:
        colormaps.get_cmap(cmap)


def panels(given: np.ndarray | None, n_axes: int, side: float, ratio: float) -> np.ndarray:
    """Return the given axes, or so many new ones of a width and height/width."""
    if given is not None:
        return given
    n_columns = min(n_axes, COLUMNS)
    n_rows = -(-n_axes // COLUMNS)
    # Room for the key beside, and for titles and labels above and below.
    size = side * n_columns + 1.2, (side * ratio + 0.8) * n_rows
    axes = make_axes(n_axes, n_columns, size, sharey=True)
    for i, ax in enumerate(axes):
        ax.yaxis.label.set_visible(i % n_columns == 0)
    return axes


def box_of(states: np.ndarray) -> np.ndarray:
    """Return the least and the greatest coordinates, (2, 2), that leave a margin around states.

    The box is not so flat or narrow that axes of its shape had no room for a label.
    """
    low, high = states.min(axis=(0, 1)), states.max(axis=(0, 1))
    middle, half = (low + high) / 2, (high - low) / 2
    half += MARGIN * half.max()
    half = half.clip(min=FLATTEST * half.max() or 1.0)
    return np.stack([middle - half, middle + half])


def ratio_of(states: np.ndarray) -> float:
    """Return height/width of their box."""
    width, height = np.diff(box_of(states), axis=0)[0]
    return float(height / width)


def frame(ax: "Axes", states: np.ndarray, xlabel: str, ylabel: str, t: float) -> None:
    """Prepare axes for the states at a time, alike for all times."""
    (left, bottom), (right, top) = box_of(states)
    ax.set(
        xlim=(left, right),
        ylim=(bottom, top),
        xlabel=xlabel,
        ylabel=ylabel,
        title=f"t = {t:.2f}",
        aspect="equal",
    )


def draw_ways(
    ax: "Axes", states: np.ndarray, colours: np.ndarray
) -> tuple["LineCollection", "PathCollection"]:
    """Draw the ways of rows as lines, and their ends as points."""
    from matplotlib.collections import LineCollection

    lines = LineCollection(list(states.swapaxes(0, 1)), colors=colours, linewidths=0.8, alpha=0.5)
    ax.add_collection(lines)
    return lines, draw_points(ax, states[-1], colours)


def draw_points(ax: "Axes", points: np.ndarray, colours: np.ndarray) -> "PathCollection":
    """Draw points, smaller ones where there are many."""
    size = np.clip(4000 / len(points), 6, 24)
    x, y = points.T
    return ax.scatter(x, y, s=size, c=colours, edgecolors="white", linewidths=0.3, zorder=3)

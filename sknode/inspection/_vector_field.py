"""The field that moves the states of rows."""

from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from .._checks import check_choice, check_integer
from .._vectors import check_vector
from ._axes import check_axes
from ._states import (
    FINE,
    MARGIN,
    OVER_TIME,
    Colouring,
    Ways,
    asked_of,
    box_of,
    check_cmap,
    derivative,
    draw_ways,
    frame,
    increase,
    panels,
    ratio_of,
    ways_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["VectorFieldDisplay"]

# A panel of so many arrows in each direction, or so many panels, take a second or two.
MOST = 200
KINDS = ("quiver", "streamplot")
GREY = "0.55"
IN_DATA_UNITS: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1}
# Of the fastest arrow, in cells of the grid.
LONGEST = 1.1
TINY = np.finfo(np.float64).tiny


class Grid(NamedTuple):
    """The field at the points of a grid, as in `VectorFieldDisplay`."""

    x: np.ndarray
    y: np.ndarray
    velocity: np.ndarray


class VectorFieldDisplay:
    """The field f(t, z) that moves rows, on a plane at some times, and the rows' ways.

    A row follows the arrows where it is, as they are at the time. So two rows of a Neural ODE that
    start apart never meet [1]_.

    It is best made by `from_estimator`.

    Parameters
    ----------
    grid_x, grid_y : ndarray of shape (n_rows, n_columns)
        Coordinates on the plane at which the field is drawn, as of `numpy.meshgrid`. If the state
        has one dimension, the times and the states.
    velocity : ndarray of shape (n_times, n_rows, n_columns, 2)
        The coordinates of the field there. If the state has one dimension, of shape (1, n_rows,
        n_columns, 2): ones and the field.
    times : ndarray of shape (n_times,)
        The times of the field.
    states : ndarray of shape (n_steps, n_samples, 2)
        The coordinates of the rows' states on their way from z(0) to z(1). If the state has one
        dimension, the times and the states.
    y : ndarray of shape (n_samples,) or None, default=None
        Classes or values by which the rows are coloured.
    classes : ndarray of shape (n_classes,) or None, default=None
        The classes, in ascending order; None: y are values.
    components : ndarray of shape (2, n_dims) or None, default=None
        The directions of the coordinates in the space of the states; None: the state has one
        dimension and is drawn over time.
    xlabel, ylabel : str, default=""
        Names of the coordinates.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (n_times,)
        The axes, one for each time, or one in all if the state has one dimension.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    FlowDisplay : The states at some times, or as an animation.

    References
    ----------
    .. [1] Dupont, Doucet, Teh, "Augmented Neural ODEs", NeurIPS 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sknode import NODEClassifier
    >>> from sknode.inspection import VectorFieldDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = NODEClassifier(max_epochs=30, random_state=0).fit(X, y)
    >>> display = VectorFieldDisplay.from_estimator(classifier, X[::3], y[::3])
    >>> display.axes_.shape, display.velocity.shape
    ((3,), (3, 20, 20, 2))
    """

    axes_: np.ndarray
    figure_: Any

    def __init__(
        self,
        *,
        grid_x: np.ndarray,
        grid_y: np.ndarray,
        velocity: np.ndarray,
        times: np.ndarray,
        states: np.ndarray,
        y: np.ndarray | None = None,
        classes: np.ndarray | None = None,
        components: np.ndarray | None = None,
        xlabel: str = "",
        ylabel: str = "",
    ) -> None:
        self.grid_x = grid_x
        self.grid_y = grid_y
        self.velocity = velocity
        self.times = times
        self.states = states
        self.y = y
        self.classes = classes
        self.components = components
        self.xlabel = xlabel
        self.ylabel = ylabel

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        times: Any = None,
        member: int = 0,
        dims: tuple[int, int] | None = None,
        grid_resolution: int = 20,
        axes: Any = None,
        kind: str = "quiver",
        cmap: Any = None,
    ) -> Self:
        """Evaluate the field of a fitted estimator around the ways of rows, and draw both.

        The plane is that of `FlowDisplay`, through the mean of the states on their way: the field
        is evaluated at states of the plane, and what of it points along the plane is drawn. Where
        the state has more than two dimensions, rows leave the plane, so their ways need not follow
        the arrows.

        A residual network has a field for each of its n blocks. As the states move evenly from
        block to block, the k-th block's is drawn at the times from k/n to (k + 1)/n, times n.

        Parameters
        ----------
        estimator : NODEClassifier, NODERegressor, ResNetClassifier, ResNetRegressor, or a Pipeline\
 that ends in one
            The fitted estimator; it stays as it is.
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            The rows. A few dozen are best to see.
        y : array-like of shape (n_samples,) or None, default=None
            What they are coloured by: of a classifier their classes, else numbers.
        times : array-like of shape (n_times,) or None, default=None
            The times of the field, strictly increasing, from 0 to 1, at most 200. None: 0, ½ and 1.
            If the state has one dimension, they are the columns of the grid; None: as many as its
            rows, from 0 to 1.
        member : int, default=0
            Whose field is wanted, of the `n_members`.
        dims : tuple of two ints or None, default=None
            The dimensions of the state that span the plane. None: both if there are two, else the
            two principal components of the states at all times together. A state of one dimension
            is drawn over time.
        grid_resolution : int, default=20
            Number of rows and of columns of the grid, from 2 to 200.
        axes : matplotlib Axes, array-like of them or None, default=None
            Where to draw, as in `plot`.
        kind : {"quiver", "streamplot"}, default="quiver"
            Whether to draw arrows or lines, as in `plot`.
        cmap : str, matplotlib Colormap or None, default=None
            Colours of the classes or values, as in `plot`.

        Returns
        -------
        VectorFieldDisplay
            The display.

        Raises
        ------
        TypeError
            If it is no such estimator of sknode.
        NotFittedError
            If it is not fitted.
        ValueError
            If another argument is not as described.
        SolverError
            If a row cannot be solved; it is named.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        asked = asked_of(cls.__name__, estimator, X, y, FINE, member, dims)
        n = check_integer("grid_resolution", grid_resolution, 2, MOST)
        times = _check_times(times, n, asked.n_dims)
        check_axes(axes, 1 if asked.n_dims == 1 else len(times))
        check_choice("kind", kind, KINDS)
        check_cmap(cmap)
        ways = ways_of(asked)
        measure = _slopes if ways.plane is None else _velocities
        grid = measure(ways, times, asked.member, n)
        display = cls(
            grid_x=grid.x,
            grid_y=grid.y,
            velocity=grid.velocity,
            times=times,
            states=ways.states,
            y=ways.y,
            classes=ways.classes,
            components=None if ways.plane is None else ways.plane.components,
            xlabel=ways.labels[0],
            ylabel=ways.labels[1],
        )
        return display.plot(axes, kind=kind, cmap=cmap)

    def plot(self, axes: Any = None, *, kind: str = "quiver", cmap: Any = None) -> Self:
        """Draw the field at one time after the other, and the rows' ways and ends on top.

        Parameters
        ----------
        axes : matplotlib Axes, array-like of them or None, default=None
            Where to draw, as many as there are times, or one if the state has one dimension;
            None: on a new figure.
        kind : {"quiver", "streamplot"}, default="quiver"
            Whether to draw arrows, or the lines they are tangents of, for which a grid must be
            evenly spaced. The lengths of arrows grow with the square root of the speed, at all
            times alike. Where the state has one dimension, they are of one length.
        cmap : str, matplotlib Colormap or None, default=None
            Colours of the classes or values. None: for up to ten classes colours that can be told
            apart by the colour-blind, for values "viridis".

        Returns
        -------
        VectorFieldDisplay
            The display.

        Raises
        ------
        ValueError
            If the kind or the colour map is not known, or there are not as many axes as times.
        TypeError
            If the colour map is none.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        check_choice("kind", kind, KINDS)
        colouring = Colouring(self.states.shape[1], self.y, self.classes, cmap)
        if self.components is None:
            self.axes_ = panels(check_axes(axes, 1), 1, 4.5, OVER_TIME)
            self.axes_[0].set(xlabel=self.xlabel, ylabel=self.ylabel, xlim=(-0.04, 1.04))
        else:
            given = check_axes(axes, len(self.times))
            self.axes_ = panels(given, len(self.times), 3.2, ratio_of(self.states))
            for ax, t in zip(self.axes_, self.times, strict=True):
                frame(ax, self.states, self.xlabel, self.ylabel, t)
        self.figure_ = self.axes_[0].figure
        for ax, velocity in zip(self.axes_, self.velocity, strict=True):
            self._draw_field(ax, velocity, kind)
            draw_ways(ax, self.states, colouring.of_rows)
        colouring.add_key(self.axes_, outside=axes is None)
        return self

    def _draw_field(self, ax: "Axes", velocity: np.ndarray, kind: str) -> None:
        drawn = velocity if kind == "streamplot" else self._arrows(velocity)
        field = self.grid_x, self.grid_y, drawn[..., 0], drawn[..., 1]
        if kind == "streamplot":
            ax.streamplot(*field, color=GREY, linewidth=0.7)
        else:
            ax.quiver(*field, **IN_DATA_UNITS, pivot="mid", color=GREY, width=0.004)

    def _arrows(self, velocity: np.ndarray) -> np.ndarray:
        """Return the arrows of the field at a time, as long as they are drawn."""
        if self.components is None:
            # Of one length on axes that are as high as wide, and about so on others.
            extent = np.array([1.0, np.ptp(self.grid_y)])
            slopes = velocity / extent
            unit = slopes / np.linalg.norm(slopes, axis=-1, keepdims=True)
            return unit * extent / len(self.grid_y)
        cell = min(np.ptp(self.grid_x), np.ptp(self.grid_y)) / len(self.grid_y)
        # A field is often fastest where no rows go. With linear lengths the arrows beside the rows
        # would be dots.
        speed = np.linalg.norm(velocity, axis=-1, keepdims=True)
        fastest = np.linalg.norm(self.velocity, axis=-1).max()
        return velocity / np.sqrt(speed * fastest).clip(min=TINY) * LONGEST * cell


def _check_times(times: Any, grid_resolution: int, n_dims: int) -> np.ndarray:
    """Return the times of the field; of a state of one dimension they are the grid's columns."""
    if times is None:
        return np.linspace(0, 1, grid_resolution if n_dims == 1 else 3)
    return check_vector(
        "times",
        times,
        f"one-dimensional, strictly increasing and from 0 to 1, at most {MOST}",
        lambda t: increase(t, MOST, 1.0),
    )


def _velocities(ways: Ways, times: np.ndarray, member: int, n: int) -> Grid:
    """Evaluate the field on the plane."""
    assert ways.plane is not None
    low, high = box_of(ways.states)
    x, y = np.meshgrid(*np.linspace(low, high, n).T)
    states = ways.plane.states_at(np.stack([x, y], axis=-1).reshape(n * n, 2))
    moved = [derivative(ways.model, member, t, states) @ ways.plane.components.T for t in times]
    return Grid(x, y, np.reshape(moved, (len(times), n, n, 2)))


def _slopes(ways: Ways, times: np.ndarray, member: int, n: int) -> Grid:
    """Evaluate the field of a state of one dimension over time."""
    low, high = ways.states[..., 1].min(), ways.states[..., 1].max()
    margin = MARGIN * (high - low) or 1.0
    z = np.linspace(low - margin, high + margin, n)
    x, y = np.meshgrid(times, z)
    slopes = np.column_stack([derivative(ways.model, member, t, z[:, None]) for t in times])
    return Grid(x, y, np.stack([np.ones_like(slopes), slopes], axis=-1)[None])

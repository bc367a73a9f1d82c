"""The field that moves the states of rows."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from .._checks import check_choice, check_integer
from ._axes import check_axes
from ._colours import check_cmap
from ._grid import grid_of
from ._states import StatesDisplay, draw_ways
from ._ways import FINE, asked_of, check_times, ways_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["VectorFieldDisplay"]

# A panel of so many arrows in each direction, or so many panels, take a second or two.
MOST = 200
# The width of a panel, in inches.
PANEL_WIDTH = 3.2
KINDS = ("quiver", "streamplot")
GREY = "0.55"
IN_DATA_UNITS: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1}
# The length of the fastest arrow, in cells of the grid.
LONGEST = 1.1
TINY = np.finfo(np.float64).tiny


class VectorFieldDisplay(StatesDisplay):
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
        super().__init__(states, times, y, classes, components, xlabel, ylabel)
        self.grid_x = grid_x
        self.grid_y = grid_y
        self.velocity = velocity

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
        times = _check_field_times(times, n, asked.n_dims)
        check_axes(axes, 1 if asked.n_dims == 1 else len(times))
        check_choice("kind", kind, KINDS)
        check_cmap(cmap)
        ways = ways_of(asked)
        grid = grid_of(ways, times, asked.member, n)
        display = cls(**grid._asdict(), times=times, **ways.kept())
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
        colouring = self._colouring(cmap)
        self._prepare(axes, self.times, PANEL_WIDTH)
        if self.components is None:
            self.axes_[0].set_xlim(-0.04, 1.04)
        vectors = self.velocity if kind == "streamplot" else _arrows_of(self)
        for ax, at_time in zip(self.axes_, vectors, strict=True):
            _draw_field(ax, self.grid_x, self.grid_y, at_time, kind)
            draw_ways(ax, self.states, colouring.of_rows)
        colouring.add_key(self.axes_, outside=axes is None)
        return self


def _arrows_of(display: VectorFieldDisplay) -> np.ndarray:
    """Return the velocities as the arrows that are drawn, of visible lengths."""
    velocity = display.velocity
    height = np.ptp(display.grid_y)
    n_rows = len(display.grid_y)
    if display.components is None:
        return _of_one_length(velocity, height, n_rows)
    cell = min(np.ptp(display.grid_x), height) / n_rows
    # A field is often fastest where no rows go. With linear lengths the arrows beside the rows
    # would be dots.
    speed = np.linalg.norm(velocity, axis=-1, keepdims=True)
    return velocity / np.sqrt(speed * speed.max()).clip(min=TINY) * LONGEST * cell


def _of_one_length(velocity: np.ndarray, height: float, n_rows: int) -> np.ndarray:
    """Return arrows that are as long as a row is high, on axes that are as high as wide."""
    extent = np.array([1.0, height])
    slopes = velocity / extent
    unit = slopes / np.linalg.norm(slopes, axis=-1, keepdims=True)
    return unit * extent / n_rows


def _draw_field(ax: "Axes", x: np.ndarray, y: np.ndarray, vectors: np.ndarray, kind: str) -> None:
    u = vectors[..., 0]
    v = vectors[..., 1]
    if kind == "streamplot":
        ax.streamplot(x, y, u, v, color=GREY, linewidth=0.7)
    else:
        ax.quiver(x, y, u, v, **IN_DATA_UNITS, pivot="mid", color=GREY, width=0.004)


def _check_field_times(times: Any, grid_resolution: int, n_dims: int) -> np.ndarray:
    """Return the times of the field; of a state of one dimension they are the grid's columns."""
    if times is None:
        return np.linspace(0, 1, grid_resolution if n_dims == 1 else 3)
    return check_times(times, MOST, 1.0)

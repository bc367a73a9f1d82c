"""The states of rows on their way through a network."""

import os
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from .._checks import check_integer, check_path, is_number
from .._files import check_writable
from ._axes import check_axes
from ._states import (
    OVER_TIME,
    Colouring,
    asked_of,
    check_cmap,
    draw_points,
    draw_ways,
    frame,
    panels,
    ratio_of,
    ways_of,
)

if TYPE_CHECKING:
    from matplotlib.animation import AbstractMovieWriter
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection, PathCollection

__all__ = ["FlowDisplay"]

MOST_PANELS = 10
FEW_PANELS = 5
# A GIF counts hundredths of a second.
MOST_FPS = 100
# With fewer pixels there is no room for axes; with more, a frame takes 100 MB and more.
DPI = 10, 1000


class FlowDisplay:
    """The states of rows on their way from z(0) to z(1).

    A Neural ODE moves all rows along one field, so two that start apart never meet [1]_. What that
    means is seen where the state is drawn as it is, in one dimension over time or in two.

    It is best made by `from_estimator`.

    Parameters
    ----------
    states : ndarray of shape (n_times, n_samples, 2)
        The states' coordinates on the plane that is drawn; if the state has one dimension, the
        times and the states.
    times : ndarray of shape (n_times,)
        When the rows were in these states.
    y : ndarray of shape (n_samples,) or None, default=None
        Classes or values by which the rows are coloured.
    classes : ndarray of shape (n_classes,) or None, default=None
        The classes, in ascending order; None: y are values.
    components : ndarray of shape (2, n_dims) or None, default=None
        The directions of the coordinates in the space of the states; None: the state has one
        dimension and is drawn over time.
    explained : ndarray of shape (2,) or None, default=None
        The part of the states' variance, over all rows and times, that lies along each coordinate.
    xlabel, ylabel : str, default=""
        Names of the coordinates.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (n_drawn,)
        The axes, one for each time that is drawn, or one in all if the state has one dimension.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    VectorFieldDisplay : The field that moves the states.
    sknode.NODEClassifier.trajectory : The states themselves.

    References
    ----------
    .. [1] Dupont, Doucet, Teh, "Augmented Neural ODEs", NeurIPS 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sknode import NODEClassifier
    >>> from sknode.inspection import FlowDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = NODEClassifier(max_epochs=30, random_state=0).fit(X, y)
    >>> display = FlowDisplay.from_estimator(classifier, X, y)
    >>> display.axes_.shape, [ax.get_title() for ax in display.axes_[:2]]
    ((5,), ['t = 0.00', 't = 0.25'])
    """

    axes_: np.ndarray
    figure_: Any

    def __init__(
        self,
        *,
        states: np.ndarray,
        times: np.ndarray,
        y: np.ndarray | None = None,
        classes: np.ndarray | None = None,
        components: np.ndarray | None = None,
        explained: np.ndarray | None = None,
        xlabel: str = "",
        ylabel: str = "",
    ) -> None:
        self.states = states
        self.times = times
        self.y = y
        self.classes = classes
        self.components = components
        self.explained = explained
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
        axes: Any = None,
        cmap: Any = None,
    ) -> Self:
        """Follow rows through a fitted estimator, and draw them.

        Parameters
        ----------
        estimator : NODEClassifier, NODERegressor, ResNetClassifier, ResNetRegressor, or a Pipeline\
 that ends in one
            The fitted estimator; it stays as it is.
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,) or None, default=None
            What they are coloured by: of a classifier their classes, else numbers.
        times : array-like of shape (n_times,) or None, default=None
            Strictly increasing times, not negative and not above 1e100, at most 10,000. None: 0, ¼,
            ½, ¾ and 1, or 49 times from 0 to 1 if the state has one dimension.
        member : int, default=0
            Whose states are wanted, of the `n_members`.
        dims : tuple of two ints or None, default=None
            The dimensions of the state that are drawn. None: both if there are two, else the two
            principal components of the states at all times together. A state of one dimension is
            drawn over time.
        axes : matplotlib Axes, array-like of them or None, default=None
            Where to draw, as in `plot`.
        cmap : str, matplotlib Colormap or None, default=None
            Colours of the classes or values, as in `plot`.

        Returns
        -------
        FlowDisplay
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
        asked = asked_of(cls.__name__, estimator, X, y, times, member, dims)
        check_axes(axes, 1 if asked.n_dims == 1 else len(_drawn(asked.times)))
        check_cmap(cmap)
        ways = ways_of(asked)
        display = cls(
            states=ways.states,
            times=ways.times,
            y=ways.y,
            classes=ways.classes,
            components=None if ways.plane is None else ways.plane.components,
            explained=ways.explained,
            xlabel=ways.labels[0],
            ylabel=ways.labels[1],
        )
        return display.plot(axes, cmap=cmap)

    def plot(self, axes: Any = None, *, cmap: Any = None) -> Self:
        """Draw the states at one time after the other, each on axes of its own.

        Of more than ten times five are drawn, evenly spread from the first to the last. If the
        state has one dimension, all times are drawn on the same axes, as lines.

        Parameters
        ----------
        axes : matplotlib Axes, array-like of them or None, default=None
            Where to draw, as many as there are times to draw; None: on a new figure.
        cmap : str, matplotlib Colormap or None, default=None
            Colours of the classes or values. None: for up to ten classes colours that can be told
            apart by the colour-blind, for values "viridis".

        Returns
        -------
        FlowDisplay
            The display.

        Raises
        ------
        ValueError
            If there are not as many axes as times to draw, or if the colour map is not known.
        TypeError
            If the colour map is none.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        colouring = Colouring(self.states.shape[1], self.y, self.classes, cmap)
        if self.components is None:
            self.axes_ = panels(check_axes(axes, 1), 1, 4.5, OVER_TIME)
            draw_ways(self.axes_[0], self.states, colouring.of_rows)
            self.axes_[0].set(xlabel=self.xlabel, ylabel=self.ylabel)
        else:
            drawn = _drawn(self.times)
            given = check_axes(axes, len(drawn))
            self.axes_ = panels(given, len(drawn), 2.3, ratio_of(self.states))
            for ax, i in zip(self.axes_, drawn, strict=True):
                frame(ax, self.states, self.xlabel, self.ylabel, self.times[i])
                draw_points(ax, self.states[i], colouring.of_rows)
        self.figure_ = self.axes_[0].figure
        colouring.add_key(self.axes_, outside=axes is None)
        return self

    def animate(self, path: Any, *, fps: int = 20, dpi: float = 100, cmap: Any = None) -> None:
        """Write the rows' way as an animation, with a frame for each of the times.

        Parameters
        ----------
        path : str or path-like
            The file to write, by its ending a GIF or an MP4.
        fps : int, default=20
            Frames a second, at most 100.
        dpi : float, default=100
            Pixels an inch, from 10 to 1000; a frame is 5.5 inches wide.
        cmap : str, matplotlib Colormap or None, default=None
            Colours of the classes or values, as in `plot`.

        Raises
        ------
        TypeError
            If the path is no path, or the colour map none.
        ValueError
            If the path has another ending or leads to no folder, if a number is not as described,
            or if the colour map is not known.
        RuntimeError
            If it is to be an MP4, and ffmpeg is not installed.
        OSError
            If the file cannot be written.

        Examples
        --------
        A display with many times makes for a smooth animation. Its plot shows five of them.

        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> import numpy as np
        >>> from sklearn.datasets import make_circles
        >>> from sknode import NODEClassifier
        >>> from sknode.inspection import FlowDisplay
        >>> X, y = make_circles(50, factor=0.5, random_state=0)
        >>> classifier = NODEClassifier(lift="identity", max_epochs=5, random_state=0).fit(X, y)
        >>> times = np.linspace(0, 1, 20)
        >>> display = FlowDisplay.from_estimator(classifier, X, y, times=times)
        >>> with TemporaryDirectory() as folder:
        ...     display.animate(Path(folder) / "flow.gif")
        """
        check_matplotlib_support(f"{type(self).__name__}.animate")
        from matplotlib.figure import Figure

        writer = _writer_for(path, fps, dpi)
        check_cmap(cmap)
        ratio = OVER_TIME if self.components is None else ratio_of(self.states)
        # Not by pyplot, which would keep it.
        figure = Figure(figsize=(5.5, 4.2 * ratio + 0.8), layout="constrained")
        ax = figure.subplots()
        colouring = Colouring(self.states.shape[1], self.y, self.classes, cmap)
        lines, points = self._draw_start(ax, colouring.of_rows)
        colouring.add_key(np.array([ax]), outside=True)
        # Laid out once, lest the axes move from frame to frame.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        with writer.saving(figure, os.fspath(path), dpi):
            for i, t in enumerate(self.times):
                points.set_offsets(self.states[i])
                if lines is not None:
                    lines.set_segments(list(self.states[: i + 1].swapaxes(0, 1)))
                ax.set_title(f"t = {t:.2f}")
                writer.grab_frame()

    def _draw_start(
        self, ax: "Axes", colours: np.ndarray
    ) -> tuple["LineCollection | None", "PathCollection"]:
        """Draw what an animation moves, on axes of which the later states are no reason to move."""
        if self.components is None:
            lines, points = draw_ways(ax, self.states, colours)
            ax.set(xlabel=self.xlabel, ylabel=self.ylabel, title="t")
            ax.set(xlim=ax.get_xlim(), ylim=ax.get_ylim())
            return lines, points
        frame(ax, self.states, self.xlabel, self.ylabel, self.times[0])
        return None, draw_points(ax, self.states[0], colours)


def _drawn(times: np.ndarray) -> np.ndarray:
    """Return which of the times are drawn."""
    n_times = len(times)
    n_panels = n_times if n_times <= MOST_PANELS else FEW_PANELS
    return np.linspace(0, n_times - 1, n_panels).round().astype(int)


def _writer_for(path: Any, fps: Any, dpi: Any) -> "AbstractMovieWriter":
    """Return what writes an animation, after a look at all that is asked of it."""
    from matplotlib.animation import FFMpegWriter, PillowWriter

    fps = check_integer("fps", fps, 1, MOST_FPS)
    if not is_number(dpi) or not DPI[0] <= dpi <= DPI[1]:
        raise ValueError(f"dpi must be a number from {DPI[0]} to {DPI[1]}, got {dpi!r}")
    path = check_path(path)
    ending = path.suffix.lower()
    if ending not in (".gif", ".mp4"):
        raise ValueError(f"path must end in .gif or .mp4, got {str(path)!r}")
    check_writable(path)
    if ending == ".gif":
        return PillowWriter(fps=fps)
    if not FFMpegWriter.isAvailable():
        raise RuntimeError(
            "an MP4 is written by the program ffmpeg, which was not found; install it, or write a "
            "GIF"
        )
    return FFMpegWriter(fps=fps)

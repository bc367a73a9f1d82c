"""The way of rows as an animation."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from .._checks import check_integer, check_path, is_number
from .._files import check_writable
from ._colours import check_cmap
from ._states import StatesDisplay, draw_points, draw_ways

if TYPE_CHECKING:
    from matplotlib.animation import AbstractMovieWriter
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection, PathCollection

__all__ = ["AnimatedDisplay"]

# A GIF counts hundredths of a second.
MOST_FPS = 100
# With fewer pixels an inch there is no room for axes; with more, a frame takes 100 MB and more.
LEAST_DPI = 10
MOST_DPI = 1000


class AnimatedDisplay(StatesDisplay):
    """Base of the displays of states that can be written as an animation."""

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
        # Made by pyplot, the figure would be kept.
        figure = Figure(figsize=(5.5, 4.2 * self._ratio + 0.8), layout="constrained")
        ax = figure.subplots()
        colouring = self._colouring(cmap)
        lines, points = self._draw_start(ax, colouring.of_rows)
        colouring.add_key(np.array([ax]), outside=True)
        # The figure is laid out once, lest the axes move from frame to frame.
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
        """Draw what an animation moves, on axes that later states do not move."""
        if self.components is None:
            lines, points = draw_ways(ax, self.states, colours)
            ax.set(xlabel=self.xlabel, ylabel=self.ylabel, title="t")
            ax.set(xlim=ax.get_xlim(), ylim=ax.get_ylim())
            return lines, points
        self._frame(ax, self.times[0])
        return None, draw_points(ax, self.states[0], colours)


def _writer_for(path: Any, fps: Any, dpi: Any) -> "AbstractMovieWriter":
    """Return what writes an animation, after a look at all that is asked of it."""
    from matplotlib.animation import FFMpegWriter, PillowWriter

    fps = check_integer("fps", fps, 1, MOST_FPS)
    if not is_number(dpi) or not LEAST_DPI <= dpi <= MOST_DPI:
        raise ValueError(f"dpi must be a number from {LEAST_DPI} to {MOST_DPI}, got {dpi!r}")
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

"""What the displays of states share: what they keep, and how it is drawn."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ._axes import check_axes, panels
from ._colours import Colouring
from ._plane import box_of, ratio_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection, PathCollection

__all__ = ["StatesDisplay", "draw_points", "draw_ways"]

# Height/width of axes with time on one of them, and their width in inches.
OVER_TIME = 0.7
WIDTH_OVER_TIME = 4.5


class StatesDisplay:
    """Base of the displays of rows' states, on a plane at some times, or over time."""

    states: np.ndarray
    times: np.ndarray
    y: np.ndarray | None
    classes: np.ndarray | None
    components: np.ndarray | None
    xlabel: str
    ylabel: str
    axes_: np.ndarray
    figure_: Any

    def __init__(
        self,
        states: np.ndarray,
        times: np.ndarray,
        y: np.ndarray | None,
        classes: np.ndarray | None,
        components: np.ndarray | None,
        xlabel: str,
        ylabel: str,
    ) -> None:
        self.states = states
        self.times = times
        self.y = y
        self.classes = classes
        self.components = components
        self.xlabel = xlabel
        self.ylabel = ylabel

    @property
    def _ratio(self) -> float:
        """Height/width of the axes."""
        return OVER_TIME if self.components is None else ratio_of(self.states)

    def _colouring(self, cmap: Any) -> Colouring:
        return Colouring(self.states.shape[1], self.y, self.classes, cmap)

    def _prepare(self, axes: Any, times: np.ndarray, width: float) -> None:
        """Take the given axes, or make some: one for each of the times, or one over time."""
        if self.components is None:
            self.axes_ = panels(check_axes(axes, 1), 1, WIDTH_OVER_TIME, self._ratio)
            self.axes_[0].set(xlabel=self.xlabel, ylabel=self.ylabel)
        else:
            given = check_axes(axes, len(times))
            self.axes_ = panels(given, len(times), width, self._ratio)
            for ax, t in zip(self.axes_, times, strict=True):
                self._frame(ax, t)
        self.figure_ = self.axes_[0].figure

    def _frame(self, ax: "Axes", t: float) -> None:
        """Prepare axes for the states at a time, alike for all times."""
        (left, bottom), (right, top) = box_of(self.states)
        ax.set(
            xlim=(left, right),
            ylim=(bottom, top),
            xlabel=self.xlabel,
            ylabel=self.ylabel,
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

"""The curves of trainings: their panels, lines and keys."""

from itertools import cycle
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ._axes import check_axes, make_axes
from ._colours import ACCESSIBLE
from ._histories import QUANTITIES, History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

__all__ = ["add_keys", "axes_of", "draw_curves"]

MOST_COLUMNS = 3
STYLES: list[Literal["-", "--"]] = ["-", "--"]
NEUTRAL = "0.3"
# How far an axis of counts goes below zero, as a part of what is above.
MARGIN = 0.04
BEST: dict[str, Any] = {
    "linestyle": "",
    "marker": "o",
    "markersize": 7,
    "markeredgecolor": "white",
    "zorder": 3,
}


def axes_of(given: Any, n_panels: int) -> np.ndarray:
    """Return what is given for the axes of panels, or new ones, in rows of about equal length."""
    axes = check_axes(given, n_panels)
    if axes is not None:
        return axes
    n_rows = ceil(n_panels / MOST_COLUMNS)
    n_columns = ceil(n_panels / n_rows)
    return make_axes(n_panels, n_columns, (max(4.8, 3.6 * n_columns), 2.9 * n_rows))


def draw_curves(
    axes: np.ndarray,
    panels: list[list[str]],
    histories: dict[str, History],
    best_epochs: dict[str, int],
    x: str,
) -> "dict[str, dict[str, Line2D]]":
    """Draw the quantities of the panels; return their lines, by training and quantity."""
    colours = _colours_of(histories)
    lines: dict[str, dict[str, Line2D]] = {name: {} for name in histories}
    for ax, drawn in zip(axes, panels, strict=True):
        for name, history in histories.items():
            lines[name] |= _draw(ax, drawn, history, best_epochs[name], x, colours[name])
        _label(ax, drawn, x)
    return lines


def add_keys(
    axes: np.ndarray, panels: list[list[str]], histories: dict[str, History], *, outside: bool
) -> None:
    """Draw what lines and points mean, that of all panels above them or in the first one."""
    of_all = _key_of_trainings(histories)
    for i, (ax, drawn) in enumerate(zip(axes, panels, strict=True)):
        handles = _key_of_kinds(drawn)
        if i == 0 and not outside:
            handles += of_all
        if handles:
            ax.legend(handles=handles)
    if outside:
        _add_above(axes[0].figure, of_all)


def _draw(
    ax: "Axes", drawn: list[str], history: History, best_epoch: int, x: str, colour: str
) -> "dict[str, Line2D]":
    """Draw what a training has of the quantities of a panel."""
    along = history[x].cumsum() if x == "seconds" else history[x]
    best = best_epoch - 1
    lines = {}
    for quantity, style in zip(drawn, STYLES, strict=False):
        if quantity not in history:
            continue
        values = history[quantity]
        # A line does not show a number between two gaps.
        plain = x in ("epoch", "seconds") and bool(np.isfinite(values).all())
        look: Any = {} if plain else {"linewidth": 0.7, "marker": "."}
        (lines[quantity],) = ax.plot(along, values, style, color=colour, **look)
        ax.plot(along[best], values[best], color=colour, **BEST)
    return lines


def _label(ax: "Axes", drawn: list[str], x: str) -> None:
    """Say what is on the axes, and let counts begin with zero and epochs be whole."""
    from matplotlib.ticker import MaxNLocator

    first = QUANTITIES[drawn[0]]
    ax.set_xlabel({"epoch": x, "seconds": "seconds of training"}.get(x) or QUANTITIES[x].title)
    ax.set_ylabel(first.label if len(drawn) > 1 else first.title)
    if first.is_count:
        ax.set_ylim(bottom=-MARGIN * ax.get_ylim()[1])
    if x == "epoch":
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))


def _colours_of(histories: dict[str, History]) -> dict[str, str]:
    return dict(zip(histories, cycle(ACCESSIBLE), strict=False))


def _key_of_trainings(histories: dict[str, History]) -> "list[Line2D]":
    """Return what tells the trainings apart, if there are several, and the best epoch."""
    from matplotlib.lines import Line2D

    named = _colours_of(histories).items() if len(histories) > 1 else ()
    handles = [Line2D([], [], color=colour, label=name) for name, colour in named]
    return [*handles, Line2D([], [], color=NEUTRAL, label="best epoch", **BEST)]


def _key_of_kinds(drawn: list[str]) -> "list[Line2D]":
    """Return what tells the quantities of one panel apart, if there are two."""
    from matplotlib.lines import Line2D

    if len(drawn) == 1:
        return []
    return [
        Line2D([], [], color=NEUTRAL, linestyle=style, label=QUANTITIES[quantity].kind)
        for quantity, style in zip(drawn, STYLES, strict=True)
    ]


def _add_above(figure: Any, handles: "list[Line2D]") -> None:
    """Draw a legend above the axes, in as few rows as its entries need."""
    longest = max(len(str(handle.get_label())) for handle in handles)
    # An entry takes about so many inches.
    most = int(figure.get_figwidth() / (0.6 + 0.09 * longest))
    n_columns = min(max(most, 1), len(handles))
    figure.set_figheight(figure.get_figheight() + 0.2 * ceil(len(handles) / n_columns))
    figure.legend(handles=handles, loc="outside upper center", ncols=n_columns, frameon=False)

"""Where is drawn: on axes that are given, or on new ones."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLUMNS", "check_ax", "check_axes", "make_axes", "panels"]

COLUMNS = 5


def check_ax(ax: Any) -> "Axes | None":
    """Return what is given for axes, or raise a ValueError if nothing can be drawn there."""
    if ax is not None and not _is_plane(ax):
        raise ValueError(
            f"ax must be matplotlib Axes in two dimensions or None, got {type(ax).__name__}"
        )
    return ax


def check_axes(axes: Any, n_axes: int) -> np.ndarray | None:
    """Return what is given for axes in a row, or raise a ValueError if they are not so many."""
    if axes is None:
        return None
    given = np.ravel(np.asarray(axes, dtype=object))
    if len(given) != n_axes or not all(map(_is_plane, given)):
        kinds = ", ".join(sorted({type(each).__name__ for each in given}))
        raise ValueError(
            f"axes must be {n_axes} in number, got {len(given)} ({kinds or 'none'}); each must be "
            "matplotlib Axes in two dimensions"
        )
    return given


def make_axes(
    n_axes: int, n_columns: int, size: tuple[float, float], *, sharey: bool = False
) -> np.ndarray:
    """Return so many axes on a new figure, row by row."""
    import matplotlib.pyplot as plt

    n_rows = -(-n_axes // n_columns)
    _, grid = plt.subplots(
        n_rows, n_columns, figsize=size, sharey=sharey, squeeze=False, layout="constrained"
    )
    for ax in grid.flat[n_axes:]:
        ax.remove()
    return grid.flatten()[:n_axes]


def panels(given: np.ndarray | None, n_axes: int, side: float, ratio: float) -> np.ndarray:
    """Return the given axes, or so many new ones of a width and height/width."""
    if given is not None:
        return given
    n_columns = min(n_axes, COLUMNS)
    n_rows = -(-n_axes // COLUMNS)
    # There is room for the key beside, and for titles and labels above and below.
    size = side * n_columns + 1.2, (side * ratio + 0.8) * n_rows
    axes = make_axes(n_axes, n_columns, size, sharey=True)
    for i, ax in enumerate(axes):
        ax.yaxis.label.set_visible(i % n_columns == 0)
    return axes


def _is_plane(ax: Any) -> bool:
    from matplotlib.axes import Axes

    return isinstance(ax, Axes) and not hasattr(ax, "zaxis")

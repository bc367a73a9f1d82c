"""What colours mean: the classes or values of rows, or one training beside others."""

from typing import Any

import numpy as np

from ._axes import COLUMNS

__all__ = ["ACCESSIBLE", "Colouring", "check_cmap"]

# M. A. Petroff, "Accessible Color Sequences for Data Visualization", arXiv:2107.02270.
ACCESSIBLE = [
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
]  # fmt: skip


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

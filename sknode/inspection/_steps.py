"""Where in time the solver takes small steps, and on which rows."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from .._checks import check_integer
from ..estimators.solver import BaseSolving
from ._accepted import binned_steps
from ._axes import check_ax
from ._colours import check_cmap
from ._fitted import check_member, parts_of
from ._labels import labels_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

__all__ = ["StepDisplay"]

# The numbers of each decade that are marked on a logarithmic scale.
ROUND = (1.0, 2.0, 5.0)
# More names do not fit beside a heat map.
MOST_LABELS = 20
MOST_BINS = 10_000
N_TICKS = 5


class StepDisplay:
    """The sizes of the solver's steps, over time and over rows.

    An adaptive solver takes small steps where a row's way bends sharply [1]_, so its steps tell
    which rows are hard, and when. Rows are drawn in the order of their number of steps, the hardest
    on top. The last step of a row ends where time does, and may be small for that alone.

    It is best made by `from_estimator`.

    Parameters
    ----------
    t : ndarray of shape (n_bins + 1,)
        The edges of bins of time, evenly spaced.
    step_size : ndarray of shape (n_samples, n_bins)
        The size of the step that covers a bin. Where several do, it is the width of the bin
        divided by their number, parts of steps included: the widths divided by the sizes add up
        to the number of steps.
    n_steps, rejected : ndarray of int, shape (n_samples,)
        How many steps a row took, and how many it tried and gave up.
    y : ndarray of shape (n_samples,) or None, default=None
        Labels of the rows; those with the same label are drawn together.

    Attributes
    ----------
    order : ndarray of shape (n_samples,)
        The rows from the bottom up: label by label, those with the fewest steps first.
    ax_ : matplotlib Axes
        The axes.
    im_ : matplotlib AxesImage
        The heat map.
    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    TrainingDisplay : How the number of steps changes in training.
    solver_consistency : Whether steps are small enough.

    References
    ----------
    .. [1] Hairer, Nørsett, Wanner, "Solving Ordinary Differential Equations I", Springer 1993.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from sknode import NODEClassifier
    >>> from sknode.inspection import StepDisplay
    >>> X, y = make_moons(50, noise=0.1, random_state=0)
    >>> classifier = NODEClassifier(solver="dopri5", max_epochs=10, random_state=0).fit(X, y)
    >>> display = StepDisplay.from_estimator(classifier, X, y)
    >>> display.step_size.shape, bool((display.n_steps >= 1).all())
    ((50, 100), True)
    """

    ax_: Any
    im_: Any
    figure_: Any

    def __init__(
        self,
        *,
        t: np.ndarray,
        step_size: np.ndarray,
        n_steps: np.ndarray,
        rejected: np.ndarray,
        y: np.ndarray | None = None,
    ) -> None:
        self.t = t
        self.step_size = step_size
        self.n_steps = n_steps
        self.rejected = rejected
        self.y = y

    @property
    def order(self) -> np.ndarray:
        """The rows from the bottom up: label by label, those with the fewest steps first."""
        # Rows with equally many steps are side by side if they take them at like times.
        density = 1 / self.step_size
        when = density @ self.t[1:] / density.sum(axis=1)
        if self.y is None:
            return np.lexsort([when, self.n_steps])
        _, codes = np.unique(self.y, return_inverse=True)
        return np.lexsort([when, self.n_steps, codes])

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        member: int = 0,
        n_bins: int = 100,
        ax: Any = None,
        cmap: Any = "viridis",
    ) -> Self:
        """Solve rows as the prediction of a fitted estimator does, and draw the steps.

        In single precision, rounding may now and then decide otherwise on a step.

        Parameters
        ----------
        estimator : NODEClassifier, NODERegressor, NODEImageClassifier, or a Pipeline that ends in\
 one
            The fitted estimator; it stays as it is.
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,) or None, default=None
            Labels of the rows, such as their classes, by which they are grouped; at most 20
            different ones.
        member : int, default=0
            Whose steps are wanted, of the `n_members`.
        n_bins : int, default=100
            Number of bins of time, at most 10,000.
        ax : matplotlib Axes or None, default=None
            Where to draw, as in `plot`.
        cmap : str or matplotlib Colormap, default="viridis"
            Colours of the step sizes, as in `plot`.

        Returns
        -------
        StepDisplay
            The display.

        Raises
        ------
        TypeError
            If it is no estimator of sknode with a solver.
        NotFittedError
            If it is not fitted.
        ValueError
            If another argument is not as described.
        SolverError
            If a row cannot be solved; it is named.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        before, fitted = parts_of(cls.__name__, estimator, BaseSolving)
        member = check_member(fitted, member)
        n_bins = check_integer("n_bins", n_bins, 1, MOST_BINS)
        y = _check_labels(X, y)
        check_ax(ax)
        check_cmap(cmap)
        X = before.transform(X) if before else X
        found = binned_steps(fitted, X, member, n_bins)
        return cls(**found._asdict(), y=y).plot(ax, cmap=cmap)

    def plot(self, ax: Any = None, *, cmap: Any = "viridis") -> Self:
        """Draw the step sizes as a heat map.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None: on a new figure.
        cmap : str or matplotlib Colormap, default="viridis"
            Colours of the step sizes, on a logarithmic scale. The smallest 2 % may have one in
            common.

        Returns
        -------
        StepDisplay
            The display.

        Raises
        ------
        ValueError
            If `ax` are no axes, or if the colour map is not known.
        TypeError
            If the colour map is none.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt
        from matplotlib import colormaps
        from matplotlib.colors import LogNorm

        cmap = colormaps.get_cmap(cmap)
        ax = check_ax(ax)
        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        # A row's last step ends where time does, and may be tiny for that alone.
        low, high = _round_range(*np.percentile(self.step_size, [2, 100]))
        self.im_ = ax.imshow(
            self.step_size[self.order],
            extent=(self.t[0], self.t[-1], 0, len(self.step_size)),
            origin="lower",
            aspect="auto",
            cmap=cmap,
            norm=LogNorm(low, high),
        )
        ax.set_xlabel("t")
        n_steps = self.n_steps[self.order]
        if self.y is None:
            _mark_steps(ax, n_steps)
        else:
            _mark_labels(ax, n_steps, self.y)
        _add_bar(ax, self.im_, smaller=self.step_size.min() < low)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self


def _mark_steps(ax: "Axes", n_steps: np.ndarray) -> None:
    """Write beside some rows how many steps they took, given those of the rows from below."""
    rows = np.unique(np.linspace(0, len(n_steps) - 1, N_TICKS).round().astype(int))
    ax.set_yticks(rows + 0.5, n_steps[rows])
    ax.set_ylabel("number of steps of a row")


def _mark_labels(ax: "Axes", n_steps: np.ndarray, y: np.ndarray) -> None:
    """Write beside the rows of a label what it is and how many steps they took."""
    labels, counts = np.unique(y, return_counts=True)
    ends = counts.cumsum()
    of_labels = np.split(n_steps, ends[:-1])
    ranges = [(of_label[0], of_label[-1]) for of_label in of_labels]
    names = [
        f"{label}: {few}" + (f"–{many}" if few < many else "")
        for label, (few, many) in zip(labels, ranges, strict=True)
    ]
    ax.set_yticks(ends - counts / 2, names)
    ax.tick_params(axis="y", length=0)
    ax.set_ylabel("y: number of steps of a row")
    for end in ends[:-1]:
        ax.axhline(end, color="white", linewidth=2)


def _add_bar(ax: "Axes", im: "AxesImage", *, smaller: bool) -> None:
    """Draw what the colours mean, and whether there are smaller steps than they tell apart."""
    from matplotlib.ticker import LogLocator

    bar = ax.figure.colorbar(
        im,
        ax=ax,
        label="step size",
        ticks=LogLocator(subs=ROUND),
        format="%g",
        extend="min" if smaller else "neither",
    )
    bar.minorticks_off()


def _round_range(low: float, high: float) -> tuple[float, float]:
    """Return the nearest round numbers that have both in between."""
    numbers = np.outer(10.0 ** np.arange(-16, 2), ROUND).ravel()
    least = numbers[np.searchsorted(numbers, low, side="right") - 1]
    return float(least), float(numbers[np.searchsorted(numbers, high)])


def _check_labels(X: Any, y: Any) -> np.ndarray | None:
    if y is None:
        return None
    y = labels_of(X, y)
    n_labels = len(np.unique(y))
    if n_labels > MOST_LABELS:
        raise ValueError(f"y must have at most {MOST_LABELS} different labels, got {n_labels}")
    return y

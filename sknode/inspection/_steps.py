"""Where in time the solver takes small steps, and on which rows."""

from copy import deepcopy
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from sklearn.utils._optional_dependencies import check_matplotlib_support
from torch import Tensor, nn

from .._checks import check_integer
from ..estimators.solver import BaseSolving
from ..ode import Stats
from ..ode.dense import dense_form_of, parameters_of
from ..ode.eager.stepping import steps
from ..ode.eager.workspace import lease
from ..ode.settings import Method
from ._axes import check_ax
from ._colours import check_cmap
from ._fitted import parts_of
from ._labels import labels_of

__all__ = ["StepDisplay", "Steps", "accepted_steps"]

# What is marked on a logarithmic scale, of each decade.
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
        # Of rows with equally many steps, those next to each other that take them at like times.
        density = 1 / self.step_size
        when = density @ self.t[1:] / density.sum(axis=1)
        group = self.n_steps * 0 if self.y is None else np.unique(self.y, return_inverse=True)[1]
        return np.lexsort([when, self.n_steps, group])

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
        member = check_integer("member", member, 0, fitted.net_.module_.n_members - 1)
        n_bins = check_integer("n_bins", n_bins, 1, MOST_BINS)
        y = _check_labels(X, y)
        check_ax(ax)
        check_cmap(cmap)
        X = before.transform(X) if before else X
        return cls(**_steps_of_rows(fitted, X, member, n_bins), y=y).plot(ax, cmap=cmap)

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
        from matplotlib.ticker import LogLocator

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
        if self.y is None:
            self._mark_steps(ax)
        else:
            self._mark_labels(ax, self.y)
        ax.figure.colorbar(
            self.im_,
            ax=ax,
            label="step size",
            ticks=LogLocator(subs=ROUND),
            format="%g",
            extend="min" if self.step_size.min() < low else "neither",
        ).minorticks_off()
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _mark_steps(self, ax: Any) -> None:
        """Write beside some rows how many steps they took."""
        n_steps = self.n_steps[self.order]
        rows = np.unique(np.linspace(0, len(n_steps) - 1, N_TICKS).round().astype(int))
        ax.set_yticks(rows + 0.5, n_steps[rows])
        ax.set_ylabel("number of steps of a row")

    def _mark_labels(self, ax: Any, y: np.ndarray) -> None:
        """Write beside the rows of a label what it is and how many steps they took."""
        labels, counts = np.unique(y, return_counts=True)
        ends = counts.cumsum()
        of_labels = np.split(self.n_steps[self.order], ends[:-1])
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


class Steps(NamedTuple):
    """The steps that a solver took from t = 0 on, and those that it tried and gave up.

    Attributes
    ----------
    start : ndarray of shape (n_tries, n_rows)
        When a row stood at the start of a step.
    size : ndarray of shape (n_tries, n_rows)
        How far the step went: zero if it was given up, or if the row had arrived before.
    rejected : ndarray of int, shape (n_rows,)
        How many were given up.
    """

    start: np.ndarray
    size: np.ndarray
    rejected: np.ndarray


@torch.no_grad()
def accepted_steps(field: nn.Module, z0: Tensor, t1: float, method: Method) -> Steps:
    """Find the steps that a solve takes, and those that it tries.

    Parameters
    ----------
    field : nn.Module
        f(t, z), see `sknode.ode.odeint`.
    z0 : Tensor of shape ``(rows, *state)``
        The states at t = 0.
    t1 : float
        Where the solve ends, later than 0.
    method : Method
        How to solve.

    Returns
    -------
    Steps
        The steps.

    Raises
    ------
    SolverError
        As in `sknode.ode.odeint`.
    """
    parameters = parameters_of(field, dense_form_of(field))
    # The native engine, which takes the same steps, does not tell where they are.
    workspace = lease(field, parameters, z0, method.tableau, None).workspace
    workspace.system.enter(z0, 0.0, out=workspace.stack[0])
    stats = Stats(len(z0), method.tableau.n_stages, method.tableau.fsal)
    ends = []
    for step in steps(workspace, [0.0, t1], method, stats, keep_tapes=False):
        stats.add(step.before, step.after, step.proposal)
        ends.append(torch.stack([step.before, step.after]))
    # On a fixed grid one number stands for all rows.
    left = torch.stack(ends, 1).view(2, len(ends), -1).expand(-1, -1, len(z0))
    before, after = left.cpu().numpy().astype(np.float64)
    return Steps(before[0] - before, before - after, stats.rejected.cpu().numpy())


def _steps_of_rows(estimator: BaseSolving, X: Any, member: int, n_bins: int) -> dict[str, Any]:
    """Return the arguments of a display but the labels."""
    # Running it would set it to evaluation. What was set on the block, a copy does not have.
    model, block = deepcopy(estimator), estimator.net_.module_.block
    network, method = model.net_.module_, block.settings.method
    t = np.linspace(0, block.t1, n_bins + 1)

    def count(rows: Tensor) -> Tensor:
        of_all = accepted_steps(network.block.field, network.start(rows), block.t1, method)
        counts = np.column_stack([_counts_until(t, of_all), of_all.rejected])
        return torch.from_numpy(counts).view(network.n_members, len(rows), -1)[member]

    *counts, rejected = model._run(count, X).T
    return {
        "t": t,
        "step_size": np.diff(t) / np.diff(counts, axis=0).T,
        "n_steps": counts[-1].round().astype(np.int64),
        "rejected": rejected.astype(np.int64),
    }


def _counts_until(t: np.ndarray, taken: Steps) -> np.ndarray:
    """Return how many steps each row took until each time, parts included, (n_rows, n_times)."""
    counts = np.empty((taken.start.shape[1], len(t)))
    for row, (start, size) in enumerate(zip(taken.start.T, taken.size.T, strict=True)):
        nodes = np.append(start[size != 0], t[-1])
        counts[row] = np.interp(t, nodes, np.arange(len(nodes)))
    return counts


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

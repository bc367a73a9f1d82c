"""What trainings were like: losses, scores, and the cost of the solves, epoch by epoch."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from math import ceil
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from .._checks import check_choice
from ..estimators.base import BaseNetwork
from ._axes import check_axes, make_axes
from ._colours import ACCESSIBLE
from ._fitted import parts_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

__all__ = ["TrainingDisplay"]

History = dict[str, np.ndarray]

REMEDY = "fit with early_stopping=True, or with X_val and y_val"
MOST_COLUMNS = 3
STYLES: list[Literal["-", "--"]] = ["-", "--"]
NEUTRAL = "0.3"
# Below zero, as a part of what is above.
MARGIN = 0.04
BEST: dict[str, Any] = {
    "linestyle": "",
    "marker": "o",
    "markersize": 7,
    "markeredgecolor": "white",
    "zorder": 3,
}


class _Quantity(NamedTuple):
    """What an axis says of a quantity, and which of those with the same axis it is."""

    label: str
    kind: str = ""
    is_count: bool = False

    @property
    def title(self) -> str:
        """What an axis says that is for this one alone."""
        return f"{self.kind} {self.label}".strip()


QUANTITIES = {
    "loss": _Quantity("loss", "training"),
    "validation_loss": _Quantity("loss", "validation"),
    "validation_score": _Quantity("validation score"),
    "nfe_forward": _Quantity("evaluations per batch", "forward", is_count=True),
    "nfe_backward": _Quantity("evaluations per batch", "backward", is_count=True),
    "accepted_steps": _Quantity("steps per row", "accepted", is_count=True),
    "rejected_steps": _Quantity("steps per row", "rejected", is_count=True),
    "learning_rate": _Quantity("learning rate"),
    "seconds": _Quantity("seconds per epoch", is_count=True),
}


class TrainingDisplay:
    """Losses, scores and the cost of the solves in the course of trainings.

    A field that becomes harder to solve in training needs more and more evaluations; augmented,
    it may learn more with fewer [1]_.

    It is best made by `from_estimator`, or by `from_estimators` for several side by side.

    Parameters
    ----------
    histories : dict of dict of ndarray
        Of each training, by its name, the quantities, by theirs, each of shape (n_epochs,).
        "epoch" and what is drawn must be there; quantities that a training does not have are
        left out.
    best_epochs : dict of int
        Of each training the epoch whose weights were kept, counted from one.
    quantities : sequence of str
        Those that are drawn. Training and validation loss have a panel in common, and so have
        forward and backward evaluations, and accepted and rejected steps.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (n_panels,)
        The axes.
    lines_ : dict of dict of matplotlib Line2D
        The lines, by the names of the training and the quantity.
    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    StepDisplay : Where the solver takes small steps, after the training.

    References
    ----------
    .. [1] Dupont, Doucet, Teh, "Augmented Neural ODEs", NeurIPS 2019.

    Examples
    --------
    >>> from sklearn.datasets import make_circles
    >>> from sknode import NODEClassifier, preset
    >>> from sknode.inspection import TrainingDisplay
    >>> X, y = make_circles(100, factor=0.5, random_state=0)
    >>> settings = {**preset("classical"), "max_epochs": 5, "random_state": 0}
    >>> node = NODEClassifier(**settings).fit(X, y)
    >>> display = TrainingDisplay.from_estimator(node)
    >>> [ax.get_ylabel() for ax in display.axes_]
    ['training loss', 'evaluations per batch']

    What a loss costs, with augmentation and without:

    >>> anode = NODEClassifier(**settings, augment_dim=1).fit(X, y)
    >>> display = TrainingDisplay.from_estimators(
    ...     {"NODE": node, "ANODE": anode}, quantities=["loss"], x="nfe_forward"
    ... )
    >>> list(display.histories)
    ['NODE', 'ANODE']
    """

    axes_: np.ndarray
    lines_: "dict[str, dict[str, Line2D]]"
    figure_: Any

    def __init__(
        self,
        *,
        histories: dict[str, History],
        best_epochs: dict[str, int],
        quantities: Sequence[str],
    ) -> None:
        self.histories = histories
        self.best_epochs = best_epochs
        self.quantities = quantities

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        name: str | None = None,
        quantities: Iterable[str] | None = None,
        axes: Any = None,
        x: str = "epoch",
    ) -> Self:
        """Draw the training of a fitted estimator.

        Parameters
        ----------
        estimator : estimator of sknode, or a Pipeline that ends in one
            The fitted estimator.
        name : str or None, default=None
            Its name; None: that of its class.
        quantities : sequence of str or None, default=None
            What is drawn, as in `from_estimators`.
        axes : matplotlib Axes, array-like of them or None, default=None
            Where to draw, as in `plot`.
        x : str, default="epoch"
            What the quantities are drawn over, as in `plot`.

        Returns
        -------
        TrainingDisplay
            The display.

        Raises
        ------
        TypeError
            If it is no estimator of sknode, if the name is no text, or if the quantities are no
            sequence of names.
        NotFittedError
            If it is not fitted.
        ValueError
            If another argument is not as described.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        if name is not None:
            _check_names([name])
        else:
            name = type(parts_of(cls.__name__, estimator, BaseNetwork)[1]).__name__
        return cls.from_estimators({name: estimator}, quantities=quantities, axes=axes, x=x)

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        *,
        quantities: Iterable[str] | None = None,
        axes: Any = None,
        x: str = "epoch",
    ) -> Self:
        """Draw the trainings of fitted estimators side by side.

        Parameters
        ----------
        estimators : dict
            The fitted estimators, by their names.
        quantities : sequence of str or None, default=None
            What is drawn, of "loss", "validation_loss", "validation_score", "nfe_forward",
            "nfe_backward", "accepted_steps", "rejected_steps", "learning_rate" and "seconds",
            which are described with the attribute `history_`. At least one of the estimators
            must have each. None: losses, score and evaluations, as far as there are such, and if
            steps were rejected, also steps.
        axes : matplotlib Axes, array-like of them or None, default=None
            Where to draw, as in `plot`.
        x : str, default="epoch"
            What the quantities are drawn over, as in `plot`.

        Returns
        -------
        TrainingDisplay
            The display.

        Raises
        ------
        TypeError
            If the estimators are no dict by names, if one of them is no estimator of sknode, or if
            the quantities are no sequence of names.
        NotFittedError
            If one is not fitted.
        ValueError
            If another argument is not as described.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimators")
        if not isinstance(estimators, Mapping):
            raise TypeError(f"estimators must be a dict, got {type(estimators).__name__}")
        if not estimators:
            raise ValueError("estimators must be one or more, got none")
        _check_names(estimators)
        fitted = {
            name: parts_of(cls.__name__, each, BaseNetwork)[1] for name, each in estimators.items()
        }
        histories = {name: _arrays(each.history_) for name, each in fitted.items()}
        if quantities is None:
            quantities = _usual(histories)
        display = cls(
            histories=histories,
            best_epochs={name: each.best_epoch_ for name, each in fitted.items()},
            quantities=_check_quantities(quantities, histories),
        )
        return display.plot(axes, x=x)

    def plot(self, axes: Any = None, *, x: str = "epoch") -> Self:
        """Draw the quantities, a panel for each kind, a colour for each training.

        A large point marks the epoch whose weights were kept. Numbers that are infinite or NaN
        are gaps.

        Parameters
        ----------
        axes : matplotlib Axes, array-like of them or None, default=None
            Where to draw, as many as there are panels; None: on a new figure.
        x : str, default="epoch"
            What they are drawn over: "epoch", or another quantity, epoch by epoch, the "seconds"
            being those since the training began. So quantities=["loss"] over "nfe_forward" shows
            what a loss costs.

        Returns
        -------
        TrainingDisplay
            The display.

        Raises
        ------
        ValueError
            If x or a quantity is not known, if one of the trainings does not have x or none a
            quantity, or if there are not as many axes as panels.
        TypeError
            If the quantities are no sequence of names.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        _check_x(x, self.histories)
        panels: dict[str, list[str]] = {}
        for quantity in _check_quantities(self.quantities, self.histories):
            panels.setdefault(QUANTITIES[quantity].label, []).append(quantity)
        given = check_axes(axes, len(panels))
        self.axes_ = _panels(len(panels)) if given is None else given
        self.figure_ = self.axes_[0].figure
        self.lines_ = {name: {} for name in self.histories}
        colours = dict(zip(self.histories, cycle(ACCESSIBLE), strict=False))
        key = _key(colours)
        for ax, drawn in zip(self.axes_, panels.values(), strict=True):
            self._draw(ax, drawn, x, colours)
            _label(ax, drawn, x)
            handles = _key_of_kinds(drawn)
            if axes is not None and ax is self.axes_[0]:
                handles += key
            if handles:
                ax.legend(handles=handles)
        if axes is None:
            _add_above(self.figure_, key)
        return self

    def _draw(self, ax: "Axes", drawn: list[str], x: str, colours: dict[str, str]) -> None:
        """Draw the quantities of one panel."""
        in_order = x in ("epoch", "seconds")
        for name, history in self.histories.items():
            along = history[x].cumsum() if x == "seconds" else history[x]
            best = self.best_epochs[name] - 1
            for quantity, style in zip(drawn, STYLES, strict=False):
                if quantity not in history:
                    continue
                values = history[quantity]
                # A line does not show a number between two gaps.
                plain = in_order and bool(np.isfinite(values).all())
                look: Any = {} if plain else {"linewidth": 0.7, "marker": "."}
                (line,) = ax.plot(along, values, style, color=colours[name], **look)
                ax.plot(along[best], values[best], color=colours[name], **BEST)
                self.lines_[name][quantity] = line


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


def _key(colours: dict[str, str]) -> "list[Line2D]":
    """Return what tells the trainings apart, if there are several, and the best epoch."""
    from matplotlib.lines import Line2D

    named = colours.items() if len(colours) > 1 else ()
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


def _arrays(history: list[dict[str, float]]) -> History:
    """Return what the epochs have, NaN in those without."""
    return {
        quantity: np.array([epoch.get(quantity, np.nan) for epoch in history])
        for quantity in ("epoch", *QUANTITIES)
        if any(quantity in epoch for epoch in history)
    }


def _usual(histories: dict[str, History]) -> list[str]:
    """Return the quantities that are drawn unless others are asked for."""
    usual = ["loss", "validation_loss", "validation_score", "nfe_forward", "nfe_backward"]
    if any(history["rejected_steps"].any() for history in histories.values()):
        usual += ["accepted_steps", "rejected_steps"]
    return [quantity for quantity in usual if _some_have(quantity, histories)]


def _some_have(quantity: str, histories: dict[str, History]) -> bool:
    return any(quantity in history for history in histories.values())


def _check_names(names: Iterable[Any]) -> None:
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"the name of an estimator must be text, got {name!r}")


def _check_quantities(quantities: Iterable[str], histories: dict[str, History]) -> list[str]:
    """Return the quantities, each once."""
    if isinstance(quantities, str | bytes) or not np.iterable(quantities):
        raise TypeError(f"quantities must be a sequence of names, got {quantities!r}")
    wanted = list(quantities)
    if not wanted:
        raise ValueError(f"quantities must be one or more of {list(QUANTITIES)}, got none")
    for quantity in wanted:
        if not isinstance(quantity, str) or quantity not in QUANTITIES:
            raise ValueError(f"quantity {quantity!r} is not known; choose from {list(QUANTITIES)}")
        if not _some_have(quantity, histories):
            raise ValueError(f"no estimator has {quantity!r} in its history_; {REMEDY}")
    return list(dict.fromkeys(wanted))


def _check_x(x: str, histories: dict[str, History]) -> None:
    check_choice("x", x, ["epoch", *QUANTITIES])
    without = [name for name, history in histories.items() if x not in history]
    if without:
        raise ValueError(f"x={x!r} is not in the history_ of {', '.join(without)}; {REMEDY}")


def _panels(n_panels: int) -> np.ndarray:
    """Return new axes, in rows of about equal length."""
    n_rows = ceil(n_panels / MOST_COLUMNS)
    n_columns = ceil(n_panels / n_rows)
    return make_axes(n_panels, n_columns, (max(4.8, 3.6 * n_columns), 2.9 * n_rows))

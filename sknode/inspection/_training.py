"""What trainings were like: losses, scores, and the cost of the solves, epoch by epoch."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from ..estimators.base import BaseNetwork
from ._curves import add_keys, axes_of, draw_curves
from ._fitted import parts_of
from ._histories import (
    History,
    check_quantities,
    check_x,
    history_of,
    panels_of,
    quantities_of,
)

if TYPE_CHECKING:
    from matplotlib.lines import Line2D

__all__ = ["TrainingDisplay"]


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
    >>> anode = NODEClassifier(**settings, augment_dim=1).fit(X, y)
    >>> display = TrainingDisplay.from_estimators({"NODE": node, "ANODE": anode})
    >>> [ax.get_ylabel() for ax in display.axes_]
    ['training loss', 'evaluations per batch']

    What a loss costs, with augmentation and without:

    >>> display.plot(x="nfe_forward").axes_[0].get_xlabel()
    'forward evaluations per batch'
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
        TypeError, NotFittedError, ValueError
            As of `from_estimators`.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        if name is None:
            _, fitted = parts_of(cls.__name__, estimator, BaseNetwork)
            name = type(fitted).__name__
        _check_name(name)
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
        fitted = _fitted_by_name(cls.__name__, estimators)
        histories = {name: history_of(each.history_) for name, each in fitted.items()}
        display = cls(
            histories=histories,
            best_epochs={name: each.best_epoch_ for name, each in fitted.items()},
            quantities=quantities_of(quantities, histories),
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
        check_x(x, self.histories)
        panels = panels_of(check_quantities(self.quantities, self.histories))
        self.axes_ = axes_of(axes, len(panels))
        self.figure_ = self.axes_[0].figure
        self.lines_ = draw_curves(self.axes_, panels, self.histories, self.best_epochs, x)
        add_keys(self.axes_, panels, self.histories, outside=axes is None)
        return self


def _fitted_by_name(display: str, estimators: Any) -> dict[str, BaseNetwork]:
    """Return the fitted estimators, or raise an error if they are none by names."""
    if not isinstance(estimators, Mapping):
        raise TypeError(f"estimators must be a dict, got {type(estimators).__name__}")
    if not estimators:
        raise ValueError("estimators must be one or more, got none")
    for name in estimators:
        _check_name(name)
    return {name: parts_of(display, each, BaseNetwork)[1] for name, each in estimators.items()}


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"the name of an estimator must be text, got {name!r}")

"""The states of rows on their way through a network."""

from typing import Any, Self

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from ._animation import AnimatedDisplay
from ._axes import check_axes
from ._colours import check_cmap
from ._states import draw_points, draw_ways
from ._ways import asked_of, ways_of

__all__ = ["FlowDisplay"]

MOST_PANELS = 10
FEW_PANELS = 5
# The width of a panel, in inches.
PANEL_WIDTH = 2.3


class FlowDisplay(AnimatedDisplay):
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
        super().__init__(states, times, y, classes, components, xlabel, ylabel)
        self.explained = explained

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
        display = cls(times=ways.times, explained=ways.explained, **ways.kept())
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
        colouring = self._colouring(cmap)
        drawn = _drawn(self.times)
        self._prepare(axes, self.times[drawn], PANEL_WIDTH)
        if self.components is None:
            draw_ways(self.axes_[0], self.states, colouring.of_rows)
        else:
            for ax, i in zip(self.axes_, drawn, strict=True):
                draw_points(ax, self.states[i], colouring.of_rows)
        colouring.add_key(self.axes_, outside=axes is None)
        return self


def _drawn(times: np.ndarray) -> np.ndarray:
    """Return which of the times are drawn."""
    n_times = len(times)
    n_panels = n_times if n_times <= MOST_PANELS else FEW_PANELS
    return np.linspace(0, n_times - 1, n_panels).round().astype(int)

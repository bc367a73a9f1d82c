"""Regression."""

from .documented import documented
from .regression import Regression
from .solver import BaseNODE

__all__ = ["NODERegressor"]


@documented
class NODERegressor(Regression, BaseNODE):
    """Regressor by a Neural Ordinary Differential Equation (not an oblivious decision ensemble).

    It solves z' = f(z, t; θ) from z(0), the standardised row, lifted and augmented with zeros, to
    z(1), and reads the standardised target, or several, off z(1) by a linear map. Each row is
    solved with step sizes of its own, so its prediction does not depend on the rows beside it.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    NODEClassifier : The same for classes.

    References
    ----------
    {references}

    Examples
    --------
    >>> import numpy as np
    >>> from sknode import NODERegressor
    >>> X = np.linspace(-2, 2, 50)[:, None]
    >>> regressor = NODERegressor(augment_dim=1, max_epochs=300, random_state=0)
    >>> regressor.fit(X, np.sin(2 * X[:, 0])).predict(X).shape
    (50,)
    >>> regressor.score(X, np.sin(2 * X[:, 0])) > 0.95
    True
    """

    lift_frequency: float = 0.5

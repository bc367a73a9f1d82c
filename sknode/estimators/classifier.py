"""Classification."""

from .classification import Classification
from .documented import documented
from .solver import BaseNODE

__all__ = ["NODEClassifier"]


@documented
class NODEClassifier(Classification, BaseNODE):
    """Classifier by a Neural Ordinary Differential Equation (not an oblivious decision ensemble).

    It solves z' = f(z, t; θ) from z(0), the standardised row, lifted and augmented with zeros, to
    z(1), and reads the classes' log-odds off z(1) by a linear map. Each row is solved with step
    sizes of its own, so its prediction does not depend on the rows beside it.

    Labels may be numbers, strings or booleans. Where y is a matrix of zeros and ones, rows may
    have several labels, each with a probability of its own.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    NODERegressor : The same for real-valued targets.

    References
    ----------
    {references}

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sknode import NODEClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = NODEClassifier(max_epochs=30, random_state=0).fit(X, y)
    >>> classifier.predict(X[:3])
    array([0, 0, 0])
    >>> classifier.score(X, y) > 0.95
    True
    """

    lift_frequency: float = 0.1

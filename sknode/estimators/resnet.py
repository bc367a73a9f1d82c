"""Residual networks, the discrete counterparts of Neural ODEs."""

from .blocks import BaseResidual
from .classification import Classification
from .documented import documented
from .regression import Regression
from .tabular import BaseRowNetwork

__all__ = ["ResNetClassifier", "ResNetRegressor"]


class BaseResNet(BaseResidual, BaseRowNetwork):
    """Base of the estimators that move a row by residual blocks."""


@documented
class ResNetClassifier(Classification, BaseResNet):
    """Classifier by a residual network, the discrete counterpart of a Neural ODE.

    It moves the standardised row, lifted and augmented with zeros, by `n_blocks` residual blocks
    [5]_, z ← z + f_k(z), and reads the classes' log-odds off the last z by a linear map. Lift,
    fields, head and training are those of `NODEClassifier`, so that a comparison of the two
    compares blocks with an ODE and nothing else.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    NODEClassifier : The continuous counterpart.
    ResNetRegressor : The same for real-valued targets.

    References
    ----------
    {references}

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sknode import ResNetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = ResNetClassifier(max_epochs=30, random_state=0).fit(X, y)
    >>> classifier.score(X, y) > 0.95
    True
    """

    lift_frequency: float = 0.1


@documented
class ResNetRegressor(Regression, BaseResNet):
    """Regressor by a residual network, the discrete counterpart of a Neural ODE.

    It moves the standardised row, lifted and augmented with zeros, by `n_blocks` residual blocks
    [5]_, z ← z + f_k(z), and reads the standardised target, or several, off the last z by a linear
    map. Lift, fields, head and training are those of `NODERegressor`, so that a comparison of the
    two compares blocks with an ODE and nothing else.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    NODERegressor : The continuous counterpart.
    ResNetClassifier : The same for classes.

    References
    ----------
    {references}

    Examples
    --------
    >>> import numpy as np
    >>> from sknode import ResNetRegressor
    >>> X = np.linspace(-2, 2, 50)[:, None]
    >>> regressor = ResNetRegressor(max_epochs=300, random_state=0)
    >>> regressor.fit(X, np.sin(2 * X[:, 0])).score(X, np.sin(2 * X[:, 0])) > 0.95
    True
    """

    lift_frequency: float = 0.5

"""Residual networks, the discrete counterparts of Neural ODEs."""

from ._classification import Classification
from ._documented import documented
from ._params import with_parameters
from ._regression import Regression
from ._residual import BlocksMixin, with_blocks
from ._rows import BaseRowNetwork

__all__ = ["ResNetClassifier", "ResNetRegressor"]


@with_blocks
class BaseResNet(BlocksMixin, BaseRowNetwork):
    """Base of the estimators that move a row by residual blocks."""


@documented
@with_parameters("augment_dim", lift_frequency=0.1)
@with_parameters(label_smoothing=0.02, class_weight=None)
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


@documented
@with_parameters("augment_dim", lift_frequency=0.5)
@with_parameters(loss="squared_error", quantile=None)
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

"""Regression."""

from ._node import BaseNODE
from ._params import documented, with_parameters
from ._regression import Regression

__all__ = ["NODERegressor"]


@documented
@with_parameters("augment_dim", lift_frequency=0.5)
@with_parameters(loss="squared_error", quantile=None)
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
    net_ : skorch.NeuralNet
        The trained net; `net_.module_` is the torch module.
    scaling_, target_scaling_ : Scaling
        `center` and `scale`, of shape (n_features,) and (n_targets,), by which the inputs and the
        targets are brought to size one, and whether that `clips`.
    link_ : {"identity", "log"}
        The function of the mean that the network learns, "log" for the loss "poisson".
    periodic_features_ : ndarray of int, shape (n_periodic,)
        The features that take more than two values, of which the periodic lift has functions;
        of sparse X none.
    {attributes}

    See Also
    --------
    NODEClassifier : The same for classes.

    References
    ----------
    .. [1] Chen, Rubanova, Bettencourt, Duvenaud, "Neural Ordinary Differential Equations",
       NeurIPS 2018.
    .. [2] Dupont, Doucet, Teh, "Augmented Neural ODEs", NeurIPS 2019.
    .. [3] Gorishniy, Rubachev, Babenko, "On Embeddings for Numerical Features in Tabular Deep
       Learning", NeurIPS 2022.
    .. [4] Finlay, Jacobsen, Nurbekyan, Oberman, "How to Train Your Neural ODE: the World of
       Jacobian and Kinetic Regularization", ICML 2020.

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

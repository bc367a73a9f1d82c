"""Regression."""

from functools import partial

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import column_or_1d
from torch import nn

from ._base import BaseNODE, Target
from ._params import documented
from ._training import Scaling

__all__ = ["NODERegressor"]


@documented
class NODERegressor(RegressorMixin, BaseNODE):
    """Regressor by a Neural Ordinary Differential Equation (not an oblivious decision ensemble).

    It solves z' = f(z, t; θ) from z(0), the standardised row, lifted and augmented with zeros, to
    z(1), and reads the standardised target off z(1) by a linear map, trained on the squared
    error. Each row is solved with step sizes of its own, so its prediction does not depend on the
    rows beside it.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained net; `net_.module_` is the torch module.
    scaling_, target_scaling_ : (ndarray, ndarray), of shape (n_features,) and (1,)
        `mean` and `scale` by which the inputs and the target are standardised.
    {attributes}

    See Also
    --------
    NODEClassifier : The same for classes.

    References
    ----------
    .. [1] Chen, Rubanova, Bettencourt, Duvenaud, "Neural Ordinary Differential Equations",
       NeurIPS 2018.
    .. [2] Dupont, Doucet, Teh, "Augmented Neural ODEs", NeurIPS 2019.

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

    def predict(self, X) -> np.ndarray:
        """Return the prediction for each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            The predictions.
        """
        outputs = self._outputs(X)[:, 0]
        return outputs * self.target_scaling_.scale[0] + self.target_scaling_.mean[0]

    def _encode_target(self, y: np.ndarray, sample_weight: np.ndarray | None) -> Target:
        y = column_or_1d(y, warn=True, dtype=np.float64)[:, None]
        if not (self.warm_start and hasattr(self, "net_")):
            scaler = StandardScaler().fit(y, sample_weight=sample_weight)
            self.target_scaling_ = Scaling(scaler.mean_, scaler.scale_)
        scaled = (y - self.target_scaling_.mean) / self.target_scaling_.scale
        return Target(scaled, 1, partial(nn.MSELoss, reduction="none"))

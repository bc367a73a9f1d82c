"""Classification."""

from functools import partial

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d
from torch import nn

from ._base import BaseNODE, Target
from ._params import documented, with_parameter

__all__ = ["NODEClassifier"]


@documented
@with_parameter("class_weight", None)
class NODEClassifier(ClassifierMixin, BaseNODE):
    """Classifier by a Neural Ordinary Differential Equation (not an oblivious decision ensemble).

    It solves z' = f(z, t; θ) from z(0), the standardised row, lifted and augmented with zeros, to
    z(1), and reads the classes' log-odds off z(1) by a linear map. Each row is solved with step
    sizes of its own, so its prediction does not depend on the rows beside it.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels.
    net_ : skorch.NeuralNet
        The trained net; `net_.module_` is the torch module.
    scaling_ : (ndarray, ndarray), each of shape (n_features,)
        `mean` and `scale` by which the inputs are standardised.
    {attributes}

    See Also
    --------
    NODERegressor : The same for real-valued targets.

    References
    ----------
    .. [1] Chen, Rubanova, Bettencourt, Duvenaud, "Neural Ordinary Differential Equations",
       NeurIPS 2018.
    .. [2] Dupont, Doucet, Teh, "Augmented Neural ODEs", NeurIPS 2019.

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

    classes_: np.ndarray

    def decision_function(self, X) -> np.ndarray:
        """Return the log-odds of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,) for two classes, else (n_samples, n_classes)
            With two classes the log-odds of `classes_[1]`, else logarithms of the probabilities
            up to a constant for each row.
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if len(self.classes_) == 2 else outputs

    def predict(self, X) -> np.ndarray:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            The class labels.
        """
        odds = self.decision_function(X)
        return self.classes_[(odds > 0).astype(int) if odds.ndim == 1 else odds.argmax(axis=1)]

    def predict_proba(self, X) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`.
        """
        odds = self.decision_function(X)
        return np.stack((expit(-odds), expit(odds)), 1) if odds.ndim == 1 else softmax(odds, axis=1)

    def predict_log_proba(self, X) -> np.ndarray:
        """Return the logarithm of the probability of each class, exact where that is tiny.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms of probabilities, in the order of `classes_`.
        """
        odds = self.decision_function(X)
        if odds.ndim == 1:
            return np.stack((log_expit(-odds), log_expit(odds)), 1)
        return log_softmax(odds, axis=1)

    def _encode_target(self, y: np.ndarray, sample_weight: np.ndarray | None) -> Target:
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        classes, codes = np.unique(y, return_inverse=True)
        if self.warm_start and hasattr(self, "net_") and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"warm_start=True needs the classes of the fit before, {self.classes_}, "
                f"got {classes}"
            )
        weight = None
        if self.class_weight is not None:
            weight = compute_sample_weight(self.class_weight, y)
            weight = weight if sample_weight is None else weight * sample_weight
        self.classes_ = classes
        if len(classes) == 2:
            criterion = partial(nn.BCEWithLogitsLoss, reduction="none")
            return Target(codes[:, None].astype(np.float64), 1, criterion, weight)
        return Target(codes, len(classes), partial(nn.CrossEntropyLoss, reduction="none"), weight)

"""What regression is, whatever network learns it."""

from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..training.data import Table
from ..training.scaling import Scaling, standard_scaling
from ._hyperparameters import fitted
from ._numbers import Numbers, check_numbers, scaling_by_mean
from ._sklearn import RegressorMixin
from .base import BaseNetwork

__all__ = ["Regression"]


class Regression(RegressorMixin, BaseNetwork):
    """A network that reads the standardised target, or several, off its outputs."""

    loss: str = "squared_error"
    quantile: float | None = None

    target_scaling_: Scaling = fitted()
    link_: str = fitted()

    def partial_fit(self, X, y, sample_weight=None) -> Self:
        """Go through the rows once, on top of what was learned before.

        The first call fixes the standardisation. The learning rate is constant, the state of the
        optimizer is carried over, and `early_stopping` is not looked at.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            The targets.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.

        Returns
        -------
        Self
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError, TrainingError
            As of `fit`.
        """
        return self._partial_fit(X, y, sample_weight, None)

    def predict(self, X, return_std=False) -> Any:
        """Return the prediction for each row, the mean over the members.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        return_std : bool, default=False
            Whether to return also how far the members are apart. It tells where the data leave
            open what the function is, and nothing of the noise of the targets.

        Returns
        -------
        predictions : ndarray of shape (n_samples,) or (n_samples, n_targets)
            The predictions.
        std : ndarray of the same shape
            The standard deviations of the members' predictions; only with `return_std=True`.

        Raises
        ------
        ValueError
            If `return_std` is asked of a single member.
        SolverError
            If a row cannot be solved; it is named.
        """
        target = self._target
        outputs = self._map_outputs(X, np.asarray, axis=1)
        predictions = target.decode(target.combine(outputs))
        if not return_std:
            return predictions
        if len(outputs) == 1:
            raise ValueError("return_std=True needs several members; fit with n_members=4, say")
        return predictions, target.decode_members(outputs).std(axis=0)

    def predict_members(self, X) -> np.ndarray:
        """Return the predictions of each member.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_members, n_samples) or (n_members, n_samples, n_targets)
            The predictions, whose mean `predict` returns.

        Raises
        ------
        SolverError
            If a row cannot be solved; it is named.
        """
        target = self._target
        return target.decode_members(self._map_outputs(X, np.asarray, axis=1))

    def __sklearn_tags__(self):
        """Return the tags: there may be several targets, and counts are not negative."""
        tags = super().__sklearn_tags__()
        # scikit-learn's checks of several targets know none that may not be negative.
        tags.target_tags.positive_only = self.loss == "poisson"
        tags.target_tags.multi_output = not tags.target_tags.positive_only
        return tags

    @property
    def _target(self) -> Numbers:
        check_is_fitted(self)
        return Numbers(self.target_scaling_, self.link_, self.loss, self.quantile)

    def _check_target(self, y: np.ndarray) -> np.ndarray:
        return check_numbers(y, self.loss, self.quantile)

    def _learn_target(self, table: Table, classes: np.ndarray | None) -> None:
        y = table.y.reshape(len(table.y), -1)
        if self.loss == "poisson":
            self.link_ = "log"
            self.target_scaling_ = scaling_by_mean(y, table.weight)
        else:
            self.link_ = "identity"
            self.target_scaling_ = standard_scaling(y, table.weight, "y")

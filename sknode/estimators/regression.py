"""What regression is, whatever network learns it."""

from collections.abc import Callable
from functools import partial
from typing import Any, Self

import numpy as np
from scipy.special import logsumexp
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_array
from torch import nn

from ..modules.losses import RegressionLoss
from ..training.data import Table
from ..training.prediction import no_prediction
from ..training.scaling import Scaling, standard_scaling
from ._hyperparameters import fitted
from .base import LARGE, BaseNetwork

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
        outputs = self._member_outputs(X)
        predictions = self._decode(self._combine(outputs))
        if not return_std:
            return predictions
        if len(outputs) == 1:
            raise ValueError("return_std=True needs several members; fit with n_members=4, say")
        return predictions, self._decode_members(outputs).std(axis=0)

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
        return self._decode_members(self._member_outputs(X))

    def __sklearn_tags__(self):
        """Return the tags: there may be several targets, and counts are not negative."""
        tags = super().__sklearn_tags__()
        # scikit-learn's checks of several targets know none that may not be negative.
        tags.target_tags.positive_only = self.loss == "poisson"
        tags.target_tags.multi_output = not tags.target_tags.positive_only
        return tags

    def _check_target(self, y: np.ndarray) -> np.ndarray:
        if self.loss == "quantile" and self.quantile is None:
            raise ValueError("loss='quantile' needs a quantile, such as quantile=0.9, got None")
        with np.errstate(**LARGE):
            y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        if self.loss == "poisson" and y.min() < 0:
            raise ValueError(f"loss='poisson' needs targets that are not negative, got {y.min():g}")
        return y

    def _learn_target(self, table: Table, classes: np.ndarray | None) -> None:
        y = table.y.reshape(len(table.y), -1)
        self.link_ = "log" if self.loss == "poisson" else "identity"
        if self.link_ == "identity":
            self.target_scaling_ = standard_scaling(y, table.weight, "y")
            return
        # In units of the largest, whose sum may be beyond the largest number.
        largest = np.where(y.any(axis=0), y.max(axis=0), 1.0)
        mean = np.average(y / largest, axis=0, weights=table.weight) * largest
        if not (mean > 0).all():
            raise ValueError("loss='poisson' needs targets with a positive mean, got only zeros")
        self.target_scaling_ = Scaling(np.zeros_like(mean), mean)

    def _encode(self, y: np.ndarray) -> np.ndarray:
        y = y.reshape(len(y), -1)
        n_targets = len(self.target_scaling_.scale)
        if y.shape[1] != n_targets:
            raise ValueError(
                f"y must have {n_targets} targets, as in the fit before, got {y.shape[1]}"
            )
        return self.target_scaling_.apply(y)

    def _decode(self, outputs: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            values = self._mean(outputs)
            values = values * self.target_scaling_.scale + self.target_scaling_.center
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            raise no_prediction(np.flatnonzero(~finite), "it is beyond the largest number")
        return values[:, 0] if values.shape[1] == 1 else values

    def _decode_members(self, outputs: np.ndarray) -> np.ndarray:
        """Return the predictions of each member."""
        return np.stack([self._decode(of_one) for of_one in outputs])

    def _average(self, outputs: np.ndarray, counts: np.ndarray | None) -> np.ndarray:
        n = len(outputs) if counts is None else counts.sum(axis=0)
        if self.link_ == "log":
            return logsumexp(outputs, axis=0, b=counts) - np.log(n)
        return outputs.sum(axis=0, where=True if counts is None else counts) / n

    def _mean(self, outputs: np.ndarray) -> np.ndarray:
        """Return what the link takes to the network's outputs, in units of `target_scaling_`."""
        return np.exp(outputs) if self.link_ == "log" else outputs

    def _task(self) -> tuple[int, Callable[[], nn.Module]]:
        quantile = None if self.quantile is None else float(self.quantile)
        return len(self.target_scaling_.scale), partial(RegressionLoss, self.loss, quantile)

    def _score(
        self, outputs: np.ndarray, *, y: np.ndarray, sample_weight: np.ndarray | None
    ) -> float:
        if len(y) < 2:
            return np.nan
        # R² is the same for standardised targets, whose squares are numbers.
        with np.errstate(**LARGE):
            true = self._encode(y)
            predicted = self._mean(outputs)
            if not np.isfinite(true).all() or not np.isfinite(predicted).all():
                return -np.inf
            return r2_score(true, predicted, sample_weight=sample_weight)

"""What classification is, whatever network learns it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self

import numpy as np
from scipy.special import expit, log_expit, log_softmax, logsumexp, softmax
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from torch import nn

from ..modules.losses import BinaryLogLoss, CategoricalLogLoss
from ..training.data import Table
from ._hyperparameters import fitted
from .base import BaseNetwork, relative

__all__ = ["Classification"]

MULTILABEL = "multilabel-indicator"


class Classification(ClassifierMixin, BaseNetwork):
    """A network that reads the classes' log-odds off its outputs."""

    label_smoothing: float = 0.02
    class_weight: Mapping[Any, float] | str | None = None

    classes_: np.ndarray = fitted()
    target_type_: str = fitted()

    def partial_fit(self, X, y, classes=None, sample_weight=None) -> Self:
        """Go through the rows once, on top of what was learned before.

        The first call fixes the classes and the standardisation. The learning rate is constant,
        the state of the optimizer is carried over, and `early_stopping` is not looked at.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Their classes, or a matrix of zeros and ones.
        classes : array-like of shape (n_classes,) or None, default=None
            All classes there will be; needed in the first call.
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
        if not hasattr(self, "net_"):
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"classes={classes!r} are not those of the call before, {self.classes_!r}"
            )
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' cannot be used with partial_fit, which does not know the "
                "rows to come; give a dict, or pass weights as sample_weight"
            )
        return self._partial_fit(X, y, sample_weight, classes)

    def decision_function(self, X) -> np.ndarray:
        """Return the log-odds of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,) for two classes, else (n_samples, n_classes)
            With two classes the log-odds of `classes_[1]`, with several labels those of each,
            else logarithms of the probabilities up to a constant for each row.

        Raises
        ------
        SolverError
            If a row cannot be solved; it is named.
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if self.target_type_ == "binary" else outputs

    def predict(self, X) -> np.ndarray:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
            The class labels, or ones for the labels that are more probable than not.

        Raises
        ------
        SolverError
            If a row cannot be solved; it is named.
        """
        return self._map_outputs(X, lambda of_all: self._decode(self._combine(of_all)))

    def predict_proba(self, X) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`; those of a row add up to one, except where
            it may have several labels.

        Raises
        ------
        SolverError
            If a row cannot be solved; it is named.
        """
        return self._map_outputs(X, self._mean_probabilities)

    def predict_proba_members(self, X) -> np.ndarray:
        """Return the probability of each class by each member.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_members, n_samples, n_classes)
            Probabilities, whose mean `predict_proba` returns.

        Raises
        ------
        SolverError
            If a row cannot be solved; it is named.
        """
        return self._map_outputs(X, self._members_probabilities, axis=1)

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

        Raises
        ------
        SolverError
            If a row cannot be solved; it is named.
        """
        return self._map_outputs(X, self._log_probabilities)

    def _mean_probabilities(self, outputs: np.ndarray) -> np.ndarray:
        return self._probabilities(self._combine(outputs), expit, softmax)

    def _log_probabilities(self, outputs: np.ndarray) -> np.ndarray:
        return self._probabilities(self._combine(outputs), log_expit, log_softmax)

    def _members_probabilities(self, outputs: np.ndarray) -> np.ndarray:
        return np.stack([self._probabilities(of_one, expit, softmax) for of_one in outputs])

    def _probabilities(
        self, outputs: np.ndarray, of_odds: Callable, of_scores: Callable
    ) -> np.ndarray:
        """Apply one function to log-odds, or the other to the scores of several classes."""
        if self.target_type_ == "multiclass":
            return of_scores(outputs, axis=1)
        binary = self.target_type_ == "binary"
        return of_odds(np.concatenate((-outputs, outputs), 1) if binary else outputs)

    def __sklearn_tags__(self):
        """Return the tags: rows may have several labels."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _check_target(self, y: np.ndarray) -> np.ndarray:
        try:
            check_classification_targets(y)
            if y.dtype == object:
                np.unique(y)
        except TypeError as error:
            raise ValueError(
                f"y must consist of labels of one type, which can be put in order: {error}"
            ) from error
        if y.ndim == 2 and type_of_target(y) != MULTILABEL:
            raise ValueError(
                "a matrix y must consist of zeros and ones, a column for each label; for several "
                "targets of several classes use sklearn.multioutput.MultiOutputClassifier"
            )
        return y

    def _learn_target(self, table: Table, classes: np.ndarray | None) -> None:
        y = table.y
        if y.ndim == 2:
            if classes is not None and len(np.unique(classes)) != y.shape[1]:
                raise ValueError(
                    f"y must have a column for each of the {len(np.unique(classes))} classes, got "
                    f"{y.shape[1]} columns"
                )
            self.target_type_, self.classes_ = MULTILABEL, np.arange(y.shape[1])
            return
        self.classes_ = np.unique(y if classes is None else classes)
        self.target_type_ = "binary" if len(self.classes_) == 2 else "multiclass"
        weighted = set(self.class_weight) if isinstance(self.class_weight, dict) else None
        if weighted is not None and weighted.isdisjoint(self.classes_.tolist()):
            raise ValueError(
                f"class_weight has none of the classes, {self.classes_}, got {self.class_weight}"
            )

    def _check_same_target(self, y: np.ndarray) -> None:
        classes = np.arange(y.shape[1]) if y.ndim == 2 else np.unique(y)
        several = self.target_type_ == MULTILABEL
        if (y.ndim == 2) != several or not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"warm_start=True needs the classes of the fit before, {self.classes_}, "
                f"got {classes}"
            )

    def _encode(self, y: np.ndarray) -> np.ndarray:
        if self.target_type_ == MULTILABEL:
            if y.shape != (len(y), len(self.classes_)):
                raise ValueError(
                    f"y must have a column for each of {len(self.classes_)} labels, got an array "
                    f"of shape {y.shape}"
                )
            return y.astype(np.float64)
        if y.ndim != 1:
            raise ValueError(f"y must be one-dimensional, got an array of shape {y.shape}")
        known = np.isin(y, self.classes_)
        if not known.all():
            raise ValueError(
                f"y must consist of the classes {self.classes_}, got also {np.unique(y[~known])}"
            )
        codes = np.searchsorted(self.classes_, y)
        return codes[:, None].astype(np.float64) if self.target_type_ == "binary" else codes

    def _decode(self, outputs: np.ndarray) -> np.ndarray:
        if self.target_type_ == MULTILABEL:
            return (outputs > 0).astype(int)
        binary = self.target_type_ == "binary"
        return self.classes_[(outputs[:, 0] > 0).astype(int) if binary else outputs.argmax(axis=1)]

    def _average(self, outputs: np.ndarray, counts: np.ndarray | None) -> np.ndarray:
        total = partial(logsumexp, axis=0, b=counts)
        if self.target_type_ == "multiclass":
            return total(log_softmax(outputs, axis=2))
        return total(log_expit(outputs)) - total(log_expit(-outputs))

    def _task(self) -> tuple[int, Callable[[], nn.Module]]:
        smoothing = float(self.label_smoothing)
        if self.target_type_ == "multiclass":
            return len(self.classes_), partial(CategoricalLogLoss, smoothing)
        n_outputs = 1 if self.target_type_ == "binary" else len(self.classes_)
        return n_outputs, partial(BinaryLogLoss, smoothing)

    def _score(
        self, outputs: np.ndarray, *, y: np.ndarray, sample_weight: np.ndarray | None
    ) -> float:
        return accuracy_score(y, self._decode(outputs), sample_weight=sample_weight)

    def _weigh(self, y: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray | None:
        if self.class_weight is None:
            return sample_weight
        if isinstance(self.class_weight, str):
            weight = compute_sample_weight(self.class_weight, y)
        elif y.ndim == 2:
            raise ValueError(
                "class_weight cannot be a dict where rows may have several labels; use 'balanced' "
                "or sample_weight"
            )
        else:
            labels, codes = np.unique(y, return_inverse=True)
            weight = np.array([float(self.class_weight.get(n, 1)) for n in labels.tolist()])[codes]
        return relative(weight) if sample_weight is None else relative(weight) * sample_weight

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        return None if y.ndim == 2 else np.searchsorted(self.classes_, y)

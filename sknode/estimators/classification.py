"""What classification is, whatever network learns it."""

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..training.data import Table
from ._hyperparameters import fitted
from ._sklearn import ClassifierMixin
from .base import BaseNetwork
from .classes import (
    MULTILABEL,
    TARGET_TYPES,
    ClassTarget,
    check_labels,
    classes_of,
    weights_by_class,
)

__all__ = ["Classification"]


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
        outputs = self._map_outputs(X, self._target.combine)
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
        return self._read_off(X, self._target.decode)

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
        return self._read_off(X, self._target.probabilities)

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
        probabilities = self._target.probabilities

        def of_each(outputs: np.ndarray) -> np.ndarray:
            return np.stack([probabilities(of_one) for of_one in outputs])

        return self._map_outputs(X, of_each, axis=1)

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
        return self._read_off(X, self._target.log_probabilities)

    def __sklearn_tags__(self):
        """Return the tags: rows may have several labels."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _read_off(self, X, read: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return what is read off the outputs that the members have together."""
        combine = self._target.combine
        return self._map_outputs(X, lambda of_all: read(combine(of_all)))

    @property
    def _target(self) -> ClassTarget:
        check_is_fitted(self)
        return TARGET_TYPES[self.target_type_](self.classes_, self.label_smoothing)

    def _check_target(self, y: np.ndarray) -> np.ndarray:
        check_labels(y)
        return y

    def _learn_target(self, table: Table, classes: np.ndarray | None) -> None:
        self.target_type_, self.classes_ = classes_of(table.y, classes)
        if not isinstance(self.class_weight, Mapping) or self.target_type_ == MULTILABEL:
            return
        if set(self.class_weight).isdisjoint(self.classes_.tolist()):
            raise ValueError(
                f"class_weight has none of the classes, {self.classes_}, got {self.class_weight}"
            )

    def _weigh(self, y: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray | None:
        return weights_by_class(y, self.class_weight, sample_weight)

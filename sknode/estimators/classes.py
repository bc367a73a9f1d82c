"""Targets that are classes: one of two, one of several, or any number of labels."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from scipy.special import expit, log_expit, log_softmax, logsumexp, softmax
from sklearn.metrics import accuracy_score
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from ..modules.losses import BinaryLogLoss, CategoricalLogLoss
from ..training.data import relative
from ..training.target import Target

__all__ = [
    "MULTILABEL",
    "TARGET_TYPES",
    "ClassTarget",
    "check_labels",
    "classes_of",
    "weights_by_class",
]

MULTILABEL = "multilabel-indicator"


class ClassTarget(Target):
    """Classes whose log-odds, or scores, a network is read off.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        The labels in ascending order.
    smoothing : float
        The part of a label that is shared out over all classes in training.
    """

    classes: np.ndarray

    @abstractmethod
    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Return the probabilities (n_rows, n_classes) that outputs stand for."""

    @abstractmethod
    def log_probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Return their logarithms, exact where a probability is tiny."""

    def score(
        self, outputs: np.ndarray, *, y: np.ndarray, sample_weight: np.ndarray | None
    ) -> float:
        """Return the accuracy."""
        return accuracy_score(y, self.decode(outputs), sample_weight=sample_weight)

    def check_same(self, y: np.ndarray) -> None:
        """Complain if targets have other classes."""
        classes = self._classes_in(y)
        if classes is None or not np.array_equal(classes, self.classes):
            found = np.arange(y.shape[1]) if y.ndim == 2 else np.unique(y)
            raise ValueError(
                f"warm_start=True needs the classes of the fit before, {self.classes}, got {found}"
            )

    def _classes_in(self, y: np.ndarray) -> np.ndarray | None:
        """Return the classes of targets, None if they are of another kind."""
        return np.unique(y) if y.ndim == 1 else None


class _LogOdds(ClassTarget):
    """Classes of which each has log-odds of its own, an output for each."""

    def __init__(self, classes: np.ndarray, smoothing: float) -> None:
        self.classes = classes
        self.smoothing = smoothing

    @property
    def criterion(self) -> partial[BinaryLogLoss]:
        """What makes the loss."""
        return partial(BinaryLogLoss, float(self.smoothing))

    def average(self, outputs: np.ndarray, counts: np.ndarray | None) -> np.ndarray:
        """Return the log-odds of the members' mean probability."""
        total = partial(logsumexp, axis=0, b=counts)
        return total(log_expit(outputs)) - total(log_expit(-outputs))


class TwoClasses(_LogOdds):
    """One of two classes: the output is the log-odds of the second."""

    n_outputs = 1

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return zeros and ones (n_rows, 1)."""
        return _codes(y, self.classes)[:, None].astype(np.float64)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Return the more probable class."""
        return self.classes[(outputs[:, 0] > 0).astype(int)]

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Return the probabilities of both."""
        return expit(np.concatenate((-outputs, outputs), 1))

    def log_probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Return their logarithms."""
        return log_expit(np.concatenate((-outputs, outputs), 1))

    def strata(self, y: np.ndarray) -> np.ndarray:
        """Return the numbers of the classes."""
        return np.searchsorted(self.classes, y)


class Labels(_LogOdds):
    """Any number of labels: an output for each, its log-odds."""

    def __init__(self, classes: np.ndarray, smoothing: float) -> None:
        super().__init__(classes, smoothing)
        self.n_outputs = len(classes)

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return zeros and ones (n_rows, n_labels)."""
        if y.shape != (len(y), self.n_outputs):
            raise ValueError(
                f"y must have a column for each of {self.n_outputs} labels, got an array of shape "
                f"{y.shape}"
            )
        return y.astype(np.float64)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Return ones for the labels that are more probable than not."""
        return (outputs > 0).astype(int)

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Return the probability of each label."""
        return expit(outputs)

    def log_probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Return their logarithms."""
        return log_expit(outputs)

    def _classes_in(self, y: np.ndarray) -> np.ndarray | None:
        return np.arange(y.shape[1]) if y.ndim == 2 else None


class ManyClasses(ClassTarget):
    """One of several classes, or of one: an output for each, the logarithm of a probability."""

    def __init__(self, classes: np.ndarray, smoothing: float) -> None:
        self.classes = classes
        self.smoothing = smoothing
        self.n_outputs = len(classes)

    @property
    def criterion(self) -> partial[CategoricalLogLoss]:
        """What makes the loss."""
        return partial(CategoricalLogLoss, float(self.smoothing))

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return the numbers of the classes."""
        return _codes(y, self.classes)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Return the most probable class."""
        return self.classes[outputs.argmax(axis=1)]

    def average(self, outputs: np.ndarray, counts: np.ndarray | None) -> np.ndarray:
        """Return the logarithms of the members' mean probabilities, up to a constant."""
        return logsumexp(log_softmax(outputs, axis=2), axis=0, b=counts)

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Return the probability of each class."""
        return softmax(outputs, axis=1)

    def log_probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Return their logarithms."""
        return log_softmax(outputs, axis=1)

    def strata(self, y: np.ndarray) -> np.ndarray:
        """Return the numbers of the classes."""
        return np.searchsorted(self.classes, y)


# By the names that scikit-learn gives to kinds of targets.
TARGET_TYPES: dict[str, Callable[[np.ndarray, float], ClassTarget]] = {
    "binary": TwoClasses,
    "multiclass": ManyClasses,
    MULTILABEL: Labels,
}


def _codes(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    if y.ndim != 1:
        raise ValueError(f"y must be one-dimensional, got an array of shape {y.shape}")
    known = np.isin(y, classes)
    if not known.all():
        raise ValueError(
            f"y must consist of the classes {classes}, got also {np.unique(y[~known])}"
        )
    return np.searchsorted(classes, y)


def check_labels(y: np.ndarray) -> None:
    """Raise a ValueError if targets are neither labels nor a matrix of zeros and ones."""
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


def classes_of(y: np.ndarray, known: np.ndarray | None) -> tuple[str, np.ndarray]:
    """Return the type of targets, and their classes, which may be known beforehand."""
    if y.ndim == 2:
        if known is not None and len(np.unique(known)) != y.shape[1]:
            raise ValueError(
                f"y must have a column for each of the {len(np.unique(known))} classes, got "
                f"{y.shape[1]} columns"
            )
        return MULTILABEL, np.arange(y.shape[1])
    classes = np.unique(y if known is None else known)
    return "binary" if len(classes) == 2 else "multiclass", classes


def weights_by_class(
    y: np.ndarray,
    class_weight: Mapping[Any, float] | str | None,
    sample_weight: np.ndarray | None,
) -> np.ndarray | None:
    """Return the weights of the rows, those of their classes included."""
    if class_weight is None:
        return sample_weight
    if isinstance(class_weight, str):
        weight = compute_sample_weight(class_weight, y)
    elif y.ndim == 2:
        raise ValueError(
            "class_weight cannot be a dict where rows may have several labels; use 'balanced' or "
            "sample_weight"
        )
    else:
        labels, codes = np.unique(y, return_inverse=True)
        weight = np.array([float(class_weight.get(n, 1)) for n in labels.tolist()])[codes]
    return relative(weight) if sample_weight is None else relative(weight) * sample_weight

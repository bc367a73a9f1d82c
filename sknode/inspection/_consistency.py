"""Whether a fitted model is an ODE, or the steps of the solver it was trained with."""

from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import is_classifier, is_regressor
from sklearn.metrics import accuracy_score, root_mean_squared_error
from sklearn.utils.validation import _num_samples
from torch import Tensor

from ..estimators.solver import BaseSolving
from ..ode.solution import check_settings
from ._fitted import parts_of

__all__ = ["SolverConsistency", "solver_consistency"]

PROBABILITIES = "predict_proba"


class SolverConsistency(NamedTuple):
    """A fitted model under the solver it was trained with, and under a tight one.

    Attributes
    ----------
    score, tight_score : float
        What `score` says of the model under each: accuracy or R².
    error, tight_error : float
        1 − accuracy, or the root mean squared error in the unit of the target.
    deviation : float
        The largest difference between the two of a probability, or of a prediction in standard
        deviations of the target in training.
    nfe, tight_nfe : float
        Evaluations of the field that a row takes part in, the mean over the rows (and members).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sknode import NODEClassifier
    >>> from sknode.inspection import solver_consistency
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = NODEClassifier(solver="rk4", max_epochs=5, random_state=0).fit(X, y)
    >>> found = solver_consistency(classifier, X, y)
    >>> found.nfe, found.tight_nfe > 4
    (4.0, True)
    """

    score: float
    tight_score: float
    error: float
    tight_error: float
    deviation: float
    nfe: float
    tight_nfe: float


def solver_consistency(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    solver: str = "dopri5",
    tolerance: float | tuple[float, float] = 1e-6,
    max_steps: int = 10_000,
) -> SolverConsistency:
    """Solve a fitted model once more with a tight solver, and see what changes.

    A network whose solver is too coarse for it learns to make use of the error: it is a discrete
    network then, and what it learned is not the field of an ODE [1]_. If a finer solver changes
    nothing that matters, it is.

    Parameters
    ----------
    estimator : NODEClassifier, NODERegressor, NODEImageClassifier, or a Pipeline that ends in one
        The fitted estimator, of sknode or of its bases; it stays as it is.
    X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
        Rows, best those that the estimator was not trained on.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Their targets.
    solver : str, default="dopri5"
        The Runge-Kutta method of the tight solver, one of `sknode.ode.TABLEAUS`. One without an
        error estimate takes a single step.
    tolerance : float or (float, float), default=1e-6
        Its relative and absolute tolerance: one number for both or a pair.
    max_steps : int, default=10_000
        It gives up after so many steps.

    Returns
    -------
    SolverConsistency
        Scores, errors, evaluations under both solvers, and how far apart the predictions are.

    Raises
    ------
    TypeError
        If it is no estimator of sknode with a solver, or neither a classifier with `predict_proba`
        nor a regressor.
    NotFittedError
        If it is not fitted.
    ValueError
        If a setting of the tight solver is not allowed, or if the targets are none of the rows.
    SolverError
        If a row cannot be solved; it is named.

    References
    ----------
    .. [1] Ott, Katiyar, Hennig, Tiemann, "ResNet After All: Neural ODEs and Their Numerical
       Solution", ICLR 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sknode import NODEClassifier
    >>> from sknode.inspection import solver_consistency
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = NODEClassifier(random_state=0).fit(X, y)
    >>> found = solver_consistency(classifier, X, y)
    >>> found.score == found.tight_score, found.deviation < 0.05
    (True, True)
    """
    settings = check_settings(solver=solver, tolerance=tolerance, max_steps=max_steps)
    before, fitted = parts_of("solver_consistency", estimator, BaseSolving)
    _check_task(fitted)
    _check_targets(fitted, X, y)
    X = before.transform(X) if before else X
    tight_copy = deepcopy(fitted)
    # In single precision the tolerance may be below what rounding allows.
    tight_copy.net_.module_.double().block.settings = settings
    own = _measure(deepcopy(fitted), X, y)
    tight = _measure(tight_copy, X, y)
    return SolverConsistency(
        score=own.score,
        tight_score=tight.score,
        error=own.error,
        tight_error=tight.error,
        deviation=float(np.abs(own.predicted - tight.predicted).max()),
        nfe=own.nfe,
        tight_nfe=tight.nfe,
    )


class _Measured(NamedTuple):
    """A fitted model under one solver, with what it predicts in the unit of the deviation."""

    score: float
    error: float
    predicted: np.ndarray
    nfe: float


def _check_task(estimator: BaseSolving) -> None:
    """Raise a TypeError if an estimator makes no predictions that could be compared."""
    if is_regressor(estimator) or (is_classifier(estimator) and hasattr(estimator, PROBABILITIES)):
        return
    raise TypeError(
        f"solver_consistency takes a regressor, or a classifier with {PROBABILITIES}; "
        f"{type(estimator).__name__} is neither"
    )


def _check_targets(estimator: BaseSolving, X: Any, y: Any) -> None:
    """Raise a ValueError if no predictions of the rows could be compared with the targets."""
    target = estimator._target
    error_of = accuracy_score if is_classifier(estimator) else root_mean_squared_error
    try:
        # What a network says whose outputs are zero is of the form of a prediction.
        error_of(y, target.decode(np.zeros((_num_samples(X), target.n_outputs))))
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"y must be the targets of the rows X: {error}") from error


def _measure(estimator: BaseSolving, X: Any, y: Any) -> _Measured:
    counts: list[Tensor] = []
    block = estimator.net_.module_.block
    hook = block.register_forward_hook(lambda *_: counts.append(block.stats.nfe))
    predict = getattr(estimator, PROBABILITIES if is_classifier(estimator) else "predict")
    predicted = predict(X)
    hook.remove()
    nfe = torch.cat(counts).double().mean().item()
    score = float(estimator.score(X, y))
    if is_classifier(estimator):
        return _Measured(score, 1 - score, predicted, nfe)
    error = float(root_mean_squared_error(y, predicted))
    # A regressor learns its targets in the unit in which a deviation tells something.
    return _Measured(score, error, estimator._target.encode(predicted), nfe)

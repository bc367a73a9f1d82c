"""Whether a fitted model is an ODE, or the steps of the solver it was trained with."""

from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.metrics import accuracy_score, root_mean_squared_error
from sklearn.utils.validation import _num_samples
from torch import Tensor

from ..estimators import NODERegressor
from ..estimators.classes import MULTILABEL
from ..estimators.classification import Classification
from ..estimators.solver import BaseSolving
from ..ode.solution import check_settings
from ._fitted import parts_of

__all__ = ["SolverConsistency", "solver_consistency"]


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
        The fitted estimator; it stays as it is.
    X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
        Rows, best those that the estimator was not trained on.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Their targets.
    solver : {"euler", "midpoint", "heun2", "rk4", "bosh3", "dopri5", "tsit5"}, default="dopri5"
        The Runge-Kutta method of the tight solver. Those without an error estimate, the first
        four, take a single step.
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
        If it is no estimator of sknode with a solver.
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
    _check_targets(fitted, X, y)
    X = before.transform(X) if before else X
    own, tight = deepcopy(fitted), deepcopy(fitted)
    # In single precision the tolerance may be below what rounding allows.
    tight.net_.module_.double().block.settings = settings
    (score, error, predicted, nfe), (tight_score, tight_error, tight_predicted, tight_nfe) = (
        _measure(each, X, y) for each in (own, tight)
    )
    deviation = float(np.abs(predicted - tight_predicted).max())
    return SolverConsistency(score, tight_score, error, tight_error, deviation, nfe, tight_nfe)


def _check_targets(estimator: BaseSolving, X: Any, y: Any) -> None:
    """Raise a ValueError if no predictions of the rows could be compared with the targets."""
    try:
        n_rows = _num_samples(X)
        if isinstance(estimator, Classification):
            several = estimator.target_type_ == MULTILABEL
            shape = (n_rows, len(estimator.classes_)) if several else n_rows
            accuracy_score(y, np.full(shape, 0 if several else estimator.classes_[0]))
        else:
            assert isinstance(estimator, NODERegressor)
            n_targets = len(estimator.target_scaling_.scale)
            root_mean_squared_error(y, np.zeros((n_rows, n_targets)))
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"y must be the targets of the rows X: {error}") from error


def _measure(estimator: BaseSolving, X: Any, y: Any) -> tuple[float, float, np.ndarray, float]:
    """Return score, error, predictions and the mean number of evaluations of a row."""
    counts: list[Tensor] = []
    block = estimator.net_.module_.block
    hook = block.register_forward_hook(lambda *_: counts.append(block.stats.nfe))
    if isinstance(estimator, Classification):
        predicted = estimator.predict_proba(X)
    else:
        assert isinstance(estimator, NODERegressor)
        predicted = estimator.predict(X)
    hook.remove()
    nfe = torch.cat(counts).double().mean().item()
    score = float(estimator.score(X, y))
    if isinstance(estimator, Classification):
        return score, 1 - score, predicted, nfe
    error = float(root_mean_squared_error(y, predicted))
    return score, error, predicted / estimator.target_scaling_.scale, nfe

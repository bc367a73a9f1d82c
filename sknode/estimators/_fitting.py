"""From data to a fitted estimator."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from ..training.callbacks import EarlyStopping, Recorder
from ..training.devices import resolve_device
from ..training.net import Net
from ..training.seeds import resolve_seed
from ..training.split import n_distinct
from ..training.trainer import Shares, Trainer, history_of, hold_back, take_over, take_weights
from ._tasks import EpochTasks
from .reading import read, read_validation
from .recipes import SMALL_TABLE, checkpointer_of, trainer_of

__all__ = ["fit", "fit_once"]


def fit(
    estimator: BaseEstimator, X: Any, y: Any, sample_weight: Any, validation: tuple[Any, Any, Any]
) -> None:
    """Fit an estimator; of the rows to validate by there are X, y and the weights, or None."""
    previous = None
    if estimator.warm_start:
        previous = getattr(estimator, "net_", None)
    device = resolve_device(estimator.device)
    checkpointer = checkpointer_of(estimator)
    seed = None if checkpointer is None else checkpointer.seed
    if seed is None:
        seed = resolve_seed(estimator.random_state)
    table = read(estimator, X, y, sample_weight, learn=previous is None)
    target = estimator._target
    if previous is not None:
        target.check_same(table.y)
    shares = Shares(table, validation=read_validation(estimator, *validation))
    stops = _stops_early(estimator, shares)
    if stops and shares.validation is None:
        fraction = float(estimator.validation_fraction)
        n_members = int(estimator.n_members)
        shares = hold_back(table, target.strata(table.y), fraction, seed, n_members)
    trainer = trainer_of(estimator, shares.table, device, seed)
    callbacks = _callbacks(estimator, trainer, shares, stops)
    if checkpointer is not None:
        callbacks.append(("checkpointer", checkpointer))
    start = None if previous is None else partial(take_weights, previous)
    _train(estimator, trainer, shares, callbacks, start)


def fit_once(
    estimator: BaseEstimator, X: Any, y: Any, sample_weight: Any, classes: np.ndarray | None
) -> None:
    """Go through the rows once, with the weights and the optimizer of the call before."""
    previous = getattr(estimator, "net_", None)
    device = resolve_device(estimator.device)
    table = read(estimator, X, y, sample_weight, learn=previous is None, classes=classes)
    seed = resolve_seed(estimator.random_state)
    trainer = trainer_of(estimator, table, device, seed, previous)
    once = trainer.recipe._replace(max_epochs=1, schedule="constant", ema_decay=None)
    callbacks = [("recorder", Recorder()), *_copies(estimator)]
    start = None if previous is None else partial(take_over, previous)
    _train(estimator, trainer._replace(recipe=once), Shares(table), callbacks, start)


def _stops_early(estimator: BaseEstimator, shares: Shares) -> bool:
    if estimator.early_stopping != "auto":
        return bool(estimator.early_stopping)
    # To do without one of few distinct rows is to know nothing of it.
    table = shares.table
    return shares.validation is not None or n_distinct(table.X, table.y) > SMALL_TABLE


def _callbacks(
    estimator: BaseEstimator, trainer: Trainer, shares: Shares, stops: bool
) -> list[tuple[str, Any]]:
    callbacks: list[tuple[str, Any]] = [("recorder", Recorder())]
    if shares.validation is not None:
        callbacks.append(("validator", trainer.validator(shares.validation, shares.judged)))
    if stops:
        stopping = EarlyStopping(int(estimator.n_iter_no_change), float(estimator.tol))
        callbacks.append(("early_stopping", stopping))
    callbacks += _copies(estimator)
    if hasattr(estimator, "_skl_callbacks"):
        tasks = EpochTasks(estimator, shares.table, trainer.recipe.max_epochs)
        callbacks.append(("tasks", tasks))
    return callbacks


def _copies(estimator: BaseEstimator) -> list[Any]:
    return deepcopy(list(estimator.callbacks or []))


def _train(
    estimator: BaseEstimator,
    trainer: Trainer,
    shares: Shares,
    callbacks: list[tuple[str, Any]],
    start: Callable[[Net], None] | None,
) -> None:
    """Train a net, from where another one was if there is a start, and keep what came of it."""
    clip = estimator.gradient_clip
    net = trainer.train(
        shares,
        callbacks,
        start=start,
        gradient_clip=None if clip is None else float(clip),
        verbose=int(estimator.verbose),
    )
    before = [] if start is None else estimator.history_
    best = len(net.history)
    stopping = dict(net.callbacks_).get("early_stopping")
    if stopping is not None and stopping.best_epoch:
        best = stopping.best_epoch
    estimator.history_ = before + history_of(net, len(before))
    estimator.n_iter_ = len(estimator.history_)
    estimator.best_epoch_ = len(before) + best
    estimator.loss_ = estimator.history_[estimator.best_epoch_ - 1]["loss"]
    estimator.n_parameters_ = sum(p.numel() for p in net.module_.parameters())
    net.retire()
    estimator.net_ = net

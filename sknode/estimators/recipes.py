"""What an estimator's hyperparameters come to for a training."""

import math
from pathlib import Path

import torch
from sklearn.base import BaseEstimator

from ..training.checkpoint import Checkpointer
from ..training.data import Table
from ..training.net import Net
from ..training.optimizers import OPTIMIZERS
from ..training.recipe import Recipe
from ..training.trainer import Trainer

__all__ = ["SMALL_TABLE", "batch_size_of", "checkpointer_of", "recipe_of", "trainer_of"]

# So few rows are one batch, in the precision they came in: a fit is cheap then, and a row of weight
# two is learned from as two rows are.
SMALL_TABLE = 128
AUTO_BATCHES = 20
AUTO_BATCH_SIZES = (16, 256)
# What is a number of the network's precision.
SCALARS = ("learning_rate", "weight_decay", "kinetic_penalty", "gradient_clip", "lift_frequency")


def trainer_of(
    estimator: BaseEstimator,
    table: Table,
    device: torch.device,
    seed: int,
    previous: Net | None = None,
) -> Trainer:
    """Return what trains on a table, in the precision of the net before if there was one."""
    dtype = _dtype(estimator, table, device) if previous is None else previous.recipe.dtype
    recipe = recipe_of(estimator, dtype, table.X.shape[0], seed)
    return Trainer(recipe, estimator.scaling_, estimator._target, device)


def recipe_of(estimator: BaseEstimator, dtype: torch.dtype, n_rows: int, seed: int) -> Recipe:
    """Return the recipe of the net for so many rows."""
    largest = torch.finfo(dtype).max
    for name in SCALARS:
        value = getattr(estimator, name, None)
        if float(value or 0) > largest:
            raise ValueError(f"{name}={value!r} is beyond the range of {dtype}")
    target = estimator._target
    ema_decay = estimator.ema_decay
    build, arguments = estimator._network(target.n_outputs)
    kinetic_penalty = float(estimator.kinetic_penalty)
    options = {"weight_decay": float(estimator.weight_decay)}
    optimizer = estimator.optimizer
    if isinstance(optimizer, str):
        optimizer = OPTIMIZERS[optimizer]
        options["fused"] = True
    return Recipe(
        build=build,
        network={**arguments, "kinetic_energy": kinetic_penalty > 0},
        dtype=dtype,
        criterion=target.criterion,
        optimizer=optimizer,
        optimizer_options=options,
        learning_rate=float(estimator.learning_rate),
        schedule=estimator.schedule,
        max_epochs=int(estimator.max_epochs),
        kinetic_penalty=kinetic_penalty,
        ema_decay=None if ema_decay is None else float(ema_decay),
        batch_size=batch_size_of(estimator, n_rows),
        seed=seed,
    )


def checkpointer_of(estimator: BaseEstimator) -> Checkpointer | None:
    """Return what goes on from the estimator's checkpoint, and writes it, if it has one."""
    if estimator.checkpoint is None:
        return None
    interval = int(estimator.checkpoint_interval)
    return Checkpointer(Path(estimator.checkpoint), interval, estimator.get_params(deep=False))


def batch_size_of(estimator: BaseEstimator, n_rows: int) -> int:
    """Return the number of rows in a batch, for so many in all."""
    if estimator.batch_size != "auto":
        return int(estimator.batch_size)
    if n_rows <= SMALL_TABLE:
        return n_rows
    least, most = AUTO_BATCH_SIZES
    return min(max(least, 2 ** round(math.log2(n_rows / AUTO_BATCHES))), most)


def _dtype(estimator: BaseEstimator, table: Table, device: torch.device) -> torch.dtype:
    if estimator.dtype != "auto":
        return getattr(torch, estimator.dtype)
    exact = table.X.shape[0] <= SMALL_TABLE or estimator._wants_double()
    return getattr(torch, table.X.dtype.name if exact and device.type == "cpu" else "float32")

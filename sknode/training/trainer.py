"""A training from tables to a net: rows that are held back, and what is told of the epochs."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from skorch.callbacks import GradientNormClipping

from .callbacks import Validator
from .data import Rows, Table, TrainingSet
from .net import Net
from .optimizers import load_optimizer
from .progress import shown
from .recipe import Recipe
from .scaling import Scaling
from .split import held_back
from .target import Target

__all__ = [
    "ENTRIES",
    "Shares",
    "Trainer",
    "history_of",
    "hold_back",
    "take_over",
    "take_weights",
]

# What a history tells of an epoch, and by what names skorch's does.
ENTRIES = {
    "loss": "train_loss",
    "validation_loss": "valid_loss",
    "validation_score": "valid_score",
    "nfe_forward": "nfe_forward",
    "nfe_backward": "nfe_backward",
    "accepted_steps": "accepted_steps",
    "rejected_steps": "rejected_steps",
    "learning_rate": "learning_rate",
    "retries": "retries",
    "seconds": "dur",
}


class Shares(NamedTuple):
    """The rows to train on and those to validate by, if there are any.

    Attributes
    ----------
    table : Table
        To train on.
    learners : ndarray of shape (n_rows, n_members) or None
        Which members do; None: all.
    validation : Table or None
        To validate by.
    judged : ndarray of shape (n_val, n_members) or None
        Which members are; None: all.
    """

    table: Table
    learners: np.ndarray | None = None
    validation: Table | None = None
    judged: np.ndarray | None = None


def hold_back(
    table: Table, strata: np.ndarray | None, fraction: float, seed: int, n_members: int
) -> Shares:
    """Share the rows of a table out, for each member another way."""
    held = held_back(table.X, table.y, strata, fraction, seed, n_members)
    learners = ~held
    judges = np.any(held, axis=1)
    kept = np.any(learners, axis=1)
    return Shares(table.take(kept), learners[kept], table.take(judges), held[judges])


class Trainer(NamedTuple):
    """What it takes to train a net on tables.

    Attributes
    ----------
    recipe : Recipe
        Of the net.
    scaling : Scaling
        Of the rows.
    target : Target
        What is learned.
    device : torch.device
        Where.
    """

    recipe: Recipe
    scaling: Scaling
    target: Target
    device: torch.device

    def train(
        self,
        shares: Shares,
        callbacks: Sequence[tuple[str, Any]],
        *,
        start: Callable[[Net], None] | None = None,
        gradient_clip: float | None = None,
        verbose: int = 0,
    ) -> Net:
        """Make a net, start it where another one was, and train it."""
        data = self.training_set(shares.table, shares.learners)
        callbacks = list(callbacks)
        if gradient_clip is not None:
            callbacks.append(("gradient_clip", GradientNormClipping(gradient_clip)))
        with shown(verbose, self.recipe.max_epochs) as display:
            net = Net(self.recipe, self.device, [*callbacks, *display], verbose)
            if start is not None:
                start(net)
            net.partial_fit(data)
        return net

    def training_set(self, table: Table, learners: np.ndarray | None = None) -> TrainingSet:
        """Return the rows of a table as tensors."""
        rows = Rows(table.X, self.scaling, self.device, self.recipe.dtype)
        return TrainingSet(rows, self.target.encode(table.y), table.weight, learners)

    def validator(self, validation: Table, judged: np.ndarray | None) -> Validator:
        """Return the callback that validates by the rows of a table."""
        score = partial(self.target.score, y=validation.y, sample_weight=validation.weight)
        return Validator(self.training_set(validation), self.target.combine, score, judged)


def history_of(net: Net, n_before: int) -> list[dict[str, float]]:
    """Return an entry for each epoch, counted on from those before."""
    return [
        {
            "epoch": n_before + i,
            **{ours: epoch[skorchs] for ours, skorchs in ENTRIES.items() if skorchs in epoch},
        }
        for i, epoch in enumerate(net.history, 1)
    ]


def take_weights(previous: Net, net: Net) -> None:
    """Start with the weights of another net."""
    try:
        net.module_.load_state_dict(previous.module_.state_dict())
    except RuntimeError as error:
        raise ValueError(
            "going on from the fit before needs a network of the same shape as then; fit a clone, "
            "or set warm_start=False"
        ) from error


def take_over(previous: Net, net: Net) -> None:
    """Go on as the other net would have."""
    take_weights(previous, net)
    net.generator.set_state(previous.generator.get_state())
    if net.recipe.optimizer is not previous.recipe.optimizer:
        return
    faster = net.recipe.learning_rate / previous.recipe.learning_rate
    options = net.recipe.optimizer_options
    fresh = [{name: of[name] for name in options} for of in net.optimizer_.param_groups]
    load_optimizer(net.optimizer_, previous.optimizer_.state_dict())
    for group, own in zip(net.optimizer_.param_groups, fresh, strict=True):
        group.update(own)
        group["initial_lr"] *= faster
        group["lr"] = group["initial_lr"]

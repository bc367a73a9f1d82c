"""All that a net is made from."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

__all__ = ["Recipe"]


class Recipe(NamedTuple):
    """All that a net is made from, on any device.

    Attributes
    ----------
    build : type
        The kind of network.
    network : dict
        Its arguments.
    dtype : torch.dtype
        Of its weights.
    criterion : callable
        Makes the loss, with one value per row, or per output of a row.
    optimizer : type
        A subclass of torch.optim.Optimizer.
    optimizer_options : dict
        Its arguments beside the parameters and `lr`.
    learning_rate, schedule, kinetic_penalty, ema_decay, max_epochs, batch_size
        As of the estimators.
    seed : int
        Of the initial weights and the order of rows.
    """

    build: type[nn.Module]
    network: dict[str, Any]
    dtype: torch.dtype
    criterion: Callable[[], nn.Module]
    optimizer: type[torch.optim.Optimizer]
    optimizer_options: dict[str, Any]
    learning_rate: float
    schedule: str
    kinetic_penalty: float
    ema_decay: float | None
    max_epochs: int
    batch_size: int
    seed: int

"""Torch's optimizers, less what makes them import its compiler, and how one is made.

To leave them alone while a program is compiled, torch._dynamo is imported, and with it 800 modules,
by their first use in any process. That takes as long as many a fit.
"""

from collections.abc import Callable
from inspect import unwrap
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..modules.groups import parameter_groups
from .recipe import Recipe

__all__ = ["OPTIMIZERS", "load_optimizer", "make_optimizer"]

# A frequency is told apart from another by a small difference: what it is to be is learned slowly.
PERIODIC_RATE = 0.3
DECORATED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def _undecorated(kind: type[Optimizer]) -> type[Optimizer]:
    """Return a kind of optimizers with its methods as they are written."""
    body: dict[str, Any] = {name: unwrap(getattr(kind, name)) for name in DECORATED}
    step = torch.no_grad()(unwrap(kind.step))
    return type(kind.__name__, (kind,), {**body, "step": step, "__module__": __name__})


# By their names they are found again in pickles.
AdamW = _undecorated(torch.optim.AdamW)
Adam = _undecorated(torch.optim.Adam)
SGD = _undecorated(torch.optim.SGD)

OPTIMIZERS: dict[str, type[Optimizer]] = {"adamw": AdamW, "adam": Adam, "sgd": SGD}


def make_optimizer(recipe: Recipe, network: nn.Module) -> Optimizer:
    """Return an optimizer that treats parameters by what they are."""
    biases, periodic, weights = parameter_groups(network)
    slow = {"weight_decay": 0.0, "lr": PERIODIC_RATE * recipe.learning_rate}
    # Checkpoints number the parameters in this order.
    groups: list[dict[str, Any]] = [
        {"params": biases[::-1], "weight_decay": 0.0},
        {"params": periodic[::-1], **slow},
        {"params": weights},
    ]
    make: Callable[..., Optimizer] = recipe.optimizer
    filled = [group for group in groups if group["params"]]
    return make(filled, lr=recipe.learning_rate, **recipe.optimizer_options)


def load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Load a copy of a state as it is, where torch casts it to the dtype of the parameters."""
    optimizer.load_state_dict(state)
    for values, loaded in zip(state["state"].values(), optimizer.state.values(), strict=True):
        for name, value in values.items():
            if isinstance(value, Tensor):
                loaded[name] = value.to(loaded[name].device, copy=True)

"""Torch's optimizers, less what makes them import its compiler.

To leave them alone while a program is compiled, torch._dynamo is imported, and with it 800 modules,
by their first use in any process. That takes as long as many a fit.
"""

from inspect import unwrap
from typing import Any

import torch
from torch.optim import Optimizer

__all__ = ["OPTIMIZERS"]

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

"""How the learning rate changes in the course of training: factors by the part that is done."""

import math
from collections.abc import Callable

__all__ = ["SCHEDULES"]


def _constant(progress: float) -> float:
    return 1.0


def _cosine(progress: float) -> float:
    return (1 + math.cos(math.pi * progress)) / 2


def _one_cycle(progress: float) -> float:
    # The constants of torch.optim.lr_scheduler.OneCycleLR, except that it ends at zero, not at
    # four millionths.
    rising = 0.3
    start = 1 / 25
    if progress < rising:
        return start + (1 - start) * (1 - _cosine(progress / rising))
    return _cosine((progress - rising) / (1 - rising))


def _warmup_cosine(progress: float) -> float:
    rising = 0.03
    start = 0.1
    if progress < rising:
        return start + (1 - start) * progress / rising
    return _cosine((progress - rising) / (1 - rising))


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": _constant,
    "cosine": _cosine,
    "one_cycle": _one_cycle,
    "warmup_cosine": _warmup_cosine,
}
"""Functions of the part of all batches that is done, from 0 up to, but without, 1."""

"""Kinds of hyperparameters: what many of them must be, in code and in words."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from skorch.callbacks import Callback

from .._checks import is_integer, is_number
from .._docstrings import listed
from ..ode.settings import MOST_STEPS
from ..training.devices import DEVICES
from ..training.optimizers import OPTIMIZERS
from ..training.seeds import N_SEEDS

__all__ = [
    "Parameter",
    "are_callbacks",
    "are_sizes",
    "choice",
    "count",
    "flag",
    "in_words",
    "is_boolean",
    "is_class_weight",
    "is_device",
    "is_fraction",
    "is_image_shape",
    "is_optimizer",
    "is_random_state",
    "not_negative",
    "positive",
    "share",
    "steps",
]


class Parameter(NamedTuple):
    """One hyperparameter.

    Attributes
    ----------
    type : str
        Its type, for the docstring; the default is added from the signature.
    must_be : str
        Its constraint in words, for "`name` must be ...".
    allowed : callable
        Whether a value satisfies the constraint.
    description : str
        What it does.
    """

    type: str
    must_be: str
    allowed: Callable[[Any], bool]
    description: str


def choice(names: Iterable[str | None], description: str) -> Parameter:
    """Return a parameter that is one of some names."""
    known = list(names)

    def allowed(value: Any) -> bool:
        return (value is None or isinstance(value, str)) and value in known

    return Parameter(listed(known), in_words(known), allowed, description)


def flag(description: str) -> Parameter:
    """Return a parameter that is true or false."""
    return Parameter("bool", "a boolean", is_boolean, description)


def count(description: str, *, least: int = 1) -> Parameter:
    """Return a parameter that is a number of things."""
    must_be = "a positive integer" if least else "a non-negative integer"
    return Parameter("int", must_be, lambda value: is_integer(value, least), description)


def steps(description: str) -> Parameter:
    """Return a parameter that is a number of steps."""
    must_be = "a positive integer, and no more than a million"
    return Parameter("int", must_be, lambda value: is_integer(value, 1, MOST_STEPS), description)


def positive(description: str) -> Parameter:
    """Return a parameter that is a number above zero."""
    return Parameter("float", "a positive number", lambda value: is_number(value, 0.0), description)


def not_negative(description: str) -> Parameter:
    """Return a parameter that is zero or a number above it."""

    def allowed(value: Any) -> bool:
        return is_number(value) and value >= 0

    return Parameter("float", "a non-negative number", allowed, description)


def share(description: str) -> Parameter:
    """Return a parameter that is a part of a whole, or nothing of it."""

    def allowed(value: Any) -> bool:
        return is_number(value) and 0 <= value < 1

    return Parameter("float", "a number from 0 up to, but without, 1", allowed, description)


def in_words(names: Iterable[str | None]) -> str:
    """Return names as what a value must be one of."""
    return "one of " + ", ".join(repr(name) for name in names)


def is_fraction(value: Any) -> bool:
    return is_number(value, 0.0) and value < 1


def is_boolean(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def are_sizes(value: Any) -> bool:
    sequence = isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim)
    return bool(sequence) and all(is_integer(n, 1) for n in value)


def is_image_shape(value: Any) -> bool:
    return value is None or (are_sizes(value) and len(value) in (2, 3))


def is_optimizer(value: Any) -> bool:
    if not inspect.isclass(value):
        return isinstance(value, str) and value in OPTIMIZERS
    if not issubclass(value, torch.optim.Optimizer):
        return False
    return {"lr", "weight_decay"} <= set(inspect.signature(value).parameters)


def is_device(value: Any) -> bool:
    if isinstance(value, str):
        if value == "auto":
            return True
        try:
            value = torch.device(value)
        except RuntimeError:
            return False
    return isinstance(value, torch.device) and value.type in DEVICES


def are_callbacks(value: Any) -> bool:
    if not isinstance(value, list | tuple):
        return value is None
    pairs = [item if isinstance(item, tuple) and len(item) == 2 else ("", item) for item in value]
    return all(
        isinstance(name, str)
        and (isinstance(item, Callback) or (inspect.isclass(item) and issubclass(item, Callback)))
        for name, item in pairs
    )


def is_class_weight(value: Any) -> bool:
    if isinstance(value, dict):
        return all(is_number(weight) and weight >= 0 for weight in value.values())
    return value is None or (isinstance(value, str) and value == "balanced")


def is_random_state(value: Any) -> bool:
    if isinstance(value, np.random.RandomState) or value is None:
        return True
    return is_integer(value, 0, N_SEEDS - 1)

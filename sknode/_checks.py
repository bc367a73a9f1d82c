"""Checks of arguments that files of several folders make."""

import math
import os
from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Any

__all__ = [
    "check_choice",
    "check_count",
    "check_flag",
    "check_integer",
    "check_path",
    "is_integer",
    "is_number",
    "is_tolerance",
    "unexpected_keyword",
]


def is_integer(value: Any, least: int, most: float = math.inf) -> bool:
    """Return whether a value is an integer within limits; a boolean is none."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        return False
    return least <= int(value) <= most


def is_number(value: Any, above: float = -math.inf) -> bool:
    """Return whether a value is a real number that a float can hold; a boolean is none."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(float(value)) and float(value) > above
    except OverflowError:
        return False


def is_tolerance(value: Any) -> bool:
    """Return whether a value is a positive number or a pair of them."""
    pair = value if isinstance(value, tuple | list) else (value, value)
    return len(pair) == 2 and all(is_number(number, 0.0) for number in pair)


def check_choice(name: str, value: Any, known: Iterable[str | None]) -> None:
    """Raise a ValueError if a value is not among the known ones."""
    choices = list(known)
    if not (value is None or isinstance(value, str)) or value not in choices:
        raise ValueError(f"{name}={value!r} is not known; choose from {choices}")


def check_flag(name: str, value: Any) -> None:
    """Raise a ValueError if a value is not a boolean."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be a boolean, got {value!r}")


def check_integer(name: str, value: Any, least: int, most: int) -> int:
    """Return a value as an int, or raise a ValueError if it is not one from least to most."""
    if not is_integer(value, least, most):
        raise ValueError(f"{name} must be an integer from {least} to {most}, got {value!r}")
    return int(value)


def check_count(name: str, value: Any, most: int) -> int:
    """Return a value as an int, or raise a ValueError if it is not one from 1 to `most`."""
    if not is_integer(value, 1, most):
        raise ValueError(
            f"{name} must be a positive integer, and no more than {most:,}, got {value!r}"
        )
    return int(value)


def check_path(path: Any) -> Path:
    """Return a path as such, or raise a TypeError if it is none."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a str or a path, got {type(path).__name__}")
    return Path(path)


def unexpected_keyword(function: str, name: str) -> TypeError:
    """Return the error by which Python says that a function has no such argument."""
    return TypeError(f"{function}() got an unexpected keyword argument {name!r}")

"""Checks of amounts: numbers that are not negative, such as rates and widths."""

from typing import Any

from .._checks import is_number

__all__ = ["LARGEST", "check_amount"]

# The products of two and of three such numbers are finite.
LARGEST = 1e100


def check_amount(name: str, value: Any, *, positive: bool = False) -> float:
    """Return a value as a float, or raise a ValueError if it is not one from or above zero."""
    if not is_number(value) or not 0 <= value <= LARGEST or (positive and value == 0):
        least = "positive" if positive else "at least 0"
        raise ValueError(f"{name} must be {least} and no more than {LARGEST:g}, got {value!r}")
    return float(value)

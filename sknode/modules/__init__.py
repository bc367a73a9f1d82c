"""Torch modules around a solve."""

from .block import ODEBlock
from .fields import MLPField

__all__ = ["MLPField", "ODEBlock"]

"""Torch modules around a solve."""

from .block import ODEBlock
from .fields import MLPField
from .network import NODENetwork

__all__ = ["MLPField", "NODENetwork", "ODEBlock"]

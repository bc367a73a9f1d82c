"""Torch modules around a solve."""

from .block import ODEBlock
from .fields import MLPField
from .network import NODENetwork
from .residual import ResidualBlocks

__all__ = ["MLPField", "NODENetwork", "ODEBlock", "ResidualBlocks"]

"""Torch modules around a solve."""

from .block import ODEBlock
from .convolution import ConvField
from .fields import MLPField
from .network import NODENetwork
from .residual import ResidualBlocks

__all__ = ["ConvField", "MLPField", "NODENetwork", "ODEBlock", "ResidualBlocks"]

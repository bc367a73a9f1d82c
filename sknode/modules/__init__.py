"""Torch modules around a solve."""

from .block import ODEBlock
from .convolution import ConvField
from .fields import MLPField
from .image import ImageNetwork
from .network import NODENetwork
from .residual import ResidualBlocks

__all__ = ["ConvField", "ImageNetwork", "MLPField", "NODENetwork", "ODEBlock", "ResidualBlocks"]

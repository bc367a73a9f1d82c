"""The toy problems of the papers on Neural ODEs, and MNIST from a local file or folder.

Two interleaved half circles, the other common problem, are `sklearn.datasets.make_moons`.
"""

from .mnist import ImageData, load_mnist
from .random_rows import make_reflection, make_spheres, make_spirals
from .solutions import damped_oscillator, lane_emden, lotka_volterra

__all__ = [
    "ImageData",
    "damped_oscillator",
    "lane_emden",
    "load_mnist",
    "lotka_volterra",
    "make_reflection",
    "make_spheres",
    "make_spirals",
]

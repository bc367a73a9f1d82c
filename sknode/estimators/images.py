"""What the estimators for images have in common: channels, down-sampling and field."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse
from torch import nn

from ..modules import ImageNetwork
from ..training.data import Table
from ..training.scaling import Scaling, standard_scaling
from ._hyperparameters import fitted
from ._states import states_of
from .base import BaseNetwork
from .reading import Reader

__all__ = ["BaseImageNetwork"]


class BaseImageNetwork(BaseNetwork):
    """Base of the estimators of images."""

    image_shape: tuple[int, ...] | None = None
    n_filters: int = 64
    activation: str = "relu"
    n_downsamplings: int = 0
    augment_dim: int = 5
    max_epochs: int = 30

    image_shape_: tuple[int, ...] | None = fitted()

    def trajectory(self, X, times) -> np.ndarray:
        """Return the states on their way from z(0), the augmented image, to z(1).

        Parameters
        ----------
        X : array-like of shape (n_samples, [channels,] height, width) or (n_samples, n_features)
            The images.
        times : array-like of shape (n_times,)
            Strictly increasing times, not negative. The network has learned the way from 0 to 1.

        Returns
        -------
        ndarray of shape (n_times, n_samples, channels + augment_dim, height, width)
            The states.

        Raises
        ------
        ValueError
            If the times are not as described.
        SolverError
            If a row cannot be solved; it is named.
        """
        states = states_of(self, X, times)
        images = states.reshape(*states.shape[:2], *self.net_.module_.state_shape)
        return np.moveaxis(images, -1, 2)

    @abstractmethod
    def _block(self) -> Mapping[str, Any]:
        """Return the arguments of `ImageNetwork` by which its block is made."""

    def _network(self, n_outputs: int) -> tuple[type[nn.Module], dict[str, Any]]:
        return ImageNetwork, {
            "image_shape": list(_with_channels(self.image_shape_)),
            "n_outputs": n_outputs,
            "augment_dim": int(self.augment_dim),
            "n_filters": int(self.n_filters),
            "activation": self.activation,
            "n_downsamplings": int(self.n_downsamplings),
            "time_dependent": bool(self.time_dependent),
            **self._block(),
        }

    def _reader(self, *, learn: bool) -> Reader:
        return ImageReader(self.image_shape if learn else self.image_shape_)


class ImageReader:
    """Reads images as rows of pixels, and learns their shape and how each channel is scaled.

    Parameters
    ----------
    shape : tuple of int or None
        Their height and width, or channels, height and width, where that is known.
    """

    def __init__(self, shape: tuple[int, ...] | None) -> None:
        self.shape = shape

    def as_matrix(self, X: Any) -> Any:
        """Return images as rows; what is a matrix already, as it is."""
        images = None if sparse.issparse(X) else np.asarray(X)
        if images is None or images.ndim not in (3, 4):
            return X
        shape = _with_channels(images.shape[1:])
        if self.shape is not None and shape != _with_channels(self.shape):
            raise ValueError(
                f"X must hold images of {_with_channels(self.shape)} channels, rows and columns, "
                f"got {shape}"
            )
        self.shape = shape
        return images.reshape(len(images), -1)

    def learn(self, table: Table) -> dict[str, Any]:
        """Return the shape, of one line if nothing else is known, and the scaling."""
        n_features = table.X.shape[1]
        shape = _with_channels(self.shape or (1, n_features))
        if np.prod(shape) != n_features:
            raise ValueError(f"image_shape={self.shape} does not fit the {n_features} columns of X")
        dense = table.X.toarray() if sparse.issparse(table.X) else table.X
        n_pixels = shape[1] * shape[2]
        pixels = dense.reshape(len(dense), shape[0], n_pixels).swapaxes(1, 2).reshape(-1, shape[0])
        weight = None if table.weight is None else np.repeat(table.weight, n_pixels)
        center, scale, _ = standard_scaling(pixels, weight, "X")
        scaling = Scaling(np.repeat(center, n_pixels), np.repeat(scale, n_pixels))
        return {"image_shape_": shape, "scaling_": scaling}


def _with_channels(shape: Any) -> tuple[int, int, int]:
    n_channels, height, width = (1, *shape) if len(shape) == 2 else shape
    return int(n_channels), int(height), int(width)

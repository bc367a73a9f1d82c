"""Classification of images."""

from typing import Any

import numpy as np
from scipy import sparse
from torch import nn

from ..modules import ImageNetwork
from ._classification import Classification
from ._data import Table
from ._node import SolverMixin, with_solver
from ._params import documented, with_parameters
from ._scaling import Scaling, standard_scaling

__all__ = ["NODEImageClassifier"]


@documented
@with_parameters(label_smoothing=0.02, class_weight=None)
@with_solver
@with_parameters(
    "augment_dim",
    image_shape=None,
    n_filters=64,
    activation="relu",
    n_downsamplings=0,
    augment_dim=5,
    max_epochs=30,
)
class NODEImageClassifier(SolverMixin, Classification):
    """Classifier of images by a convolutional Neural ODE.

    It solves z' = f(z, t; θ) from z(0), the standardised image with further channels of zeros, to
    z(1), where f consists of three convolutions [2]_, and reads the classes' log-odds off z(1) by
    a linear map. Each image is solved with step sizes of its own, so its prediction does not depend
    on the images beside it.

    Images are given as they are, (n_samples, height, width) or (n_samples, channels, height,
    width), or as rows of a matrix with `image_shape`, as pipelines want them. What is said below of
    rows is said of images.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels, or the columns of a matrix of labels.
    target_type_ : {"binary", "multiclass", "multilabel-indicator"}
        What kind of targets it was fitted to, in scikit-learn's terms.
    image_shape_ : tuple of int
        Channels, height and width of an image.
    net_ : skorch.NeuralNet
        The trained net; `net_.module_` is the torch module.
    scaling_ : Scaling
        `center` and `scale`, each of shape (n_features,), by which the pixels of a channel are
        brought to mean zero and size one.
    {attributes}

    See Also
    --------
    NODEClassifier : The same for rows of features.
    sknode.datasets.load_mnist : Images of digits from a local file.

    References
    ----------
    .. [1] Chen, Rubanova, Bettencourt, Duvenaud, "Neural Ordinary Differential Equations",
       NeurIPS 2018.
    .. [2] Dupont, Doucet, Teh, "Augmented Neural ODEs", NeurIPS 2019.
    .. [4] Finlay, Jacobsen, Nurbekyan, Oberman, "How to Train Your Neural ODE: the World of
       Jacobian and Kinetic Regularization", ICML 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknode import NODEImageClassifier
    >>> digits = load_digits()
    >>> digits.images.shape
    (1797, 8, 8)
    >>> classifier = NODEImageClassifier(n_filters=8, max_epochs=5, random_state=0)
    >>> classifier.fit(digits.images[:1000], digits.target[:1000]).image_shape_
    (1, 8, 8)
    >>> classifier.score(digits.images[1000:], digits.target[1000:]) > 0.9
    True
    """

    image_shape_: tuple[int, ...] | None

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
        states = self._states(X, times)
        images = states.reshape(*states.shape[:2], *self.net_.module_.state_shape)
        return np.moveaxis(images, -1, 2)

    def _network(self, n_outputs: int) -> tuple[type[nn.Module], dict[str, Any]]:
        return ImageNetwork, {
            "image_shape": list(_with_channels(self.image_shape_)),
            "n_outputs": n_outputs,
            "augment_dim": int(self.augment_dim),
            "n_filters": int(self.n_filters),
            "activation": self.activation,
            "n_downsamplings": int(self.n_downsamplings),
            "time_dependent": bool(self.time_dependent),
            **self._solver_settings(),
        }

    def _as_matrix(self, X: Any, *, learn: bool) -> Any:
        known = self.image_shape if learn else self.image_shape_
        images = None if sparse.issparse(X) else np.asarray(X)
        if images is None or images.ndim not in (3, 4):
            if learn:
                self.image_shape_ = known
            return X
        shape = _with_channels(images.shape[1:])
        if known is not None and shape != _with_channels(known):
            raise ValueError(
                f"X must hold images of {_with_channels(known)} channels, rows and columns, "
                f"got {shape}"
            )
        if learn:
            self.image_shape_ = shape
        return images.reshape(len(images), -1)

    def _learn_rows(self, table: Table) -> None:
        n_features = table.X.shape[1]
        shape = self.image_shape_ = _with_channels(self.image_shape_ or (1, n_features))
        if np.prod(shape) != n_features:
            raise ValueError(
                f"image_shape={self.image_shape} does not fit the {n_features} columns of X"
            )
        dense = table.X.toarray() if sparse.issparse(table.X) else table.X
        n_pixels = shape[1] * shape[2]
        pixels = dense.reshape(len(dense), shape[0], n_pixels).swapaxes(1, 2).reshape(-1, shape[0])
        weight = None if table.weight is None else np.repeat(table.weight, n_pixels)
        center, scale, _ = standard_scaling(pixels, weight, "X")
        self.scaling_ = Scaling(np.repeat(center, n_pixels), np.repeat(scale, n_pixels))


def _with_channels(shape: Any) -> tuple[int, int, int]:
    n_channels, height, width = (1, *shape) if len(shape) == 2 else shape
    return int(n_channels), int(height), int(width)

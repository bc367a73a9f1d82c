"""Classification of images."""

from .blocks import BaseResidual
from .classification import Classification
from .documented import documented
from .images import BaseImageNetwork
from .solver import BaseSolving

__all__ = ["NODEImageClassifier", "ResNetImageClassifier"]


@documented
class NODEImageClassifier(BaseSolving, Classification, BaseImageNetwork):
    """Classifier of images by a convolutional Neural ODE.

    It solves z' = f(z, t; θ) from z(0), the standardised image with further channels of zeros, to
    z(1), where f consists of three convolutions [2]_, and reads the classes' log-odds off z(1) by
    a linear map. Each image is solved with step sizes of its own, so its prediction does not depend
    on the images beside it.

    Images are given as they are, (n_samples, height, width) or (n_samples, channels, height,
    width), or as rows of a matrix with `image_shape`, as pipelines want them. Each channel is
    standardised by its own pixels. What is said below of rows is said of images.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    ResNetImageClassifier : The discrete counterpart.
    NODEClassifier : The same for rows of features.
    sknode.datasets.load_mnist : Images of digits from a local file.

    References
    ----------
    {references}

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


@documented
class ResNetImageClassifier(BaseResidual, Classification, BaseImageNetwork):
    """Classifier of images by a residual network, the discrete counterpart of a Neural ODE.

    It moves the standardised image, with further channels of zeros, by `n_blocks` residual blocks
    [5]_, z ← z + f_k(z), each of three convolutions, and reads the classes' log-odds off the last z
    by a linear map. Fields, head and training are those of `NODEImageClassifier`, so that a
    comparison of the two compares blocks with an ODE and nothing else.

    Images are given as they are, (n_samples, height, width) or (n_samples, channels, height,
    width), or as rows of a matrix with `image_shape`, as pipelines want them. Each channel is
    standardised by its own pixels. What is said below of rows is said of images.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    NODEImageClassifier : The continuous counterpart.
    ResNetClassifier : The same for rows of features.

    References
    ----------
    {references}

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknode import ResNetImageClassifier
    >>> digits = load_digits()
    >>> classifier = ResNetImageClassifier(n_filters=8, n_blocks=2, max_epochs=5, random_state=0)
    >>> classifier.fit(digits.images[:1000], digits.target[:1000])
    ResNetImageClassifier(max_epochs=5, n_blocks=2, n_filters=8, random_state=0)
    >>> classifier.score(digits.images[1000:], digits.target[1000:]) > 0.9
    True
    """

"""Neural ODEs, and residual networks beside them, as scikit-learn estimators."""

from .classifier import NODEClassifier
from .image import NODEImageClassifier, ResNetImageClassifier
from .regressor import NODERegressor
from .resnet import ResNetClassifier, ResNetRegressor

__all__ = [
    "NODEClassifier",
    "NODEImageClassifier",
    "NODERegressor",
    "ResNetClassifier",
    "ResNetImageClassifier",
    "ResNetRegressor",
]

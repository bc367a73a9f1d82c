"""Neural ODEs, and residual networks beside them, as scikit-learn estimators."""

from .classifier import NODEClassifier
from .regressor import NODERegressor
from .resnet import ResNetClassifier, ResNetRegressor

__all__ = ["NODEClassifier", "NODERegressor", "ResNetClassifier", "ResNetRegressor"]

"""Neural ODEs as scikit-learn estimators."""

from .classifier import NODEClassifier
from .regressor import NODERegressor

__all__ = ["NODEClassifier", "NODERegressor"]

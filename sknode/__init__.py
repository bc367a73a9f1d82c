"""Neural Ordinary Differential Equations as scikit-learn estimators."""

from .estimators import NODEClassifier, NODERegressor
from .exceptions import SolverError, TrainingError

__all__ = ["NODEClassifier", "NODERegressor", "SolverError", "TrainingError"]
__version__ = "0.1.0"

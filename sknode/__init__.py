"""Neural Ordinary Differential Equations as scikit-learn estimators."""

from ._versions import show_versions
from .estimators import NODEClassifier, NODERegressor
from .exceptions import SolverError, TrainingError

__all__ = ["NODEClassifier", "NODERegressor", "SolverError", "TrainingError", "show_versions"]
__version__ = "0.1.0"

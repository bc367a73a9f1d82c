"""Neural Ordinary Differential Equations as scikit-learn estimators."""

from ._versions import show_versions
from .estimators import (
    NODEClassifier,
    NODEImageClassifier,
    NODERegressor,
    ResNetClassifier,
    ResNetImageClassifier,
    ResNetRegressor,
)
from .exceptions import SolverError, TrainingError, TrainingWarning
from .export import export_onnx
from .persistence import load, save
from .presets import preset
from .tables import make_table_pipeline

__all__ = [
    "NODEClassifier",
    "NODEImageClassifier",
    "NODERegressor",
    "ResNetClassifier",
    "ResNetImageClassifier",
    "ResNetRegressor",
    "SolverError",
    "TrainingError",
    "TrainingWarning",
    "export_onnx",
    "load",
    "make_table_pipeline",
    "preset",
    "save",
    "show_versions",
]
__version__ = "0.1.0"

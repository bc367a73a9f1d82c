"""Neural Ordinary Differential Equations as scikit-learn estimators."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

# A name that is not listed here is that of an estimator. What is imported is what is used: the
# solvers of `sknode.ode` need torch alone, and importing the package nothing.
HOMES = {
    "SolverError": "exceptions",
    "TrainingError": "exceptions",
    "TrainingWarning": "exceptions",
    "export_onnx": "export",
    "load": "persistence",
    "make_table_pipeline": "tables",
    "preset": "presets",
    "save": "persistence",
    "show_versions": "_versions",
}
SUBMODULES = {
    "datasets",
    "estimators",
    "exceptions",
    "export",
    "inspection",
    "modules",
    "ode",
    "persistence",
    "presets",
    "search_spaces",
    "tables",
}


def __getattr__(name: str) -> Any:
    if name in SUBMODULES:
        return import_module(f".{name}", __name__)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f".{HOMES.get(name, 'estimators')}", __name__)
    value = globals()[name] = getattr(home, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *SUBMODULES})

"""Looking into fitted estimators."""

from ._consistency import SolverConsistency, solver_consistency
from ._flow import FlowDisplay
from ._steps import StepDisplay
from ._training import TrainingDisplay
from ._vector_field import VectorFieldDisplay

__all__ = [
    "FlowDisplay",
    "SolverConsistency",
    "StepDisplay",
    "TrainingDisplay",
    "VectorFieldDisplay",
    "solver_consistency",
]

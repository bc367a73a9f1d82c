"""Looking into fitted estimators."""

from ._consistency import SolverConsistency, solver_consistency
from ._flow import FlowDisplay
from ._vector_field import VectorFieldDisplay

__all__ = ["FlowDisplay", "SolverConsistency", "VectorFieldDisplay", "solver_consistency"]

"""Looking into fitted estimators."""

from ._consistency import SolverConsistency, solver_consistency

__all__ = ["SolverConsistency", "solver_consistency"]

"""What the estimators that solve an ODE have in common: a solver."""

from typing import Any

import numpy as np

from ..ode.tableau import TABLEAUS
from .base import BaseNetwork
from .tabular import BaseRowNetwork

__all__ = ["BaseNODE", "SolverMixin"]

# float32 rounds states of size one by 1e-7.
LEAST_FLOAT32_TOLERANCE = 1e-5
# One step of a method of the fourth order, two of one of the second.
FIXED_GRID_EVALUATIONS = 4


class SolverMixin(BaseNetwork):
    """What the hyperparameters of a solver come to."""

    solver: str = "rk4"
    tolerance: float | tuple[float, float] = 1e-3
    n_steps: int | None = None
    max_steps: int = 1000
    adjoint: str | None = "discrete"

    def _block(self) -> dict[str, Any]:
        n_steps, tableau = self.n_steps, TABLEAUS[self.solver]
        if n_steps is None and not tableau.adaptive:
            n_steps = FIXED_GRID_EVALUATIONS // tableau.n_stages
        return {
            "solver": self.solver,
            "tolerance": _floats(self.tolerance),
            "n_steps": None if n_steps is None else int(n_steps),
            "max_steps": int(self.max_steps),
            "adjoint": self.adjoint,
        }

    def _wants_double(self) -> bool:
        return np.min(self.tolerance) < LEAST_FLOAT32_TOLERANCE


class BaseNODE(SolverMixin, BaseRowNetwork):
    """Base of the estimators that move a row along an ODE."""


def _floats(tolerance: Any) -> float | tuple[float, float]:
    if isinstance(tolerance, list | tuple):
        return float(tolerance[0]), float(tolerance[1])
    return float(tolerance)

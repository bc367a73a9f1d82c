"""What the estimators that solve an ODE have in common: a solver."""

import numpy as np

from ..ode.settings import SolverSettings, plain_settings
from ..ode.tableau import TABLEAUS
from .base import BaseNetwork
from .tabular import BaseRowNetwork

__all__ = ["BaseNODE", "BaseSolving"]

# float32 rounds states of size one by 1e-7.
LEAST_FLOAT32_TOLERANCE = 1e-5
# One step of a method of the fourth order, two of one of the second.
FIXED_GRID_EVALUATIONS = 4


class BaseSolving(BaseNetwork):
    """What the hyperparameters of a solver come to."""

    solver: str = "rk4"
    tolerance: float | tuple[float, float] = 1e-3
    n_steps: int | None = None
    max_steps: int = 1000
    adjoint: str | None = "discrete"

    def _block(self) -> SolverSettings:
        own = [name for name in SolverSettings.__annotations__ if hasattr(self, name)]
        settings = plain_settings({name: getattr(self, name) for name in own})
        tableau = TABLEAUS[self.solver]
        if self.n_steps is None and not tableau.adaptive:
            settings["n_steps"] = FIXED_GRID_EVALUATIONS // tableau.n_stages
        return settings

    def _wants_double(self) -> bool:
        return np.min(self.tolerance) < LEAST_FLOAT32_TOLERANCE


class BaseNODE(BaseSolving, BaseRowNetwork):
    """Base of the estimators that move a row along an ODE."""

"""Ordinary differential equations for batches of rows, each with a step size of its own."""

from .dense import DenseForm
from .solution import Solution, odeint
from .stats import Stats
from .tableau import TABLEAUS, Tableau

__all__ = [
    "TABLEAUS",
    "DenseForm",
    "Solution",
    "Stats",
    "Tableau",
    "odeint",
]

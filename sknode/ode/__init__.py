"""Ordinary differential equations for batches of rows, each with a step size of its own."""

from .field import DenseForm
from .integrate import Stats
from .solution import Solution, odeint
from .tableau import TABLEAUS, Tableau

__all__ = ["TABLEAUS", "DenseForm", "Solution", "Stats", "Tableau", "odeint"]

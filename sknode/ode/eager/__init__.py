"""The eager engine: torch, for every field and device."""

from .solve import solve_eagerly

__all__ = ["solve_eagerly"]

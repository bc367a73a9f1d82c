"""The errors of solves that fail, and what to turn then."""

from ..exceptions import SolverError

__all__ = ["overflow", "step_too_small", "too_many_steps"]


def too_many_steps(reached: float, n: int, n_failed: int, n_rows: int) -> SolverError:
    """Return the error of rows that have not arrived after `max_steps`."""
    return SolverError(
        f"stopped at t={reached:.4g} after {n} steps in {n_failed} of {n_rows} rows; loosen "
        "`tolerance` or raise `max_steps`"
    )


def step_too_small(reached: float, n: int, n_failed: int, n_rows: int) -> SolverError:
    """Return the error of rows whose step no longer changes the time."""
    return SolverError(
        f"the step size fell below the smallest representable at t={reached:.4g} after {n} steps "
        f"in {n_failed} of {n_rows} rows; loosen `tolerance`, or check that the field is finite "
        "and smooth there (large weights or inputs make it overflow)"
    )


def overflow(grid: list[float], n: int, n_failed: int, n_rows: int) -> SolverError:
    """Return the error of rows that were last finite after n steps of a fixed grid."""
    return SolverError(
        f"the state was last finite at t={grid[n]:.4g} after {n} of {len(grid) - 1} steps, and "
        f"{n_failed} of {n_rows} rows overflowed; raise `n_steps`, or choose an adaptive `solver`"
    )

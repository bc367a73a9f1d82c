"""What sknode raises when a computation, rather than its input, goes wrong."""

__all__ = ["SolverError", "TrainingError"]


class SolverError(RuntimeError):
    """A solve could not reach its last time.

    The message names the time reached, the number of steps and rows concerned, and the
    parameter to turn.

    Examples
    --------
    >>> from sknode.exceptions import SolverError
    >>> issubclass(SolverError, RuntimeError)
    True
    """


class TrainingError(RuntimeError):
    """Training produced a loss that is not a finite number.

    The message names the epoch and the parameters to turn.

    Examples
    --------
    >>> from sknode.exceptions import TrainingError
    >>> issubclass(TrainingError, RuntimeError)
    True
    """

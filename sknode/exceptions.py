"""What sknode raises, and warns of, when a computation, rather than its input, goes wrong."""

__all__ = ["SolverError", "TrainingError", "TrainingWarning"]


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
    """Training failed: a loss was not finite, or a solve did not arrive, twice in a row.

    The message names the epoch, the batch, the losses so far and the parameters to turn.

    Examples
    --------
    >>> from sknode.exceptions import TrainingError
    >>> issubclass(TrainingError, RuntimeError)
    True
    """


class TrainingWarning(UserWarning):
    """Training went on in another way than asked: more slowly after a failure, or not to its end.

    Examples
    --------
    >>> from sknode.exceptions import TrainingWarning
    >>> issubclass(TrainingWarning, UserWarning)
    True
    """

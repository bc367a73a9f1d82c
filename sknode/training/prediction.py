"""A network run on rows, in parts, and the rows on which it cannot be run."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..exceptions import SolverError
from .data import Rows, Scaling
from .threads import one_thread

__all__ = ["joined", "no_prediction", "outputs_of"]

N_NAMED_ROWS = 10


def outputs_of(
    function: Callable[[Tensor], Tensor],
    X: Any,
    scaling: Scaling,
    like: Tensor,
    n_at_a_time: int,
) -> Iterator[np.ndarray]:
    """Yield what a function makes of the standardised rows of X, a batch at a time.

    Raises
    ------
    SolverError
        If a solve fails or its end is not finite. It names the rows.
    """

    def batch(start: int) -> Tensor:
        part = X[start : start + n_at_a_time]
        return Rows(part, scaling, like.device, like.dtype).take(slice(None))

    starts = iter(range(0, X.shape[0], n_at_a_time))
    for start in starts:
        # Not around the loop: what is done with the outputs is not a matter of torch's threads.
        with torch.no_grad(), one_thread():
            try:
                outputs = _finite(function, batch(start)).cpu().numpy()
            except SolverError as error:
                rest = (start, *starts)
                rows = (later + i for later in rest for i in _failing(function, batch(later)))
                raise no_prediction(rows, str(error)) from error
        yield outputs


def joined(parts: Iterable[np.ndarray], n_rows: int, axis: int = 0) -> np.ndarray:
    """Join parts along the axis of their rows.

    They are not collected first: strewn over the memory, small arrays keep large pieces of it from
    being given back.
    """
    parts = iter(parts)
    first = next(parts)
    result = np.empty((*first.shape[:axis], n_rows, *first.shape[axis + 1 :]), first.dtype)
    start = 0
    for part in chain([first], parts):
        stop = start + part.shape[axis]
        result[(*[slice(None)] * axis, slice(start, stop))] = part
        start = stop
    return result


def no_prediction(rows: Iterable[int], reason: str) -> SolverError:
    """Return the error of rows that cannot be predicted."""
    named = [str(row) for row in islice(rows, N_NAMED_ROWS + 1)]
    named[N_NAMED_ROWS:] = ["..."] * (len(named) > N_NAMED_ROWS)
    return SolverError(f"no prediction for the rows {', '.join(named)} of X: {reason}")


def _finite(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    outputs = function(rows)
    if not outputs.isfinite().all():
        raise SolverError("the network's outputs are not finite; the rows or the weights are huge")
    return outputs


def _failing(function: Callable[[Tensor], Tensor], rows: Tensor) -> Iterator[int]:
    """Find the rows that cannot be solved.

    Rows do not depend on each other, so a batch fails where one of its rows fails alone.
    """
    try:
        _finite(function, rows)
    except SolverError:
        if len(rows) == 1:
            yield 0
            return
        half = len(rows) // 2
        yield from _failing(function, rows[:half])
        yield from (half + i for i in _failing(function, rows[half:]))

"""The states of rows on their way, as the estimators' trajectories have them."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_array, check_is_fitted
from torch import Tensor

from .._checks import check_integer
from .base import BaseNetwork

__all__ = ["states_of"]


def states_of(estimator: BaseNetwork, X: Any, times: Any, member: Any = 0) -> np.ndarray:
    """Return the states of a member, (n_times, n_samples, n_dims)."""
    check_is_fitted(estimator)
    network = estimator.net_.module_
    member = check_integer("member", member, 0, network.n_members - 1)
    times = check_array(times, ensure_2d=False, dtype=np.float64, input_name="times")
    if times.ndim != 1 or times[0] < 0 or not (np.diff(times) > 0).all():
        raise ValueError(
            f"times must be one-dimensional, not negative and strictly increasing, got {times!r}"
        )

    def states(rows: Tensor) -> Tensor:
        of_all = network.trajectory(rows, times.tolist())
        return of_all.view(len(times), network.n_members, len(rows), -1)[:, member]

    return estimator._run(states, X, axis=1, n_shares=len(times))

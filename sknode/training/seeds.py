"""From scikit-learn's random states to seeds of torch's generators."""

import numpy as np

__all__ = ["N_SEEDS", "resolve_seed"]

N_SEEDS = 2**32


def resolve_seed(random_state: int | np.random.RandomState | None) -> int:
    """Return a seed, a new one for None."""
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    return int(random_state)

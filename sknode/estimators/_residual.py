"""What the estimators with residual blocks in place of an ODE have in common."""

from typing import Any

from ._base import BaseNetwork
from ._params import with_parameters

__all__ = ["BlocksMixin", "with_blocks"]


with_blocks = with_parameters("kinetic_penalty", n_blocks=4, shared_weights=False)


class BlocksMixin(BaseNetwork):
    """What the hyperparameters of residual blocks come to."""

    n_blocks: int
    shared_weights: bool

    def _block(self) -> dict[str, Any]:
        n_blocks = int(self.n_blocks)
        if self.shared_weights:
            return {"solver": "euler", "n_steps": n_blocks}
        return {"n_blocks": n_blocks}

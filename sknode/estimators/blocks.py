"""What the estimators with residual blocks in place of an ODE have in common."""

from collections.abc import Mapping
from typing import Any

from .base import BaseNetwork

__all__ = ["BaseResidual"]


class BaseResidual(BaseNetwork):
    """What the hyperparameters of residual blocks come to."""

    n_blocks: int = 4
    shared_weights: bool = False

    def _block(self) -> Mapping[str, Any]:
        n_blocks = int(self.n_blocks)
        if self.shared_weights:
            return {"solver": "euler", "n_steps": n_blocks}
        return {"n_blocks": n_blocks}

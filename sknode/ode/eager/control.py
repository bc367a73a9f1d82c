"""Row-wise control of the step size."""

from functools import lru_cache

import torch
from torch import Tensor

from .. import step_sizes
from ..field import Dynamics, Tape
from ..tableau import Tableau

__all__ = ["Controller"]


class Controller:
    """Decides for each row by itself whether its step is accepted, and how long the next is.

    A row's error is measured against atol + rtol·max(|x|, |x_next|), in the root mean square over
    the columns under control; up to one, the step is accepted. Each row's verdict is computed
    from that row alone, which is why a prediction does not depend on the rest of its batch.
    """

    def __init__(self, system: Dynamics, tableau: Tableau, rtol: float, atol: float) -> None:
        self.system = system
        self.rtol = rtol
        self.atol = atol
        self._grain = step_sizes.GRAIN
        self._exponent = -1.0 / tableau.order
        self._bound = system.n_controlled**0.5
        grains_at_one = step_sizes.SAFETY / self._grain * self._bound ** (1.0 / tableau.order)
        like = system.controlled
        self._scalars = _scalars(
            (atol, self._bound, grains_at_one, self._grain), like.dtype, like.device
        )
        self._fewest_grains = step_sizes.LEAST_FACTOR / self._grain
        self._most_grains = step_sizes.LARGEST_FACTOR / self._grain

    def judge(self, x: Tensor, end: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
        """Return which rows are accepted, and by what factor each row's step may change.

        All inputs are (rows, width), both outputs (rows,). `error` is used up. A row whose error
        is not finite is rejected with the least factor.
        """
        atol, bound, grains_at_one, grain = self._scalars
        scale = torch.maximum(x.abs(), end.abs())
        torch.add(atol, scale, alpha=self.rtol, out=scale)
        norm = torch.linalg.vector_norm(error.div_(scale), dim=1)
        grains = norm.pow(self._exponent).mul_(grains_at_one)
        # clamp_() alone would keep a NaN.
        grains.nan_to_num_(nan=0.0).clamp_(self._fewest_grains, self._most_grains)
        return norm <= bound, grains.floor_().mul_(grain)

    def first_step(self, x: Tensor, k: Tensor, span: float, tape: Tape, order: int) -> Tensor:
        """Choose each row's first step size, (rows,), positive, from that row alone.

        The algorithm of Hairer, Nørsett, Wanner, Solving ODEs I, section II.4; it costs one
        evaluation.
        """
        scale = self.system.controlled / (self.atol + self.rtol * x.abs())
        size = self._norm(x * scale)
        slope = self._norm(k * scale)
        trial = torch.where((size < 1e-5) | (slope < 1e-5), 1e-6, 0.01 * size / slope)
        trial = trial.clamp(max=abs(span))
        signed = trial if span > 0 else -trial
        torch.addcmul(x, k, signed.unsqueeze(1), out=tape.x[1])
        bend = self._norm((self.system.evaluate(tape, 1) - k) * scale) / trial
        largest = torch.maximum(slope, bend)
        step = torch.where(
            largest <= 1e-15, (trial * 1e-3).clamp(min=1e-6), (0.01 / largest).pow(1.0 / order)
        )
        mantissa, exponent = torch.frexp(torch.minimum(100.0 * trial, step))
        step = torch.ldexp((mantissa / self._grain).floor() * self._grain, exponent)
        return step.clamp(max=abs(span))

    def _norm(self, scaled: Tensor) -> Tensor:
        return torch.linalg.vector_norm(scaled, dim=1) / self._bound


@lru_cache(maxsize=64)
def _scalars(
    numbers: tuple[float, ...], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, ...]:
    """Return numbers as tensors: torch would make one of each at every use."""
    return torch.tensor(numbers, dtype=dtype, device=device).unbind()

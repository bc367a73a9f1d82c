"""Losses that are not averaged yet, over rows or outputs."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["LOSSES", "BinaryLogLoss", "CategoricalLogLoss", "RegressionLoss"]


class BinaryLogLoss(nn.Module):
    """Minus the log-likelihood of independent yes-or-no outputs, given their log-odds.

    Parameters
    ----------
    smoothing : float, default=0.0
        In training, a label y counts as (1 − smoothing)·y + smoothing/2.

    Examples
    --------
    >>> import torch
    >>> from sknode.modules.losses import BinaryLogLoss
    >>> BinaryLogLoss()(torch.zeros(2, 1), torch.ones(2, 1))
    tensor([[0.6931],
            [0.6931]])
    """

    def __init__(self, smoothing: float = 0.0) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the losses of log-odds and labels, all of shape ``(rows, n_outputs)``."""
        if self.training and self.smoothing:
            target = torch.lerp(target, torch.full_like(target, 0.5), self.smoothing)
        return F.binary_cross_entropy_with_logits(outputs, target, reduction="none")


class CategoricalLogLoss(nn.Module):
    """Minus the log-likelihood of one of several classes.

    Parameters
    ----------
    smoothing : float, default=0.0
        In training, so much of every label is shared out over all classes.

    Examples
    --------
    >>> import torch
    >>> from sknode.modules.losses import CategoricalLogLoss
    >>> CategoricalLogLoss()(torch.zeros(1, 3), torch.tensor([2]))
    tensor([1.0986])
    """

    def __init__(self, smoothing: float = 0.0) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the losses ``(rows,)`` of ``(rows, n_classes)`` and the classes ``(rows,)``."""
        smoothing = self.smoothing if self.training else 0.0
        return F.cross_entropy(outputs, target, reduction="none", label_smoothing=smoothing)


class RegressionLoss(nn.Module):
    """A loss of real outputs, by the name it has in scikit-learn.

    Parameters
    ----------
    name : {"squared_error", "absolute_error", "huber", "quantile", "poisson"}
        "huber" is quadratic up to a residual of 1.35; "poisson" takes the logarithm of the mean.
    quantile : float or None, default=None
        The one that "quantile" estimates.

    Examples
    --------
    >>> import torch
    >>> from sknode.modules.losses import RegressionLoss
    >>> RegressionLoss("quantile", 0.9)(torch.zeros(2, 1), torch.tensor([[1.0], [-1.0]]))
    tensor([[0.9000],
            [0.1000]])
    """

    def __init__(self, name: str, quantile: float | None = None) -> None:
        super().__init__()
        self.function = LOSSES[name]
        if name == "quantile":
            self.function = partial(_quantile, quantile=quantile)

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the losses of outputs and targets, all of shape ``(rows, n_outputs)``."""
        return self.function(outputs, target, reduction="none")


def _quantile(
    outputs: Tensor, target: Tensor, reduction: str = "none", *, quantile: float | None = None
) -> Tensor:
    assert quantile is not None
    residual = target - outputs
    return torch.maximum(quantile * residual, (quantile - 1) * residual)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "squared_error": F.mse_loss,
    "absolute_error": F.l1_loss,
    # Huber's constant: 95 % of the efficiency of least squares where the errors are normal.
    "huber": partial(F.huber_loss, delta=1.35),
    "quantile": _quantile,
    "poisson": partial(F.poisson_nll_loss, log_input=True),
}

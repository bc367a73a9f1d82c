"""Targets that are numbers, one for each row or several."""

from functools import partial

import numpy as np
from scipy.special import logsumexp
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_array

from ..modules.losses import RegressionLoss
from ..training.data import LARGE
from ..training.prediction import no_prediction
from ..training.scaling import Scaling
from ..training.target import Target

__all__ = ["Numbers", "check_numbers", "scaling_by_mean"]


class Numbers(Target):
    """Numbers whose standardised mean, or the logarithm of that, a network is read off.

    Parameters
    ----------
    scaling : Scaling
        By which they are brought to size one.
    link : {"identity", "log"}
        The function of the mean that the network learns.
    loss : str
        What is minimised, a name of `LOSSES`.
    quantile : float or None
        The quantile that the loss "quantile" estimates.
    """

    def __init__(self, scaling: Scaling, link: str, loss: str, quantile: float | None) -> None:
        self.scaling = scaling
        self.link = link
        self.n_outputs = len(scaling.scale)
        self.loss = loss
        self.quantile = quantile

    @property
    def criterion(self) -> partial[RegressionLoss]:
        """What makes the loss."""
        quantile = None if self.quantile is None else float(self.quantile)
        return partial(RegressionLoss, self.loss, quantile)

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return standardised targets (n_rows, n_targets)."""
        y = y.reshape(len(y), -1)
        if y.shape[1] != self.n_outputs:
            raise ValueError(
                f"y must have {self.n_outputs} targets, as in the fit before, got {y.shape[1]}"
            )
        return self.scaling.apply(y)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Return the predictions, (n_rows,) of a single target, or name the rows of none."""
        with np.errstate(over="ignore"):
            values = self.mean(outputs) * self.scaling.scale + self.scaling.center
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            raise no_prediction(np.flatnonzero(~finite), "it is beyond the largest number")
        return values[:, 0] if values.shape[1] == 1 else values

    def decode_members(self, outputs: np.ndarray) -> np.ndarray:
        """Return the predictions of each member, whose outputs are along the first axis."""
        return np.stack([self.decode(of_one) for of_one in outputs])

    def mean(self, outputs: np.ndarray) -> np.ndarray:
        """Return what the link takes to the outputs, in units of the scaling."""
        return np.exp(outputs) if self.link == "log" else outputs

    def average(self, outputs: np.ndarray, counts: np.ndarray | None) -> np.ndarray:
        """Return the outputs that stand for the members' mean prediction."""
        n = len(outputs) if counts is None else counts.sum(axis=0)
        if self.link == "log":
            return logsumexp(outputs, axis=0, b=counts) - np.log(n)
        return outputs.sum(axis=0, where=True if counts is None else counts) / n

    def score(
        self, outputs: np.ndarray, *, y: np.ndarray, sample_weight: np.ndarray | None
    ) -> float:
        """Return R², which is the same for standardised targets, whose squares are numbers."""
        if len(y) < 2:
            return np.nan
        with np.errstate(**LARGE):
            true = self.encode(y)
            predicted = self.mean(outputs)
            if not np.isfinite(true).all() or not np.isfinite(predicted).all():
                return -np.inf
            return r2_score(true, predicted, sample_weight=sample_weight)


def check_numbers(y: np.ndarray, loss: str, quantile: float | None) -> np.ndarray:
    """Return targets as floats, if the loss can have them."""
    if loss == "quantile" and quantile is None:
        raise ValueError("loss='quantile' needs a quantile, such as quantile=0.9, got None")
    with np.errstate(**LARGE):
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
    if loss == "poisson" and y.min() < 0:
        raise ValueError(f"loss='poisson' needs targets that are not negative, got {y.min():g}")
    return y


def scaling_by_mean(y: np.ndarray, weight: np.ndarray | None) -> Scaling:
    """Return the scaling of targets (n_rows, n_targets) that are not negative by their mean."""
    # In units of the largest, whose sum may be beyond the largest number.
    largest = np.where(y.any(axis=0), y.max(axis=0), 1.0)
    mean = np.average(y / largest, axis=0, weights=weight) * largest
    if not (mean > 0).all():
        raise ValueError("loss='poisson' needs targets with a positive mean, got only zeros")
    return Scaling(np.zeros_like(mean), mean)

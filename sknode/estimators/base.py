"""What the estimators share: one signature, one way to fit, one way to run the network."""

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from ..training.data import Table
from ..training.net import Net
from ..training.prediction import joined, outputs_of
from ..training.scaling import Scaling
from ..training.target import Target
from ._fitting import fit, fit_once
from ._hyperparameters import Hyperparameters, fitted
from ._sklearn import BaseEstimator, CallbackSupportMixin, with_callbacks
from .parameters import check_params
from .reading import Reader, check_rows

__all__ = ["BaseNetwork"]

DOCUMENTATION = "https://sknode.readthedocs.io/en/stable/"


class BaseNetwork(Hyperparameters, CallbackSupportMixin, BaseEstimator, metaclass=ABCMeta):
    """Base of the estimators: a network takes a row to z(0), moves it to z(1), and reads it off."""

    augment_dim: int = 0
    time_dependent: bool = True
    kinetic_penalty: float = 0.03
    optimizer: str | type[torch.optim.Optimizer] = "adamw"
    learning_rate: float = 1e-2
    schedule: str = "warmup_cosine"
    weight_decay: float = 1e-2
    ema_decay: float | None = 0.998
    gradient_clip: float | None = None
    max_epochs: int = 150
    batch_size: int | str = "auto"
    early_stopping: bool | str = "auto"
    validation_fraction: float = 0.1
    n_iter_no_change: int = 15
    tol: float = 1e-7
    device: str | torch.device = "cpu"
    dtype: str = "auto"
    callbacks: Sequence[Any] | None = None
    checkpoint: str | PathLike[str] | None = None
    checkpoint_interval: int = 10
    warm_start: bool = False
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0

    net_: Net = fitted()
    scaling_: Scaling = fitted()
    history_: list[dict[str, float]] = fitted()
    n_iter_: int = fitted()
    best_epoch_: int = fitted()
    loss_: float = fitted()
    n_parameters_: int = fitted()
    n_features_in_: int = fitted()
    feature_names_in_: np.ndarray = fitted()

    # An estimator without this hyperparameter is a single network.
    n_members = 1

    # Where the diagram of an estimator in a notebook leads to.
    _doc_link_module = "sknode"
    _doc_link_template = DOCUMENTATION + "api/estimators.html#sknode.{estimator_name}"

    # What an estimator has to say of its network, its rows and its targets.

    @abstractmethod
    def _network(self, n_outputs: int) -> tuple[type[nn.Module], dict[str, Any]]:
        """Return the kind of network, and its arguments."""

    @abstractmethod
    def _reader(self, *, learn: bool) -> Reader:
        """Return what reads X: one that is yet to learn from it, or the one of the fit before."""

    @property
    @abstractmethod
    def _target(self) -> Target:
        """What is learned, with all that a fit knows of it."""

    @abstractmethod
    def _check_target(self, y: np.ndarray) -> np.ndarray:
        """Return y as it is used from here on, or complain."""

    @abstractmethod
    def _learn_target(self, table: Table, classes: np.ndarray | None) -> None:
        """Learn from the targets what predictions need; classes may be known beforehand."""

    def _weigh(self, y: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray | None:
        """Return the weights of the rows."""
        return sample_weight

    def _wants_double(self) -> bool:
        """Return whether single precision would be too coarse."""
        return False

    def fit(
        self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None
    ) -> Self:
        """Fit the network.

        Ctrl-C ends the training after the batch, with a warning, and leaves the estimator fitted
        with what it has learned until then.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows. Sparse ones are made dense a batch at a time.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The targets.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows, not negative; a row of weight 2 counts as two rows, and one of
            weight 0 as none.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features) or None, default=None
            Rows to validate by, in place of a part of X. With `early_stopping=False` they are
            only reported on in `history_`.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs) or None, default=None
            Their targets.
        sample_weight_val : array-like of shape (n_val,) or None, default=None
            Their weights.

        Returns
        -------
        Self
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a hyperparameter or the data are not as described; nothing has been done then.
        TrainingError
            If a solve fails or the loss becomes infinite or NaN, and does so again from the last
            good weights with half the learning rate. The estimator is as it was before.
        OSError
            If a checkpoint cannot be written or read.
        """
        with _unchanged_on_failure(self):
            check_params(self)
            self._fit(X, y, sample_weight, X_val, y_val, sample_weight_val)
        return self

    def __sklearn_tags__(self):
        """Return the tags: sparse input and several targets are welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @with_callbacks
    def _fit(self, X, y, sample_weight, X_val, y_val, sample_weight_val) -> None:
        fit(self, X, y, sample_weight, (X_val, y_val, sample_weight_val))

    def _partial_fit(self, X, y, sample_weight, classes) -> Self:
        with _unchanged_on_failure(self):
            check_params(self)
            fit_once(self, X, y, sample_weight, classes)
        return self

    # Running the network.

    def _map_outputs(
        self, X, finish: Callable[[np.ndarray], np.ndarray], axis: int = 0
    ) -> np.ndarray:
        """Run the network on the rows of X, in parts, and join what becomes of its outputs.

        `finish` is given the outputs of the members, (n_members, rows, n_outputs), for each part,
        and returns an array whose `axis` is that of the rows.
        """
        check_is_fitted(self)
        n_members = self.net_.module_.n_members

        def finished(part: np.ndarray) -> np.ndarray:
            return finish(part.reshape(n_members, -1, part.shape[1]))

        return self._run(self.net_.module_, X, finished, axis)

    def _run(
        self,
        function: Callable[[Tensor], Tensor],
        X,
        finish: Callable[[np.ndarray], np.ndarray] = np.asarray,
        axis: int = 0,
        n_shares: int = 1,
    ) -> np.ndarray:
        """Apply a function to the rows of X, in parts, finish each, and join them along an axis.

        Where it returns several states of each row, the parts are smaller by their number.
        """
        X = check_rows(self, X)
        network = self.net_.module_.eval()
        n_at_a_time = max(1, network.rows_at_a_time // n_shares)
        parameter = next(network.parameters())
        parts = outputs_of(function, X, self.scaling_, parameter, n_at_a_time)
        return joined(map(finish, parts), X.shape[0], axis)


@contextmanager
def _unchanged_on_failure(estimator: BaseEstimator) -> Iterator[None]:
    """Put every attribute back if the body fails."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise

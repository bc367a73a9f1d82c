"""What the estimators share: one signature, one way to fit, one way to run the network."""

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_is_fitted,
    validate_data,
)
from torch import Tensor, nn

from ..modules import NODENetwork
from ..ode.tableau import TABLEAUS
from ._params import OPTIMIZERS, check_params
from ._training import Net, Rows, Scaling, TrainingSet, make_net

__all__ = ["BaseNODE", "Target"]

AUTO_BATCH_SIZE = 128
FIXED_GRID_STEPS = 10
# Bounds the memory of a prediction. Rows do not depend on each other, so neither does the result
# on this number.
PREDICTION_BATCH_SIZE = 4096


class Target(NamedTuple):
    """What the network is to learn.

    Attributes
    ----------
    values : ndarray of shape (n_rows, ...)
        In the form that the criterion takes.
    n_outputs : int
        Of the network.
    criterion : callable
        Makes the loss, with one value per row.
    weight : ndarray of shape (n_rows,) or None
        Weights that come from the target itself.
    """

    values: np.ndarray
    n_outputs: int
    criterion: Callable[[], nn.Module]
    weight: np.ndarray | None = None


class BaseNODE(BaseEstimator, metaclass=ABCMeta):
    """Base of the estimators."""

    net_: Net
    history_: list[dict[str, float]]

    def __init__(
        self,
        *,
        hidden_layer_sizes=(32,),
        activation="tanh",
        lift="identity",
        lift_dim=32,
        augment_dim=0,
        time_dependent=True,
        solver="dopri5",
        tolerance=1e-3,
        n_steps=None,
        max_steps=1000,
        adjoint="discrete",
        optimizer="adamw",
        learning_rate=1e-2,
        weight_decay=1e-2,
        max_epochs=50,
        batch_size="auto",
        device="cpu",
        dtype="auto",
        callbacks=None,
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.lift = lift
        self.lift_dim = lift_dim
        self.augment_dim = augment_dim
        self.time_dependent = time_dependent
        self.solver = solver
        self.tolerance = tolerance
        self.n_steps = n_steps
        self.max_steps = max_steps
        self.adjoint = adjoint
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.device = device
        self.dtype = dtype
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @abstractmethod
    def _encode_target(self, y: np.ndarray, sample_weight: np.ndarray | None) -> Target:
        """Check y, learn from it what predictions need, and encode it for the network."""

    def fit(self, X, y, sample_weight=None) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows. Sparse ones are made dense a batch at a time.
        y : array-like of shape (n_samples,)
            The targets.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows, not negative; a row of weight 2 counts as two rows, and one of
            weight 0 as none.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a hyperparameter or the data are not as described; nothing has been done then.
        SolverError
            If a solve fails. The estimator is as it was before, here and in the next case.
        TrainingError
            If the loss becomes infinite or NaN.
        """
        with _unchanged_on_failure(self):
            check_params(self)
            self._fit(X, y, sample_weight)
        return self

    def trajectory(self, X, times) -> np.ndarray:
        """Return the states on their way from z(0), the lifted and augmented row, to z(1).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        times : array-like of shape (n_times,)
            Strictly increasing times, not negative. The network has learned the way from 0 to 1.

        Returns
        -------
        ndarray of shape (n_times, n_samples, n_dims)
            The states.
        """
        check_is_fitted(self)
        times = check_array(times, ensure_2d=False, dtype=np.float64, input_name="times")
        if times.ndim != 1 or times[0] < 0 or not (np.diff(times) > 0).all():
            raise ValueError(
                "times must be one-dimensional, not negative and strictly increasing, "
                f"got {times!r}"
            )
        run = partial(self.net_.module_.trajectory, times=times.tolist())
        return np.concatenate(list(self._run(run, X)), axis=1)

    def __sklearn_tags__(self):
        """Return the tags: sparse input is welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _fit(self, X, y, sample_weight) -> None:
        device = _device(self.device)
        previous = self.net_ if self.warm_start and hasattr(self, "net_") else None
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=[np.float64, np.float32],
            reset=previous is None,
        )  # fmt: skip
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        target = self._encode_target(y, sample_weight)
        if target.weight is not None:
            sample_weight = target.weight
        if previous is None:
            self.scaling_ = _scaling(X, sample_weight)
        dtype = self._dtype(X, device)
        net = self._make_net(target, device, dtype, previous)
        net.partial_fit(
            _training_set(X, target.values, sample_weight, self.scaling_, device, dtype)
        )
        self._set_fitted(net, previous)

    def _make_net(
        self, target: Target, device: torch.device, dtype: torch.dtype, previous: Net | None
    ) -> Net:
        n_steps = self.n_steps
        if n_steps is None and not TABLEAUS[self.solver].adaptive:
            n_steps = FIXED_GRID_STEPS
        module = partial(
            _network,
            dtype=dtype,
            n_features=self.n_features_in_,
            n_outputs=target.n_outputs,
            lift=self.lift,
            lift_dim=int(self.lift_dim),
            augment_dim=int(self.augment_dim),
            hidden_layer_sizes=[int(n) for n in self.hidden_layer_sizes],
            activation=self.activation,
            time_dependent=bool(self.time_dependent),
            solver=self.solver,
            tolerance=self.tolerance,
            n_steps=n_steps,
            max_steps=self.max_steps,
            adjoint=self.adjoint,
        )
        net = make_net(
            module,
            target.criterion,
            optimizer=OPTIMIZERS.get(self.optimizer, self.optimizer),
            fused=isinstance(self.optimizer, str),
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            max_epochs=self.max_epochs,
            batch_size=AUTO_BATCH_SIZE if self.batch_size == "auto" else self.batch_size,
            device=device,
            seed=_seed(self.random_state),
            callbacks=self.callbacks,
            verbose=self.verbose,
        )
        if previous is not None:
            _continue_from(previous, net)
        return net

    def _set_fitted(self, net: Net, previous: Net | None) -> None:
        block = net.module_.block
        # What the next training step would have used is of no use to a prediction.
        block.forget()
        self.net_ = net
        before = self.history_ if previous is not None else []
        self.history_ = before + [
            {
                "epoch": len(before) + i,
                "loss": float(epoch["train_loss"]),
                "nfe_forward": epoch["nfe_forward"],
                "nfe_backward": epoch["nfe_backward"],
                "accepted_steps": epoch["accepted_steps"],
                "rejected_steps": epoch["rejected_steps"],
                "seconds": epoch["dur"],
            }
            for i, epoch in enumerate(net.history, start=1)
        ]
        self.n_iter_ = len(self.history_)
        self.loss_ = self.history_[-1]["loss"]
        self.n_parameters_ = sum(p.numel() for p in net.module_.parameters())

    def _dtype(self, X, device: torch.device) -> torch.dtype:
        name = self.dtype
        if name == "auto":
            name = X.dtype.name if device.type == "cpu" else "float32"
        return getattr(torch, name)

    def _outputs(self, X) -> np.ndarray:
        """Run the network on the rows of X, (n_samples, n_outputs)."""
        check_is_fitted(self)
        return np.concatenate(list(self._run(self.net_.module_, X)))

    def _run(self, function: Callable[[Tensor], Tensor], X) -> Iterator[np.ndarray]:
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        module = self.net_.module_.eval()
        parameter = next(module.parameters())
        for start in range(0, X.shape[0], PREDICTION_BATCH_SIZE):
            part = X[start : start + PREDICTION_BATCH_SIZE]
            rows = Rows(part, self.scaling_, parameter.device, parameter.dtype)
            with torch.no_grad():
                yield function(rows.take(slice(None))).cpu().numpy()


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


def _network(dtype: torch.dtype, **settings: Any) -> NODENetwork:
    # Made in one precision, so that the initial weights do not depend on it.
    return NODENetwork(**settings).to(dtype)


def _scaling(X, sample_weight: np.ndarray | None) -> Scaling:
    """Return the weighted mean and standard deviation of each feature; one where it is constant."""
    centred = not hasattr(X, "tocsr")
    scaler = StandardScaler(with_mean=centred).fit(X, sample_weight=sample_weight)
    return Scaling(np.asarray(scaler.mean_), np.asarray(scaler.scale_))


def _training_set(
    X,
    target: np.ndarray,
    weight: np.ndarray | None,
    scaling: Scaling,
    device: torch.device,
    dtype: torch.dtype,
) -> TrainingSet:
    """Leave out the rows of weight zero, and scale the weights to mean one."""
    if weight is not None:
        kept = weight > 0
        if not kept.any():
            raise ValueError("sample_weight must have a positive entry, got only zeros")
        X, target, weight = X[kept], target[kept], weight[kept] / weight[kept].mean()
    floating = np.issubdtype(target.dtype, np.floating)
    return TrainingSet(
        Rows(X, scaling, device, dtype),
        torch.from_numpy(target).to(dtype if floating else torch.int64),
        None if weight is None else torch.from_numpy(weight).to(dtype),
    )


def _continue_from(previous: Net, net: Net) -> None:
    try:
        net.module_.load_state_dict(previous.module_.state_dict())
    except RuntimeError as error:
        raise ValueError(
            "warm_start=True needs a network of the same shape as before; fit a clone, or set "
            "warm_start=False"
        ) from error


def _device(device: str | torch.device) -> torch.device:
    """Resolve a device, and complain if it is not there."""
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(device)
    available = {
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(device.type, True):
        raise ValueError(f"device={str(device)!r} is not available here; use 'cpu' or 'auto'")
    return device


def _seed(random_state: int | np.random.RandomState | None) -> int:
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    return int(random_state)

"""What the estimators share: one signature, one way to fit, one way to run the network."""

import math
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_is_fitted,
    column_or_1d,
    validate_data,
)
from skorch.callbacks import GradientNormClipping
from torch import Tensor, nn

from ..training.callbacks import EarlyStopping, Recorder, Validator
from ..training.checkpoint import Checkpointer
from ..training.data import Rows, Table, TrainingSet
from ..training.devices import resolve_device
from ..training.net import Net, Recipe, load_optimizer, make_net
from ..training.optimizers import OPTIMIZERS
from ..training.prediction import joined, outputs_of
from ..training.progress import shown
from ..training.scaling import Scaling
from ..training.seeds import resolve_seed
from ..training.split import held_back, n_distinct
from ._hyperparameters import Hyperparameters, fitted
from ._tasks import CallbackSupportMixin, EpochTasks, with_callbacks
from .parameters import check_params

__all__ = ["LARGE", "BaseNetwork", "relative"]

# So few rows are one batch, in the precision they came in: a fit is cheap then, and a row of weight
# two is learned from as two rows are.
SMALL_TABLE = 128
AUTO_BATCHES = 20
AUTO_BATCH_SIZES = (16, 256)
# What is of none of these types becomes of the first. Single precision stays so in either order.
SWAPPED = np.dtype(np.float32).newbyteorder("S")
FORM: dict[str, Any] = {"accept_sparse": "csr", "dtype": [np.float64, np.float32, SWAPPED]}
# What `history_` tells of an epoch, and by what names skorch's history does.
ENTRIES = {
    "loss": "train_loss",
    "validation_loss": "valid_loss",
    "validation_score": "valid_score",
    "nfe_forward": "nfe_forward",
    "nfe_backward": "nfe_backward",
    "accepted_steps": "accepted_steps",
    "rejected_steps": "rejected_steps",
    "learning_rate": "learning_rate",
    "retries": "retries",
    "seconds": "dur",
}
# scikit-learn adds up all numbers to see whether they are finite, and numpy would warn of a sum
# that is not.
LARGE: dict[str, Any] = {"over": "ignore", "invalid": "ignore"}
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

    # Unless it is a hyperparameter.
    n_members = 1

    # Where the diagram of an estimator in a notebook leads to.
    _doc_link_module = "sknode"
    _doc_link_template = DOCUMENTATION + "api/estimators.html#sknode.{estimator_name}"

    # What an estimator has to say of its network.

    @abstractmethod
    def _network(self, n_outputs: int) -> tuple[type[nn.Module], dict[str, Any]]:
        """Return the kind of network, and its arguments."""

    @abstractmethod
    def _learn_rows(self, table: Table) -> None:
        """Learn from the rows what the network and predictions need to know of them."""

    def _as_matrix(self, X: Any, *, learn: bool) -> Any:
        """Return X as one row for each sample; what is not of that form may be learned from."""
        return X

    def _wants_double(self) -> bool:
        """Return whether single precision would be too coarse."""
        return False

    # What an estimator has to say of its targets.

    @abstractmethod
    def _check_target(self, y: np.ndarray) -> np.ndarray:
        """Return y as it is used from here on, or complain."""

    @abstractmethod
    def _learn_target(self, table: Table, classes: np.ndarray | None) -> None:
        """Learn from the targets what predictions need; classes may be known beforehand."""

    @abstractmethod
    def _encode(self, y: np.ndarray) -> np.ndarray:
        """Return the targets in the form that the criterion takes."""

    @abstractmethod
    def _decode(self, outputs: np.ndarray) -> np.ndarray:
        """Return the predictions that the network's outputs stand for."""

    @abstractmethod
    def _average(self, outputs: np.ndarray, counts: np.ndarray | None) -> np.ndarray:
        """Return the outputs of a network that predicts what several members do on average.

        Those of the members are (n_members, n_rows, n_outputs). A mask (n_members, n_rows, 1)
        says which of them count, all if it is None.
        """

    @abstractmethod
    def _task(self) -> tuple[int, Callable[[], nn.Module]]:
        """Return the number of outputs, and what makes the criterion."""

    @abstractmethod
    def _score(
        self, outputs: np.ndarray, *, y: np.ndarray, sample_weight: np.ndarray | None
    ) -> float:
        """Return what `score` would, given outputs (n_rows, n_outputs)."""

    def _weigh(self, y: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray | None:
        """Return the weights of the rows."""
        return sample_weight

    def _check_same_target(self, y: np.ndarray) -> None:
        """Complain if the targets are of another kind than those of the fit before."""
        self._encode(y)

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        """Return the numbers of the rows' strata, of which a split takes its share each."""
        return None

    # What users call.

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

    # Fitting.

    @with_callbacks
    def _fit(self, X, y, sample_weight, X_val, y_val, sample_weight_val) -> None:
        previous = self.net_ if self.warm_start and hasattr(self, "net_") else None
        device = resolve_device(self.device)
        checkpointer = self._checkpointer()
        seed = None if checkpointer is None else checkpointer.seed
        if seed is None:
            seed = resolve_seed(self.random_state)
        table = self._read(X, y, sample_weight, learn=previous is None)
        if previous is not None:
            self._check_same_target(table.y)
        validation, judged = self._read_validation(X_val, y_val, sample_weight_val), None
        stops, learners = self._stops_early(table, validation), None
        if stops and validation is None:
            table, learners, validation, judged = self._hold_back(table, seed)
        recipe = self._recipe(self._dtype(table.X, device), table.X.shape[0], seed)
        callbacks: list[tuple[str, Any]] = [("recorder", Recorder())]
        if validation is not None:
            rows = self._training_set(validation, recipe, device)
            score = partial(self._score, y=validation.y, sample_weight=validation.weight)
            validator = Validator(rows, self._combine, score, judged)
            callbacks.append(("validator", validator))
        if stops:
            stopping = EarlyStopping(int(self.n_iter_no_change), float(self.tol))
            callbacks.append(("early_stopping", stopping))
        callbacks += _copies(self.callbacks)
        if hasattr(self, "_skl_callbacks"):
            callbacks.append(("tasks", EpochTasks(self, table, recipe.max_epochs)))
        if checkpointer is not None:
            callbacks.append(("checkpointer", checkpointer))
        start = None if previous is None else partial(_take_weights, previous)
        data = self._training_set(table, recipe, device, learners)
        self._train(data, recipe, callbacks, start)

    def _partial_fit(self, X, y, sample_weight, classes) -> Self:
        """Go through the rows once, with the weights and the optimizer of the call before."""
        with _unchanged_on_failure(self):
            check_params(self)
            previous = getattr(self, "net_", None)
            device = resolve_device(self.device)
            table = self._read(X, y, sample_weight, learn=previous is None, classes=classes)
            dtype = self._dtype(table.X, device) if previous is None else previous.recipe.dtype
            seed = resolve_seed(self.random_state)
            recipe = self._recipe(dtype, table.X.shape[0], seed)
            recipe = recipe._replace(max_epochs=1, schedule="constant", ema_decay=None)
            callbacks = [("recorder", Recorder()), *_copies(self.callbacks)]
            start = None if previous is None else partial(_take_over, previous)
            self._train(self._training_set(table, recipe, device), recipe, callbacks, start)
        return self

    def _read(self, X, y, sample_weight, *, learn: bool, classes=None) -> Table:
        """Check the data, and learn from them all but the weights if asked to."""
        if getattr(y, "hasnans", False):
            # Of pandas' own missing values scikit-learn only says that they are ambiguous.
            raise ValueError("Input y contains NaN.")
        with _large_numbers():
            X = self._as_matrix(X, learn=learn)
            X, y = validate_data(self, X, y, **FORM, multi_output=True, reset=learn)
        y = y.toarray() if sparse.issparse(y) else y
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        with _large_numbers():
            y = self._check_target(y)
        if sample_weight is not None:
            sample_weight = relative(
                _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
            )
        table = Table(X, y, self._weigh(y, sample_weight))
        counted = table.without_weightless()
        if learn:
            self._learn_rows(counted)
            self._learn_target(table, classes)
        return counted

    def _read_validation(self, X_val, y_val, sample_weight_val) -> Table | None:
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val must be given together, got only one of them")
        if X_val is None:
            if sample_weight_val is not None:
                raise ValueError("sample_weight_val needs X_val and y_val, got it alone")
            return None
        return self._read(X_val, y_val, sample_weight_val, learn=False)

    def _stops_early(self, table: Table, validation: Table | None) -> bool:
        if self.early_stopping == "auto":
            # To do without one of few distinct rows is to know nothing of it.
            return validation is not None or n_distinct(table.X, table.y) > SMALL_TABLE
        return bool(self.early_stopping)

    def _hold_back(self, table: Table, seed: int) -> tuple[Table, np.ndarray, Table, np.ndarray]:
        """Return the rows to train on, with the members that are, and to validate by, likewise."""
        fraction, n_members = float(self.validation_fraction), int(self.n_members)
        held = held_back(table.X, table.y, self._strata(table.y), fraction, seed, n_members)
        learners = ~held
        judges, kept = np.any(held, axis=1), np.any(learners, axis=1)
        return table.take(kept), learners[kept], table.take(judges), held[judges]

    def _checkpointer(self) -> Checkpointer | None:
        if self.checkpoint is None:
            return None
        interval = int(self.checkpoint_interval)
        return Checkpointer(Path(self.checkpoint), interval, self.get_params(deep=False))

    def _recipe(self, dtype: torch.dtype, n_rows: int, seed: int) -> Recipe:
        n_outputs, criterion = self._task()
        named = isinstance(self.optimizer, str)
        options = {"weight_decay": float(self.weight_decay), **({"fused": True} if named else {})}
        largest = torch.finfo(dtype).max
        for name in (
            "learning_rate", "weight_decay", "kinetic_penalty", "gradient_clip", "lift_frequency",
        ):  # fmt: skip
            if float(getattr(self, name, None) or 0) > largest:
                raise ValueError(f"{name}={getattr(self, name)!r} is beyond the range of {dtype}")
        build, arguments = self._network(n_outputs)
        return Recipe(
            build=build,
            network={**arguments, "kinetic_energy": float(self.kinetic_penalty) > 0},
            dtype=dtype,
            criterion=criterion,
            optimizer=OPTIMIZERS[self.optimizer] if named else self.optimizer,
            optimizer_options=options,
            learning_rate=float(self.learning_rate),
            schedule=self.schedule,
            max_epochs=int(self.max_epochs),
            kinetic_penalty=float(self.kinetic_penalty),
            ema_decay=None if self.ema_decay is None else float(self.ema_decay),
            batch_size=self._batch_size(n_rows),
            seed=seed,
        )

    def _training_set(
        self,
        table: Table,
        recipe: Recipe,
        device: torch.device,
        learners: np.ndarray | None = None,
    ) -> TrainingSet:
        rows = Rows(table.X, self.scaling_, device, recipe.dtype)
        return TrainingSet(rows, self._encode(table.y), table.weight, learners)

    def _train(
        self,
        data: TrainingSet,
        recipe: Recipe,
        callbacks: list[tuple[str, Any]],
        start: Callable[[Net], None] | None,
    ) -> None:
        """Make a net, start it where another one was, train it, and keep what came of it."""
        if self.gradient_clip is not None:
            clip = GradientNormClipping(float(self.gradient_clip))
            callbacks = [*callbacks, ("gradient_clip", clip)]
        with shown(int(self.verbose), recipe.max_epochs) as display:
            net = make_net(recipe, data.rows.device, [*callbacks, *display], int(self.verbose))
            if start is not None:
                start(net)
            net.partial_fit(data)
        before = [] if start is None else self.history_
        self._set_fitted(net, before)

    def _set_fitted(self, net: Net, before: list[dict[str, float]]) -> None:
        # What the next training step would have used is of no use to a prediction.
        net.module_.block.forget()
        stopping = dict(net.callbacks_).get("early_stopping")
        self.history_ = before + [
            {
                "epoch": len(before) + i,
                **{ours: epoch[skorchs] for ours, skorchs in ENTRIES.items() if skorchs in epoch},
            }
            for i, epoch in enumerate(net.history, 1)
        ]
        self.n_iter_ = len(self.history_)
        best = len(net.history)
        if stopping is not None and stopping.best_epoch:
            best = stopping.best_epoch
        self.best_epoch_ = len(before) + best
        self.loss_ = self.history_[self.best_epoch_ - 1]["loss"]
        self.n_parameters_ = sum(p.numel() for p in net.module_.parameters())
        net.retire()
        self.net_ = net

    def _batch_size(self, n_rows: int) -> int:
        if self.batch_size != "auto":
            return int(self.batch_size)
        if n_rows <= SMALL_TABLE:
            return n_rows
        least, most = AUTO_BATCH_SIZES
        return min(max(least, 2 ** round(math.log2(n_rows / AUTO_BATCHES))), most)

    def _dtype(self, X, device: torch.device) -> torch.dtype:
        if self.dtype != "auto":
            return getattr(torch, self.dtype)
        exact = X.shape[0] <= SMALL_TABLE or self._wants_double()
        return getattr(torch, X.dtype.name if exact and device.type == "cpu" else "float32")

    # Running the network.

    def _outputs(self, X) -> np.ndarray:
        """Run the network on the rows of X, (n_samples, n_outputs); several as if they were one."""
        return self._map_outputs(X, self._combine)

    def _member_outputs(self, X) -> np.ndarray:
        """Run the members on the rows of X, (n_members, n_samples, n_outputs)."""
        return self._map_outputs(X, np.asarray, axis=1)

    def _map_outputs(
        self, X, finish: Callable[[np.ndarray], np.ndarray], axis: int = 0
    ) -> np.ndarray:
        """Run the network on the rows of X, in parts, and join what becomes of its outputs.

        `finish` is given the outputs of the members, (n_members, rows, n_outputs), for each part,
        and returns an array whose `axis` is that of the rows.
        """
        check_is_fitted(self)
        network = self.net_.module_

        def finished(part: np.ndarray) -> np.ndarray:
            return finish(part.reshape(network.n_members, -1, part.shape[1]))

        return self._run(network, X, finished, axis)

    def _states(self, X, times, member=0) -> np.ndarray:
        """Return the states of a member, (n_times, n_samples, n_dims)."""
        check_is_fitted(self)
        network = self.net_.module_
        if not isinstance(member, Integral) or not 0 <= int(member) < network.n_members:
            raise ValueError(
                f"member must be an integer from 0 to {network.n_members - 1}, got {member!r}"
            )
        times = check_array(times, ensure_2d=False, dtype=np.float64, input_name="times")
        if times.ndim != 1 or times[0] < 0 or not (np.diff(times) > 0).all():
            raise ValueError(
                "times must be one-dimensional, not negative and strictly increasing, "
                f"got {times!r}"
            )

        def states(rows: Tensor) -> Tensor:
            of_all = network.trajectory(rows, times.tolist())
            return of_all.view(len(times), network.n_members, len(rows), -1)[:, member]

        return self._run(states, X, axis=1, n_shares=len(times))

    def _combine(self, outputs: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
        """Return what the members say together, or those of them that count for a row."""
        return outputs[0] if len(outputs) == 1 else self._average(outputs, counts)

    def _check_rows(self, X):
        """Return rows to predict as an array, or a matrix in CSR format, of floats."""
        with _large_numbers():
            return validate_data(self, self._as_matrix(X, learn=False), **FORM, reset=False)

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
        X = self._check_rows(X)
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


@contextmanager
def _large_numbers() -> Iterator[None]:
    """Let scikit-learn look at numbers of any size, and refuse those that are none to numpy."""
    try:
        with np.errstate(**LARGE):
            yield
    except OverflowError as error:
        raise ValueError(f"X and y must hold numbers that a float can hold: {error}") from error


def relative(weight: np.ndarray) -> np.ndarray:
    """Return weights as parts of the largest, lest their sums and products overflow."""
    return weight / weight.max() if weight.any() else weight


def _copies(callbacks: Sequence | None) -> list:
    return deepcopy(list(callbacks or []))


def _take_weights(previous: Net, net: Net) -> None:
    """Start with the weights of another net."""
    try:
        net.module_.load_state_dict(previous.module_.state_dict())
    except RuntimeError as error:
        raise ValueError(
            "going on from the fit before needs a network of the same shape as then; fit a clone, "
            "or set warm_start=False"
        ) from error


def _take_over(previous: Net, net: Net) -> None:
    """Go on as the other net would have."""
    _take_weights(previous, net)
    net.generator.set_state(previous.generator.get_state())
    if net.recipe.optimizer is previous.recipe.optimizer:
        faster = net.recipe.learning_rate / previous.recipe.learning_rate
        options = net.recipe.optimizer_options
        fresh = [{name: of[name] for name in options} for of in net.optimizer_.param_groups]
        load_optimizer(net.optimizer_, previous.optimizer_.state_dict())
        for group, options in zip(net.optimizer_.param_groups, fresh, strict=True):
            group.update(options)
            group["initial_lr"] *= faster
            group["lr"] = group["initial_lr"]

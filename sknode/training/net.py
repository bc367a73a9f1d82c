"""Training with skorch: steps that are taken back when they fail, and an end that can be asked for.

A net is made from a `Recipe`, and so is its copy: what is pickled is the recipe and the numbers.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from skorch import NeuralNet
from torch import Tensor, nn

from ..exceptions import SolverError
from .average import WeightAverage
from .batches import Batches
from .data import TrainingSet
from .devices import device_or_cpu
from .interruption import interruptible, keep_whole_batches, warn_of_interruption
from .optimizers import load_optimizer, make_optimizer
from .recipe import Recipe
from .recovery import NotFiniteError, check_last_step, failure, go_back
from .schedule import SCHEDULES
from .snapshot import Snapshot
from .threads import one_thread

__all__ = ["Net"]


class Net(NeuralNet):
    """A skorch net that is trained on a `TrainingSet`, and fails late.

    Attributes
    ----------
    recipe : Recipe
    generator : torch.Generator
        Orders the rows.
    last_good : Snapshot
        The weights whose loss last was finite, and could be differentiated.
    average : WeightAverage or None
        The moving average of those.
    last_batch : tuple or None
        The rows, the targets and weights that it was last trained on.
    n_retries : int
        How often training went back to them.
    on_probation : bool
        Whether it did so a step ago, and may not again.
    stopped : bool
        Set by a callback that wants the training to end with the epoch.
    interrupted : bool
        Whether the user ended it.
    """

    average: WeightAverage | None = None
    last_batch: tuple | None = None
    n_retries = 0
    on_probation = False
    stopped = False
    interrupted = False

    def __init__(
        self,
        recipe: Recipe,
        device: torch.device,
        callbacks: Sequence[tuple[str, Any]] = (),
        verbose: int = 0,
    ) -> None:
        super().__init__(
            **_settings(recipe), callbacks=list(callbacks), device=device, verbose=verbose
        )
        self.recipe = recipe
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.initialize()

    def initialize(self) -> Self:
        """Draw the weights; torch's generators are left as they were found."""
        super().initialize()
        for group in self.optimizer_.param_groups:
            group["initial_lr"] = group["lr"]
        self.last_good = Snapshot(self.module_, self.optimizer_)
        if self.recipe.ema_decay is not None:
            self.average = WeightAverage(self.module_, self.recipe.ema_decay)
        return self

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> Self:
        """Make the optimizer, which treats parameters by what they are."""
        self.optimizer_ = make_optimizer(self.recipe, self.module_)
        return self

    def __reduce__(self) -> tuple:
        state = {
            "module": self.module_.state_dict(),
            "optimizer": self.optimizer_.state_dict(),
            "generator": self.generator.get_state(),
        }
        # Arrays can be read by any machine, and pickle small.
        state = _converted(state, Tensor, lambda tensor: tensor.cpu().numpy())
        return _remake, (self.recipe, str(self.device), state)

    @property
    def _default_callbacks(self) -> list:
        # What they would record is recorded by `callbacks.Recorder`, in a fraction of the time.
        return []

    def get_iterator(self, dataset: TrainingSet, training: bool = False) -> Batches:
        """Return batches that index the training set."""
        return Batches(dataset, self.batch_size, self.generator)

    def partial_fit(self, X: TrainingSet, y: None = None, classes: None = None, **_: Any) -> "Net":
        """Train up to `max_epochs`, from where the history ends."""
        self.notify("on_train_begin", X=X, y=y)
        with one_thread(), interruptible(self):
            self.fit_loop(X)
            check_last_step(self)
            if self.average is not None:
                self.average.settle()
        self.notify("on_train_end", X=X, y=y)
        if self.interrupted:
            warn_of_interruption(self)
        return self

    def retire(self) -> None:
        """Drop what only a training needs: callbacks with their data, buffers, old weights."""
        self.module_.block.forget()
        self.callbacks_: list = []
        self.callbacks: list = []
        self.last_good.kept = []
        self.average = None
        self.last_batch = None

    def fit_loop(self, X: TrainingSet, y: None = None, epochs: None = None, **_: Any) -> "Net":
        """Go through the epochs until the last one, a callback or the user ends it."""
        batches = self.get_iterator(X, training=True)
        data = {"dataset_train": X, "dataset_valid": None}
        while len(self.history) < self.max_epochs and not (self.stopped or self.interrupted):
            n_epochs = len(self.history)
            self.notify("on_epoch_begin", **data)
            try:
                self._run_epoch(batches)
            except KeyboardInterrupt:
                keep_whole_batches(self)
                if len(self.history) == n_epochs:
                    break
            try:
                self.notify("on_epoch_end", **data)
            except KeyboardInterrupt:
                # So skorch's callbacks, such as its EarlyStopping, end a training.
                break
        return self

    def _run_epoch(self, batches: Batches) -> None:
        epoch = len(self.history) - 1
        n_batches = len(batches)
        for i, batch in enumerate(batches):
            self._schedule((epoch + i / n_batches) / self.max_epochs)
            self.notify("on_batch_begin", batch=batch, training=True)
            step = self.train_step(batch)
            self.history.record_batch("train_loss", step["loss"].item())
            self.history.record_batch("train_batch_size", len(batch[0]))
            self.notify("on_batch_end", batch=batch, training=True, **step)
            if self.interrupted:
                break
        self.last_batch = batch

    def _schedule(self, progress: float) -> None:
        """Set the learning rate; a constant one is left to skorch's callbacks."""
        if self.recipe.schedule != "constant":
            factor = SCHEDULES[self.recipe.schedule](progress)
            for group in self.optimizer_.param_groups:
                group["lr"] = group["initial_lr"] * factor

    def train_step(self, batch: tuple, **_: Any) -> dict[str, Tensor]:
        """Take a step; if the loss or the solve fails, once more from the last good weights.

        That a step was good is known when the loss after it is finite.
        """
        try:
            step = super().train_step(batch)
        except (SolverError, NotFiniteError) as error:
            go_back(self, error)
        else:
            if self.on_probation:
                self.on_probation = False
            return step
        try:
            return super().train_step(batch)
        except (SolverError, NotFiniteError) as error:
            raise failure(self, error) from error

    def train_step_single(
        self, batch: tuple[Tensor, tuple[Tensor, Tensor | None]], **_: Any
    ) -> dict[str, Tensor]:
        """Do as skorch does, less the conversions: a batch is tensors on the device already."""
        if not self.module_.training:
            self._set_training(True)
        X, target = batch
        y_pred = self.module_(X, self.generator)
        loss = self.get_loss(y_pred, target, X=X, training=True)
        if not math.isfinite(loss.item()):
            raise NotFiniteError(f"the loss became {loss.item()}")
        # Of the members' sum, so that each learns as it would alone. (To be given the factor as a
        # gradient, backward() would import sympy.)
        (_penalised(self, loss, target[1]) * self.module_.n_members).backward()
        self.last_good.take()
        if self.average is not None:
            self.average.update()
        return {"loss": loss, "y_pred": y_pred}

    def get_loss(
        self,
        y_pred: Tensor,
        y_true: tuple[Tensor, Tensor | None],
        X: Tensor | None = None,
        training: bool = False,
    ) -> Tensor:
        """Return the weighted mean of the rows' losses, and of the members'."""
        return self.get_losses(y_pred, y_true).mean()

    def get_losses(self, y_pred: Tensor, y_true: tuple[Tensor, Tensor | None]) -> Tensor:
        """Return the weighted losses of the rows, one for each or for each of its outputs.

        They are those of the first member, followed by those of the second, and so on.
        """
        target, weight = y_true
        return _weighted(self.criterion_(y_pred, _repeated(target, len(y_pred))), weight)

    def averaged(self) -> AbstractContextManager[None]:
        """Return a context in which the module has the average of its weights, if there is one."""
        return nullcontext() if self.average is None else self.average.applied()


def _penalised(net: Net, loss: Tensor, weight: Tensor | None) -> Tensor:
    """Return a loss with the penalty for the energy of the way from z(0) to z(1)."""
    energy = net.module_.block.kinetic_energy
    if energy is None:
        return loss
    return loss + net.recipe.kinetic_penalty * _weighted(energy, weight).mean()


def _weighted(values: Tensor, weight: Tensor | None) -> Tensor:
    """Multiply what the members have for each row by its weight."""
    if weight is None:
        return values
    weight = _repeated(weight, len(values))
    return values * (weight if values.ndim == 1 else weight.unsqueeze(1))


def _repeated(of_rows: Tensor, n: int) -> Tensor:
    """Repeat what all members have in common, to n entries."""
    return of_rows if len(of_rows) == n else torch.cat([of_rows] * (n // len(of_rows)))


def _settings(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as skorch's arguments."""
    return {
        "module": partial(_network, recipe),
        "criterion": recipe.criterion,
        "optimizer": recipe.optimizer,
        "lr": recipe.learning_rate,
        "max_epochs": recipe.max_epochs,
        "batch_size": recipe.batch_size,
        "train_split": None,
    }


def _network(recipe: Recipe) -> nn.Module:
    # Drawn on the CPU, in one precision and by a generator of its own, so that the weights depend
    # on nothing but the seed: neither on the device, nor the dtype, nor what other threads draw.
    generator = torch.Generator().manual_seed(recipe.seed)
    return recipe.build(**recipe.network, generator=generator).to(recipe.dtype)


def _converted(state: Any, kind: type, convert: Callable[[Any], Any]) -> Any:
    """Convert all of a kind in nested dicts and lists."""
    if isinstance(state, kind):
        return convert(state)
    if isinstance(state, dict):
        return {key: _converted(value, kind, convert) for key, value in state.items()}
    if isinstance(state, list):
        return [_converted(value, kind, convert) for value in state]
    return state


def _remake(recipe: Recipe, device: str, state: dict[str, Any]) -> Net:
    """Make a net as it was pickled, on the CPU if its device is not there."""
    state = _converted(state, np.ndarray, torch.tensor)
    net = Net(recipe, device_or_cpu(device))
    net.module_.load_state_dict(state["module"])
    load_optimizer(net.optimizer_, state["optimizer"])
    net.generator.set_state(state["generator"])
    return net

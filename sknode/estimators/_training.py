"""Training with skorch, on indexed batches of resident tensors."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor, nn

from ..exceptions import TrainingError
from ..ode import Stats

__all__ = ["Net", "Rows", "Scaling", "TrainingSet", "make_net"]


class Scaling(NamedTuple):
    """Mean and scale of each feature."""

    mean: np.ndarray
    scale: np.ndarray


class Rows:
    """Rows of a table as standardised tensors, a batch at a time.

    A dense table is moved to the device once; a sparse one stays as it is and each batch of it is
    made dense.
    """

    def __init__(
        self,
        X: Any,
        scaling: Scaling,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.scaling, self.device, self.dtype = scaling, device, dtype
        self.n_rows = X.shape[0]
        self._source = X
        self._dense = None if sparse.issparse(X) else self._standardise(X)

    def __len__(self) -> int:
        return self.n_rows

    def take(self, index: Tensor | slice) -> Tensor:
        """Return the rows at an index, (rows, n_features)."""
        if self._dense is not None:
            return _rows_at(self._dense, index)
        host_index = index if isinstance(index, slice) else index.cpu().numpy()
        return self._standardise(self._source[host_index].toarray())

    def _standardise(self, X: np.ndarray) -> Tensor:
        scaled = (X - self.scaling.mean) / self.scaling.scale
        return torch.from_numpy(scaled).to(self.device, self.dtype)


class TrainingSet:
    """Rows with their targets and weights (None: all one)."""

    def __init__(self, rows: Rows, target: Tensor, weight: Tensor | None) -> None:
        self.rows = rows
        self.target = target.to(rows.device)
        self.weight = None if weight is None else weight.to(rows.device)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Tensor | slice) -> tuple[Tensor, tuple[Tensor, Tensor | None]]:
        """Return a batch as skorch wants it: the inputs, and all that the loss needs."""
        weight = None if self.weight is None else _rows_at(self.weight, index)
        return self.rows.take(index), (_rows_at(self.target, index), weight)


def _rows_at(table: Tensor, index: Tensor | slice) -> Tensor:
    # On a batch of some dozen rows this takes a third of the time of table[index].
    return table.index_select(0, index) if isinstance(index, Tensor) else table[index]


class Batches:
    """Batches of nearly equal size, in a new order at every pass where there are several."""

    def __init__(self, data: TrainingSet, batch_size: int, generator: torch.Generator) -> None:
        self.data, self.generator = data, generator
        self.n_batches = math.ceil(len(data) / batch_size)

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[tuple[Tensor, tuple[Tensor, Tensor | None]]]:
        if self.n_batches == 1:
            yield self.data.take(slice(None))
            return
        order = torch.randperm(len(self.data), generator=self.generator)
        for index in order.to(self.data.rows.device).tensor_split(self.n_batches):
            yield self.data.take(index)


class Net(NeuralNet):
    """A skorch net whose dataset is a `TrainingSet` and whose loss is weighted."""

    def get_dataset(self, X: TrainingSet, y: None = None) -> TrainingSet:
        """Return the training set as it is."""
        return X

    def get_iterator(self, dataset: TrainingSet, training: bool = False) -> Batches:
        """Return batches that index the training set."""
        return Batches(dataset, self.batch_size, self.generator)

    def train_step_single(
        self, batch: tuple[Tensor, tuple[Tensor, Tensor | None]], **fit_params: Any
    ) -> dict[str, Tensor]:
        """Do as skorch does, less the conversions: a batch is tensors on the device already."""
        if not self.module_.training:
            self.module_.train()
        X, target = batch
        y_pred = self.module_(X)
        loss = self.get_loss(y_pred, target, X=X, training=True)
        loss.backward()
        return {"loss": loss, "y_pred": y_pred}

    def get_loss(
        self,
        y_pred: Tensor,
        y_true: tuple[Tensor, Tensor | None],
        X: Tensor | None = None,
        training: bool = False,
    ) -> Tensor:
        """Return the weighted mean of the rows' losses."""
        target, weight = y_true
        losses = self.criterion_(y_pred, target)
        return losses.mean() if weight is None else (losses * weight.view_as(losses)).mean()


class SolverHistory(Callback):
    """Writes into the history what the solves of an epoch cost, and stops at a loss of NaN."""

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Start counting."""
        self._solves: list[Stats] = []

    def on_batch_end(
        self, net: NeuralNet, training: bool = False, loss: Tensor | None = None, **kwargs: Any
    ) -> None:
        """Take note of the solve of a batch."""
        if not training:
            return
        assert loss is not None
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss became {value} in epoch {len(net.history)}; lower `learning_rate`, or "
                "look for extreme values in the inputs"
            )
        self._solves.append(net.module_.block.stats)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Write the means over the epoch's batches, and those of the steps over its rows."""
        solves = self._solves
        record = net.history.record
        record("nfe_forward", sum(solve.nfe_forward for solve in solves) / len(solves))
        record("nfe_backward", sum(solve.nfe_backward for solve in solves) / len(solves))
        for name, counts in (
            ("accepted_steps", [solve.accepted for solve in solves]),
            ("rejected_steps", [solve.rejected for solve in solves]),
        ):
            record(name, torch.cat(counts).double().mean().item())
        solves.clear()


def make_net(
    module: Callable[[], nn.Module],
    criterion: Callable[[], nn.Module],
    *,
    optimizer: type[torch.optim.Optimizer],
    fused: bool,
    learning_rate: float,
    weight_decay: float,
    max_epochs: int,
    batch_size: int,
    device: torch.device,
    seed: int,
    callbacks: Sequence | None,
    verbose: int,
) -> Net:
    """Build and initialise the net; torch's generators are left as they were found."""
    options: dict[str, Any] = {"optimizer__fused": True} if fused else {}
    if not verbose:
        # It would lay out the table of every epoch only not to print it.
        options["callbacks__print_log"] = None
    net = Net(
        module,
        criterion,
        optimizer=optimizer,
        optimizer__weight_decay=weight_decay,
        **options,
        lr=learning_rate,
        max_epochs=max_epochs,
        batch_size=batch_size,
        train_split=None,
        callbacks__valid_loss=None,
        callbacks=[("solver_history", SolverHistory()), *copy.deepcopy(list(callbacks or []))],
        device=device,
        verbose=int(verbose),
    )
    net.generator = torch.Generator().manual_seed(seed)
    # The network is made on the CPU, so that its weights are the same for every device, and
    # torch.manual_seed would reseed CUDA too.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return net.initialize()

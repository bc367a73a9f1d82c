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
            return self._dense[index]
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
        weight = None if self.weight is None else self.weight[index]
        return self.rows.take(index), (self.target[index], weight)


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
        self._counts: list[Tensor] = []
        self._nfe = np.zeros(2)

    def on_batch_end(self, net: NeuralNet, training: bool = False, **kwargs: Any) -> None:
        """Count the solve of a batch."""
        if not training:
            return
        loss = net.history[-1, "batches", -1, "train_loss"]
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss} in epoch {len(net.history)}; lower `learning_rate`, or "
                "look for extreme values in the inputs"
            )
        stats = net.module_.block.stats
        self._nfe += stats.nfe_forward, stats.nfe_backward
        self._counts.append(torch.stack((stats.accepted, stats.rejected)).double().mean(1))

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Write the means over the epoch's batches."""
        nfe = self._nfe / len(self._counts)
        accepted, rejected = torch.stack(self._counts).mean(0).tolist()
        net.history.record("nfe_forward", float(nfe[0]))
        net.history.record("nfe_backward", float(nfe[1]))
        net.history.record("accepted_steps", accepted)
        net.history.record("rejected_steps", rejected)


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
    options = {"optimizer__fused": True} if fused else {}
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

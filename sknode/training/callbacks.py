"""What is done at the end of an epoch: taking notes, validation, and stopping early."""

import copy
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor

from ..exceptions import SolverError
from ..ode import Stats
from .data import TrainingSet

__all__ = ["EarlyStopping", "Recorder", "Validator"]


class Recorder(Callback):
    """Writes into the history what an epoch came to: its loss, its solves, its time."""

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Start counting."""
        self._start = time.perf_counter()
        self._retries = net.n_retries
        self._solves: list[Stats] = []

    def on_batch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Take note of the solve of a batch."""
        self._solves.append(net.module_.block.stats)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Write the means over the epoch's rows, and those of evaluations over its batches."""
        solves = self._solves
        record = net.history.record
        batches = net.history[-1]["batches"]
        sizes = [batch["train_batch_size"] for batch in batches]
        losses = [batch["train_loss"] for batch in batches]
        record("train_loss", float(np.average(losses, weights=sizes)))
        record("nfe_forward", sum(solve.nfe_forward for solve in solves) / len(solves))
        record("nfe_backward", sum(solve.nfe_backward for solve in solves) / len(solves))
        for name, counts in (
            ("accepted_steps", [solve.accepted for solve in solves]),
            ("rejected_steps", [solve.rejected for solve in solves]),
        ):
            record(name, torch.cat(counts).double().mean().item())
        record("learning_rate", net.optimizer_.param_groups[0]["lr"])
        record("retries", net.n_retries - self._retries)
        record("dur", time.perf_counter() - self._start)
        self._solves = []


class Validator(Callback):
    """Writes into the history how the rows fare that the network is not trained on.

    Parameters
    ----------
    data : TrainingSet
        Those rows.
    combine : callable
        Of the members' outputs for them, (n_members, n_rows, n_outputs), and of a mask
        (n_members, n_rows, 1) of those that count, or None, makes what is predicted from,
        (n_rows, n_outputs).
    score : callable
        The score of the latter.
    judged : ndarray of shape (n_rows, n_members) or None
        Which members are judged by a row, at least one by each. None: all by all.
    """

    def __init__(
        self,
        data: TrainingSet,
        combine: Callable[[np.ndarray, np.ndarray | None], np.ndarray],
        score: Callable[[np.ndarray], float],
        judged: np.ndarray | None = None,
    ) -> None:
        self.data = data
        self.combine = combine
        self.score = score
        self.judged = judged

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Record the loss and the score; they are infinite and NaN if a solve fails."""
        net._set_training(False)
        loss = math.inf
        score = math.nan
        try:
            with torch.no_grad(), net.averaged():
                outputs = self._run(net)
        except SolverError:
            # The field is too wild for them now, and may have calmed down an epoch later.
            pass
        else:
            loss = self._loss(net, outputs)
            score = self.score(outputs)
        net.history.record("valid_loss", loss)
        net.history.record("valid_score", score)

    def _run(self, net: NeuralNet) -> np.ndarray:
        """Return what is predicted from; a member is not run on rows that do not judge it."""
        n_rows = len(self.data)
        n_members = net.module_.n_members
        rows = self.data.rows
        judged = np.ones((n_rows, n_members), bool) if self.judged is None else self.judged
        of_each = [np.flatnonzero(of_member) for of_member in judged.T]
        # A member that has fewer of them than another sees some twice.
        index = np.stack([np.resize(own, max(map(len, of_each))) for own in of_each])
        parts = []
        for part in np.array_split(index, -(-index.size // net.module_.rows_at_a_time), axis=1):
            X = rows.take(torch.from_numpy(part.ravel()).to(rows.device))
            parts.append(net.module_(X.view(*part.shape, -1)).view(*part.shape, -1))
        found = torch.cat(parts, 1).cpu().numpy()
        outputs = np.zeros((n_members, n_rows, found.shape[2]), found.dtype)
        np.put_along_axis(outputs, index[:, :, np.newaxis], found, axis=1)
        counts = None if self.judged is None else judged.T[:, :, np.newaxis]
        return self.combine(outputs, counts)

    def _loss(self, net: NeuralNet, outputs: np.ndarray) -> float:
        # Of what is predicted: members of which each alone knows too much may do well together.
        predicted = torch.from_numpy(outputs).to(self.data.rows.device, self.data.rows.dtype)
        return net.get_losses(predicted, (self.data.target, self.data.weight)).mean().item()


class EarlyStopping(Callback):
    """Ends a training that has stopped getting better, and goes back to its best weights.

    skorch's own counts only improvements by more than its threshold as the best; here they are
    what patience is measured by, and the best is the best.

    Parameters
    ----------
    n_iter_no_change : int
    tol : float

    Attributes
    ----------
    best_loss : float
        The lowest validation loss.
    best_epoch : int
        The epoch it was reached in, counted from one, or zero.
    n_misses : int
        The number of epochs since the loss was last lower by `tol`.
    best_weights : dict of Tensor
        Those at the end of the best epoch.
    """

    def __init__(self, n_iter_no_change: int, tol: float) -> None:
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.best_loss = math.inf
        self.best_epoch = 0
        self.n_misses = 0
        self.best_weights: dict[str, Tensor] = {}

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Compare, and tell the net to stop when patience is at its end."""
        loss = net.history[-1]["valid_loss"]
        self.n_misses = 0 if loss < self.best_loss - self.tol else self.n_misses + 1
        if loss < self.best_loss:
            self.best_loss = loss
            self.best_epoch = len(net.history)
            with net.averaged():
                self.best_weights = copy.deepcopy(net.module_.state_dict())
        if self.n_misses >= self.n_iter_no_change:
            net.stopped = True

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Go back to the best weights."""
        if self.best_weights:
            net.module_.load_state_dict(self.best_weights)

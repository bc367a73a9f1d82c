"""A training told to the callbacks of scikit-learn."""

from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback

from ..training.data import Table

__all__ = ["EpochTasks"]


class EpochTasks(Callback):
    """Makes a training a task of scikit-learn, and each epoch a task within it.

    Parameters
    ----------
    estimator : BaseEstimator
        Whose callbacks are called.
    table : Table
        What it is trained on.
    max_epochs : int
    """

    def __init__(self, estimator: Any, table: Table, max_epochs: int) -> None:
        self.estimator = estimator
        self.training = estimator._init_callback_context(max_subtasks=max_epochs)
        self.data = {
            "estimator": estimator,
            "X": table.X,
            "y": table.y,
            "metadata": {"sample_weight": table.weight},
        }

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Begin the task."""
        self.training.call_on_fit_task_begin(**self.data)

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Begin a task within it."""
        self.epoch = self.training.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(**self.data)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """End it, and the training if a callback says so."""
        if self.epoch.call_on_fit_task_end(**self.data, reconstruction_attributes={"net_": net}):
            net.stopped = True

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """End the task."""
        self.training.call_on_fit_task_end(**self.data, reconstruction_attributes={"net_": net})

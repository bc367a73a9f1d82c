"""The callbacks of scikit-learn, which has them from version 1.9 on."""

from collections.abc import Callable
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback

from ..training.data import Table

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support."""

    def with_callbacks(method: Callable) -> Callable:
        """Return the method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "EpochTasks", "with_callbacks"]


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

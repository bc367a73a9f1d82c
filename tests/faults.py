"""A training to be killed, in a process of its own."""

import multiprocessing
import pickle
from pathlib import Path

import torch
from sklearn.datasets import load_iris
from skorch.callbacks import Callback

from sknode import NODEClassifier

# Children are forked from a server that has imported all this, not from the tests' own process.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.faults", "tests.forgery"])

INTERVAL = 3
SETTINGS = {
    "hidden_layer_sizes": (8,),
    "max_epochs": 60,
    "batch_size": 16,
    "schedule": "one_cycle",
    "early_stopping": True,
    "n_iter_no_change": 60,
    "random_state": 0,
    "checkpoint_interval": INTERVAL,
}


class Progress(Callback):
    """Tells another process how many epochs are done."""

    def __init__(self, done):
        self.done = done

    def __deepcopy__(self, memo):
        return self

    def on_epoch_end(self, net, **kwargs):
        self.done.value = len(net.history)


def train(checkpoint: str | None, result: str, done) -> None:
    """Fit, and write down the weights and the history less its times."""
    torch.set_num_threads(1)
    model = NODEClassifier(**SETTINGS, checkpoint=checkpoint, callbacks=[Progress(done)])
    model.fit(*load_iris(return_X_y=True))
    weights = [parameter.detach().numpy() for parameter in model.net_.module_.parameters()]
    history = [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in model.history_]
    Path(result).write_bytes(pickle.dumps((weights, history, model.best_epoch_)))

"""The state of a training in a file, from which it goes on as if it had not been interrupted."""

from pathlib import Path
from typing import Any

import numpy as np
from skorch import NeuralNet
from skorch.callbacks import Callback

from .._files import check_writable, read, refused, resolve, write
from .data import TrainingSet, digest_of
from .net import Net
from .seeds import N_SEEDS
from .state import resume, state_of

__all__ = ["Checkpointer"]


# They change nothing about what is learned.
IRRELEVANT = ("callbacks", "checkpoint", "checkpoint_interval", "device", "verbose")
KINDS = {"identity": dict, "seed": int, "ended": bool}


class Checkpointer(Callback):
    """Goes on from a checkpoint if there is one, and writes one every few epochs and at the end.

    Parameters
    ----------
    path : Path
        Of the file.
    interval : int
        Number of epochs.
    parameters : dict
        The hyperparameters, which a fit must have in common with the one that wrote the file.

    Attributes
    ----------
    saved : Contents or None
        What was in the file.

    Raises
    ------
    ValueError
        If the file is not a checkpoint, or there cannot be one.
    """

    def __init__(self, path: Path, interval: int, parameters: dict[str, Any]) -> None:
        self.path = path
        self.interval = interval
        self.identity = {
            name: repr(value) if not isinstance(value, np.random.RandomState) else "RandomState"
            for name, value in parameters.items()
            if name not in IRRELEVANT
        }
        self.saved = read(path, "checkpoint") if resolve(path).exists() else None
        if self.saved is not None:
            header = self.saved.header
            kinds = {name: type(header.get(name)) for name in KINDS}
            if kinds != KINDS or not 0 <= header["seed"] < N_SEEDS:
                raise ValueError(f"{path} is not a checkpoint of a training; delete it")
        if not self.ended:
            check_writable(path)

    @property
    def seed(self) -> int | None:
        """The seed of the training in the file."""
        return None if self.saved is None else self.saved.header["seed"]

    @property
    def ended(self) -> bool:
        """Whether the training in the file has ended."""
        return self.saved is not None and self.saved.header["ended"]

    def on_train_begin(self, net: NeuralNet, X: TrainingSet | None = None, **kwargs: Any) -> None:
        """Go on from the file."""
        assert X is not None
        validator = dict(net.callbacks_).get("validator")
        self.identity["the data"] = X.digest()
        self.identity["the validation data"] = validator.data.digest() if validator else ""
        self.identity["the weights it began with"] = digest_of(net.module_.parameters())
        if self.saved is None:
            return
        saved = self.saved.header["identity"]
        differing = [name for name in self.identity if saved.get(name) != self.identity[name]]
        if differing:
            raise ValueError(
                f"the checkpoint {self.path} is that of another training, which differs in "
                f"{', '.join(differing)}; delete it, or name another path"
            )
        with refused(f"the checkpoint {self.path} cannot be gone on from, delete it"):
            resume(net, self.saved)
        net.stopped = self.ended

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Write, unless the epoch was cut short: it could not be gone on from."""
        if len(net.history) % self.interval == 0 and not net.interrupted:
            self._write(net, ended=net.stopped)

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Write the end, unless it is what was in the file."""
        if not net.interrupted and not self.ended:
            self._write(net, ended=True)

    def _write(self, net: Net, ended: bool) -> None:
        tensors, numbers = state_of(net)
        header = {"identity": self.identity, "seed": net.recipe.seed, "ended": ended, **numbers}
        write(self.path, "checkpoint", tensors, header)

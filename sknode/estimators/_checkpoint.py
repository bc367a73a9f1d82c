"""The state of a training in a file, from which it goes on as if it had not been interrupted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor

from .._files import Contents, check_writable, read, write
from ._data import TrainingSet, digest_of
from ._training import Net, load_optimizer

__all__ = ["Checkpointer"]


# They change nothing about what is learned.
IRRELEVANT = ("callbacks", "checkpoint", "checkpoint_interval", "device", "verbose")


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
        self.path, self.interval = path, interval
        self.identity = {
            name: repr(value) if not isinstance(value, np.random.RandomState) else "RandomState"
            for name, value in parameters.items()
            if name not in IRRELEVANT
        }
        check_writable(path)
        self.saved = read(path, "checkpoint") if path.exists() else None
        if self.saved is not None and not set(self.saved.header) >= {"identity", "seed", "ended"}:
            raise ValueError(f"{path} is not a checkpoint of a training; delete it")

    @property
    def seed(self) -> int | None:
        """The seed of the training in the file."""
        return None if self.saved is None else int(self.saved.header["seed"])

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
        try:
            _resume(net, self.saved)
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"the checkpoint {self.path} cannot be gone on from ({error}); delete it"
            ) from error

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Write, unless the epoch was cut short: it could not be gone on from."""
        if len(net.history) % self.interval == 0 and not net.interrupted:
            self._write(net, ended=net.stopped)

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Write the end."""
        if not net.interrupted:
            self._write(net, ended=True)

    def _write(self, net: Net, ended: bool) -> None:
        tensors, numbers = _state(net)
        header = {"identity": self.identity, "seed": net.recipe.seed, "ended": ended, **numbers}
        write(self.path, "checkpoint", tensors, header)


def _resume(net: Net, saved: Contents) -> None:
    header, tensors = saved.header, saved.tensors
    net.module_.load_state_dict(_part(tensors, "module"))
    _resume_optimizer(net, header["optimizer"], _part(tensors, "optimizer"))
    net.generator.set_state(tensors["generator"])
    net.module_.block.first_step = header["first_step"]
    if "first_step" in tensors:
        net.module_.block.first_step = tensors["first_step"].to(net.device)
    net.last_good.kept = _listed(tensors, "last_good", net.device)
    average, n_updates = _listed(tensors, "average", net.device), header["n_updates"]
    if net.average is not None:
        for own, theirs in zip(net.average.weights, average, strict=True):
            own.copy_(theirs)
        net.average.n_updates = n_updates
    net.n_retries, net.on_probation = header["n_retries"], header["on_probation"]
    net.stopped = header["ended"]
    for epoch in header["history"]:
        net.history.new_epoch()
        net.history[-1].update(epoch)
    stopping = dict(net.callbacks_).get("early_stopping")
    if stopping is not None:
        stopping.best_weights = _part(tensors, "best")
        for name, value in header["early_stopping"].items():
            setattr(stopping, name, value)


def _state(net: Net) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return all that the rest of the training depends on, as tensors and as JSON."""
    first_step = net.module_.block.first_step
    optimizer = net.optimizer_.state_dict()
    named: dict[str, dict[str, Any]] = {
        "module": net.module_.state_dict(),
        "optimizer": {
            f"{i}.{name}": value
            for i, of in optimizer["state"].items()
            for name, value in of.items()
        },
        "last_good": _numbered(net.last_good.kept),
        "average": _numbered([] if net.average is None else net.average.weights),
        "best": {},
    }
    numbers = {
        "optimizer": {
            "groups": [_plain(group) for group in optimizer["param_groups"]],
            "state": _plain(named["optimizer"]),
        },
        "first_step": None if isinstance(first_step, Tensor) else first_step,
        "n_retries": net.n_retries,
        "on_probation": net.on_probation,
        "n_updates": 0 if net.average is None else net.average.n_updates,
        "history": [_plain(epoch) for epoch in net.history],
    }
    stopping = dict(net.callbacks_).get("early_stopping")
    if stopping is not None:
        named["best"] = stopping.best_weights
        numbers["early_stopping"] = _plain(vars(stopping))
    tensors = {
        f"{part}.{name}": value.detach().cpu()
        for part, values in named.items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }
    tensors["generator"] = net.generator.get_state()
    if isinstance(first_step, Tensor):
        tensors["first_step"] = first_step.cpu()
    return tensors, numbers


def _resume_optimizer(net: Net, numbers: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**numbers["state"], **tensors}.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    groups = net.optimizer_.state_dict()["param_groups"]
    for group, saved in zip(groups, numbers["groups"], strict=True):
        group.update(saved)
    load_optimizer(net.optimizer_, {"state": state, "param_groups": groups})


def _numbered(tensors: list[Tensor]) -> dict[str, Tensor]:
    return {str(i): tensor for i, tensor in enumerate(tensors)}


def _listed(tensors: dict[str, Tensor], part: str, device: Any) -> list[Tensor]:
    """Return the tensors of a part that were numbered."""
    numbered = _part(tensors, part)
    return [numbered[str(i)].to(device) for i in range(len(numbered))]


def _part(tensors: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return the tensors of one part by the names they have in it."""
    return {
        name.removeprefix(f"{part}."): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{part}.")
    }


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what JSON gives back as it was."""
    return {
        name: value
        for name, value in values.items()
        if value is None or isinstance(value, bool | int | float | str)
    }

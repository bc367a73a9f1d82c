"""The state of a training as tensors and numbers, and a net that is put into it.

What is to be put into a net may have been made to deceive. It is first held against what a net of
the same recipe has after one step.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .._files import Contents
from .net import Net
from .optimizers import load_optimizer

__all__ = ["resume", "state_of"]

# By what names skorch's history has what `history_` is made of, with rows to validate by and
# without.
RECORDED = {
    "train_loss", "nfe_forward", "nfe_backward", "accepted_steps", "rejected_steps",
    "learning_rate", "retries", "dur",
}  # fmt: skip
VALIDATED = {"valid_loss", "valid_score"}


def state_of(net: Net) -> tuple[dict[str, Tensor], dict[str, Any]]:
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


def resume(net: Net, saved: Contents) -> None:
    """Put a net into a state, or raise an error of some kind if it is not one of this net."""
    tensors, numbers = saved
    _check(net, tensors, numbers)
    net.module_.load_state_dict(_part(tensors, "module"))
    _resume_optimizer(net, numbers["optimizer"], _part(tensors, "optimizer"))
    net.generator.set_state(tensors["generator"])
    net.module_.block.first_step = numbers["first_step"]
    if "first_step" in tensors:
        net.module_.block.first_step = tensors["first_step"].to(net.device)
    net.last_good.kept = _listed(tensors, "last_good", net.device)
    if net.average is not None:
        average = _listed(tensors, "average", net.device)
        for own, theirs in zip(net.average.weights, average, strict=True):
            own.copy_(theirs)
        net.average.n_updates = numbers["n_updates"]
    net.n_retries = numbers["n_retries"]
    net.on_probation = numbers["on_probation"]
    for epoch in numbers["history"]:
        net.history.new_epoch()
        net.history[-1].update(epoch)
    stopping = dict(net.callbacks_).get("early_stopping")
    if stopping is not None:
        found = numbers["early_stopping"]
        stopping.best_loss = found["best_loss"]
        stopping.best_epoch = found["best_epoch"]
        stopping.n_misses = found["n_misses"]
        stopping.best_weights = _part(tensors, "best")


def _resume_optimizer(net: Net, numbers: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**numbers["state"], **tensors}.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    groups = net.optimizer_.state_dict()["param_groups"]
    for group, saved in zip(groups, numbers["groups"], strict=True):
        group.update(saved)
    load_optimizer(net.optimizer_, {"state": state, "param_groups": groups})


# What is held against what.


def _check(net: Net, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    _, own = state_of(net)
    expected, rehearsed = state_of(_rehearsed(net))
    optimizer = numbers["optimizer"]
    history = numbers["history"]
    for name, right in {
        "optimizer": _alike(optimizer["groups"], own["optimizer"]["groups"])
        and _alike(optimizer["state"], rehearsed["optimizer"]["state"]),
        "first_step": numbers["first_step"] is None or _positive(numbers["first_step"]),
        "n_retries": _count(numbers["n_retries"]),
        "on_probation": type(numbers["on_probation"]) is bool,
        "n_updates": _count(numbers["n_updates"]),
        "history": 1 <= len(history) <= net.max_epochs
        and all(_is_epoch(epoch, net) for epoch in history),
        "early_stopping": _is_stopping(net, numbers, bool(_part(tensors, "best"))),
    }.items():
        if not right:
            raise ValueError(f"its {name} is not that of this training")
    _check_tensors(tensors, expected)


def _rehearsed(net: Net) -> Net:
    """Return a net of the same recipe after a step, with which an optimizer gets its state."""
    twin = Net(net.recipe, net.device)
    for parameter in twin.module_.parameters():
        parameter.grad = torch.ones_like(parameter)
    twin.optimizer_.step(lambda: 0.0)
    twin.last_good.take()
    return twin


def _check_tensors(tensors: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    # They are kept before the first step, when the optimizer has none yet.
    n_kept = len(_part(tensors, "last_good"))
    early = {f"last_good.{i}" for i in range(n_kept, len(_part(expected, "last_good")))}
    forms = {name: _form(tensor) for name, tensor in expected.items() if name not in early}
    if _part(tensors, "best"):
        module = _part(expected, "module")
        forms |= {f"best.{name}": _form(tensor) for name, tensor in module.items()}
    if "first_step" in tensors and _positive(tensors["first_step"].item()):
        forms["first_step"] = (torch.Size(), next(iter(_part(expected, "module").values())).dtype)
    found = {name: _form(tensor) for name, tensor in tensors.items()}
    if found != forms:
        strange = sorted(n for n in found.keys() | forms.keys() if found.get(n) != forms.get(n))
        raise ValueError(f"its tensors are not those of this training, such as {strange[0]}")
    # By the number of steps an optimizer may divide.
    if not all(step.item() >= 1 for name, step in tensors.items() if name.endswith(".step")):
        raise ValueError("its optimizer has not taken a step")


def _form(tensor: Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype


def _alike(found: Any, own: Any) -> bool:
    """Return whether two values are the same but for numbers in dicts and lists."""
    if isinstance(own, dict):
        # The torch that wrote it may have had fewer settings.
        return found.keys() <= own.keys() and all(_alike(found[name], own[name]) for name in found)
    if isinstance(own, list):
        return len(found) == len(own) and all(map(_alike, found, own))
    if type(own) in (int, float):
        return _finite(found)
    return type(found) is type(own) and found == own


def _is_epoch(epoch: dict[str, Any], net: Net) -> bool:
    """Return whether it is a plain part of skorch's history."""
    validated = VALIDATED if "validator" in dict(net.callbacks_) else set()
    if "batches" in epoch or not RECORDED | validated <= epoch.keys():
        return False
    return (
        _plain(epoch) == epoch
        and all(_finite(epoch[name]) for name in RECORDED)
        and all(type(epoch[name]) in (int, float) for name in validated)
    )


def _is_stopping(net: Net, numbers: dict[str, Any], has_best: bool) -> bool:
    stopping = dict(net.callbacks_).get("early_stopping")
    if stopping is None:
        return "early_stopping" not in numbers and not has_best
    found = numbers["early_stopping"]
    return (
        found.keys() == _plain(vars(stopping)).keys()
        and type(found["best_loss"]) in (int, float)
        and not math.isnan(found["best_loss"])
        and _count(found["best_epoch"])
        and found["best_epoch"] <= len(numbers["history"])
        and _count(found["n_misses"])
        and has_best is (found["best_epoch"] > 0)
    )


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _positive(value: Any) -> bool:
    return _finite(value) and value > 0


def _count(value: Any) -> bool:
    return type(value) is int and value >= 0


# Tensors by names.


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

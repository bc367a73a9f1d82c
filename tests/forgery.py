"""Files with a right checksum and hostile contents, and what comes of them in a process of its own.

Each is a sound file but for one thing: a value in its header, or a tensor.
"""

import contextlib
import copy
import functools
import hashlib
import io
import json
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_iris
from skorch.callbacks import Callback

import sknode
from sknode import SolverError, TrainingError
from sknode._files import NO_DIGEST

X, Y = load_iris(return_X_y=True)
X, Y = X[::2], Y[::2]
QUICK = {"max_epochs": 4, "random_state": 0, "batch_size": 40}
ROWS = {**QUICK, "hidden_layer_sizes": (6,), "lift_dim": 5, "n_members": 2}
IMAGES = {**QUICK, "n_filters": 3, "image_shape": (2, 2), "n_downsamplings": 1}
# Neither a hostile size nor a hostile number of steps is the fault of a file that says it openly,
# but a fit with it takes its time.
SIZES = {"max_steps", "n_steps", "n_blocks", "augment_dim", *ROWS, *IMAGES}
ESTIMATORS: dict[str, dict[str, Any]] = {
    "NODEClassifier": {**ROWS, "early_stopping": True, "class_weight": {0: 1.0, 1: 2.0}},
    "NODERegressor": {**ROWS, "solver": "dopri5", "tolerance": (1e-2, 1e-3), "max_steps": 50},
    "ResNetClassifier": {**ROWS, "n_blocks": 2, "optimizer": "sgd"},
    "ResNetRegressor": {**ROWS, "shared_weights": True, "dtype": "float64"},
    "NODEImageClassifier": {**IMAGES, "solver": "bosh3", "max_steps": 50, "ema_decay": 0.9},
    "ResNetImageClassifier": {**IMAGES, "n_blocks": 2, "ema_decay": None},
}
ENDED = {"NODEClassifier", "ResNetImageClassifier"}
DEEP, TWICE = "DEEP", "TWICE"
HOSTILE: list[Any] = [
    None, True, False, 0, -1, 1, 3, 3.5, -0.0, 10**9, 2**31, 2**63, 10**400, -(10**400), 1e308,
    5e-324, float("nan"), float("inf"), -float("inf"), "", "a", "1", "os.system", "__class__",
    "../../elsewhere", "a\0b", "\ud800", "n" * 100_000, [], {}, [[]], [None], [1.5], [True],
    ["a", 1], [1] * 100_000, [[1]] * 1000, DEEP, {"dict": [[[], 1]]}, {"dict": [["a", 1]]},
    {"tuple": [1, 1]}, {"tuple": None}, {"scaling": [1, 2, 3]}, {"a": 1}, "<U500000000", "|V8",
    ">f8", "|O", "(1000000000,)f8", "M8[s]",
    {"array": ["a"], "dtype": "<U500000000", "scalar": False},
    {"array": "a", "dtype": "<U500000000", "scalar": True},
    {"array": [[0] * 100] * 100, "dtype": "<i8", "scalar": False},
    {"array": [0], "dtype": "<f2", "scalar": False},
]  # fmt: skip


class Outcome(NamedTuple):
    """What came of a forged file."""

    change: str
    refused: bool
    seconds: float
    megabytes: float
    fault: str | None


class File(NamedTuple):
    """A file of sknode, taken apart: its header, and by name dtype, shape and bytes of tensors."""

    header: dict[str, Any]
    tensors: dict[str, tuple[str, list[int], bytes]]

    @classmethod
    def of(cls, data: bytes) -> "File":
        start = 8 + int.from_bytes(data[:8], "little")
        entries = json.loads(data[8:start])
        header = json.loads(entries.pop("__metadata__")["sknode"])
        tensors = {}
        for name, entry in entries.items():
            first, last = (start + offset for offset in entry["data_offsets"])
            tensors[name] = entry["dtype"], entry["shape"], data[first:last]
        return cls(header, tensors)

    def joined(self) -> bytes:
        text = json.dumps(self.header).replace(f'"{DEEP}"', "[" * 50_000 + "]" * 50_000)
        text = re.sub(f'"{TWICE}": ', '"kind": 1, "kind": ', text)
        entries: dict[str, Any] = {"__metadata__": {"sknode": text, "sha256": NO_DIGEST}}
        place, body = 0, b""
        for name, (dtype, shape, part) in self.tensors.items():
            offsets = [place, place + len(part)]
            entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
            place, body = offsets[1], body + part
        head = json.dumps(entries, separators=(",", ":")).encode()
        data = len(head).to_bytes(8, "little") + head + body
        return data.replace(NO_DIGEST.encode(), hashlib.sha256(data).hexdigest().encode(), 1)


# Sound files.


class CutOffError(Exception):
    """What stands for a power cut."""


class CutOff(Callback):
    """Ends a training in its third epoch as nothing that is caught would."""

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == 3:
            raise CutOffError


def trained(name: str, **more: Any) -> Any:
    estimator = getattr(sknode, name)(**ESTIMATORS[name], **more)
    return estimator.fit(X, Y)


@functools.cache
def model(name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        sknode.save(trained(name), Path(folder, "x"))
        return Path(folder, "x").read_bytes()


@functools.cache
def checkpoint(name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        more = {} if name in ENDED else {"callbacks": [CutOff()]}
        with contextlib.suppress(CutOffError):
            trained(name, checkpoint=Path(folder, "x"), checkpoint_interval=2, **more)
        return Path(folder, "x").read_bytes()


# Hostile ones.


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Yield the way to every value in the header."""
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in parts:
        yield (*path, key)
        if isinstance(part, dict | list):
            yield from places(part, (*path, key))


def change_value(file: File, place: tuple, rng: random.Random) -> str:
    parent = functools.reduce(lambda value, key: value[key], place[:-1], file.header)
    key, value = place[-1], rng.choice(HOSTILE)
    kind = rng.choice(["replace"] * 5 + ["remove", "add", "twice"])
    if kind == "replace":
        parent[key] = value
    elif kind == "remove":
        del parent[key]
    elif isinstance(parent, list):
        parent.insert(key, parent[key] if kind == "twice" else value)
    elif kind == "twice":
        parent[TWICE] = value
    else:
        parent[rng.choice(["more", "__class__", "best_weights", "batches", "params"])] = value
    return f"{kind} {place} {str(value)[:50]!r}"


def change_tensor(file: File, name: str, rng: random.Random) -> str:
    dtype, shape, data = file.tensors[name]
    kind = rng.choice(
        ["dtype", "shape", "flat", "more", "remove", "add", "rename", "fill", "empty"]
    )
    value: Any = None
    if kind == "dtype":
        value = rng.choice(["F64", "I32", "U8", "BOOL", "F16", "BF16", "C64", "F8_E4M3", "I64"])
        file.tensors[name] = value, shape, data
    elif kind == "shape":
        value = rng.choice([[1, *shape], [*shape, 1], shape[::-1], [10**9], [2**62, 4], [-1], [0]])
        file.tensors[name] = dtype, value, data
    elif kind == "flat":
        file.tensors[name] = "U8", [len(data)], data
    elif kind == "more":
        file.tensors[name] = dtype, [2, *shape], data * 2
    elif kind == "remove":
        del file.tensors[name]
    elif kind == "add":
        value = rng.choice(["more", f"{name}.more", "last_good.99", "best.more", "first_step", ""])
        file.tensors[value] = dtype, shape, data
    elif kind == "rename":
        file.tensors["more"] = file.tensors.pop(name)
    elif kind == "fill":
        value = rng.choice(["nan", "huge", "negative", "ones"])
        filler = {"nan": b"\xff", "huge": b"\x7e", "negative": b"\xbf", "ones": b"\x01"}[value]
        file.tensors[name] = dtype, shape, filler * len(data)
    else:
        file.tensors[name] = dtype, [0, 2**40], b""
    return f"{kind} {name} {value}"


def forged(sound: bytes, seed: int, numbers: range) -> Iterator[tuple[str, bytes]]:
    """Yield forged files: every value and every tensor has its turn."""
    original = File.of(sound)
    ways: list[tuple[Callable, Any]] = [(change_value, way) for way in places(original.header)]
    tensors = [(change_tensor, name) for name in original.tensors]
    ways += tensors * (1 + len(ways) // len(tensors) // 3)
    random.Random(seed).shuffle(ways)
    for number in numbers:
        rng = random.Random(f"{seed} {number}")
        file = copy.deepcopy(original)
        change, way = ways[number % len(ways)]
        what = change(file, way, rng)
        yield what, file.joined()


# What comes of them.


def predict(estimator: Any) -> None:
    rows = np.random.default_rng(0).normal(size=(5, estimator.n_features_in_))
    if hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_
    try:
        found = estimator.predict(rows)
        if isinstance(estimator, ClassifierMixin):
            found = estimator.predict_proba(rows)
    except SolverError:
        return
    assert np.isfinite(found).all()


def load_model(name: str, path: Path) -> Callable[[], None]:
    loaded = sknode.load(path)

    def use() -> None:
        assert type(loaded).__name__ in ESTIMATORS
        assert loaded.checkpoint is None
        assert not loaded.callbacks
        predict(loaded)
        own = getattr(sknode, type(loaded).__name__)(**ESTIMATORS[type(loaded).__name__])
        sizes = {name: value for name, value in own.get_params().items() if name in SIZES}
        with contextlib.suppress(ValueError, TypeError, TrainingError):
            loaded.set_params(**{**sizes, "max_epochs": 1}).fit(X, Y)

    return use


def resume_checkpoint(name: str, path: Path) -> Callable[[], None]:
    estimator = getattr(sknode, name)(**ESTIMATORS[name], checkpoint=path, checkpoint_interval=2)
    before = path.read_bytes()
    try:
        estimator.fit(X, Y)
    except ValueError:
        assert not hasattr(estimator, "net_")
        assert path.read_bytes() == before
        raise
    except TrainingError:
        return lambda: None
    return lambda: predict(estimator)


def outcome(what: str, name: str, path: Path, attempt: Callable) -> Outcome:
    """Attempt it, and say whether the file was refused, or what is wrong with how it was taken."""
    # The peak of the memory counts from here.
    Path("/proc/self/clear_refs").write_text("5")
    WRITTEN.clear()
    before, start, fault, use = memory("VmRSS"), time.process_time(), None, None
    try:
        use = attempt(name, path)
    except ValueError:
        pass
    except BaseException as error:
        fault = f"{type(error).__name__}: {error}"[:500]
    seconds, megabytes = time.process_time() - start, memory("VmHWM") - before
    try:
        if use is not None:
            use()
    except BaseException as error:
        fault = f"in use {type(error).__name__}: {error}"[:500]
    elsewhere = [written for written in WRITTEN if Path(written).parent != path.parent]
    if elsewhere or os.listdir(path.parent) != [path.name]:
        fault = f"it wrote {elsewhere} {os.listdir(path.parent)}"
    return Outcome(f"{name} {what}", use is None, seconds, megabytes, fault)


def memory(kind: str) -> float:
    found = re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1000


WRITTEN: list[str] = []


def watch(event: str, arguments: tuple) -> None:
    """Take note of files that are opened to be written to."""
    if event == "open" and isinstance(arguments[0], str) and arguments[2] & os.O_ACCMODE:
        WRITTEN.append(arguments[0])


sys.addaudithook(watch)


def room_to_load() -> tuple[float, float]:
    """Return the size of a large file, and what memory it takes to load it, in megabytes."""
    wide = sknode.NODEClassifier(n_members=1, hidden_layer_sizes=(2000, 2000), max_epochs=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x")
        sknode.save(wide.fit(X, Y), path)
        Path("/proc/self/clear_refs").write_text("5")
        before = memory("VmRSS")
        sknode.load(path)
        return path.stat().st_size / 1e6, memory("VmHWM") - before


def outcomes(kind: str, name: str, seed: int, numbers: range) -> list[Outcome]:
    """Forge files of an estimator, and attempt each of them."""
    torch.set_num_threads(1)
    sound, attempt = {
        "model": (model, load_model),
        "checkpoint": (checkpoint, resume_checkpoint),
    }[kind]
    data, found = sound(name), []
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = Path(folder, "x")
        path.write_bytes(data)
        found.append(outcome("sound", name, path, attempt))
        for what, forgery in forged(data, seed, numbers):
            path.write_bytes(forgery)
            found.append(outcome(what, name, path, attempt))
    return found

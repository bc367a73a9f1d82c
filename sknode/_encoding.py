"""Numbers, names and what consists of them, as JSON and back."""

import os
import re
from typing import Any

import numpy as np
import torch

from .training.scaling import Scaling

__all__ = ["decode", "encode"]

DTYPE = re.compile(r"[<>|](b1|[iu][1248]|f[248]|U[0-9]+|O)")
# An array of texts has as much room for each as for the longest, and for more if its dtype says
# so: a few bytes in a file could ask for any amount of memory.
MOST_PADDING = 2**24
BYTES_PER_CHARACTER = 4


def encode(value: Any, name: str) -> Any:
    """Return a value as JSON, which `decode` turns back into itself; errors call it `name`."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Scaling):
        center, scale, clips = value
        return {"scaling": [encode(center, name), encode(scale, name), clips]}
    if isinstance(value, np.ndarray | np.generic) and DTYPE.fullmatch(value.dtype.str):
        parts = encode(value.tolist(), name)
        return {"array": parts, "dtype": value.dtype.str, "scalar": value.ndim == 0}
    if isinstance(value, list):
        return [encode(part, name) for part in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(part, name) for part in value]}
    if isinstance(value, dict):
        return {"dict": [[encode(k, name), encode(v, name)] for k, v in value.items()]}
    if isinstance(value, torch.device | os.PathLike):
        return str(value)
    raise ValueError(
        f"{name} holds {value!r}, which only code could bring back; for a hyperparameter that "
        f"predictions do not need, call set_params({name}=None) first, or use joblib"
    )


def decode(value: Any) -> Any:
    """Return what was encoded, or raise an error of some kind if it is no such value."""
    if _padding(value) > MOST_PADDING:
        raise ValueError(
            f"an array of texts takes more than {MOST_PADDING} bytes beyond what they have; make "
            "it one of objects"
        )
    return _decoded(value)


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(part) for part in value]
    if not isinstance(value, dict):
        return value
    if "scaling" in value:
        center, scale, clips = value["scaling"]
        return Scaling(_decoded(center), _decoded(scale), clips)
    if "array" in value:
        return _array(_decoded(value["array"]), _dtype(value), value["scalar"])
    if "tuple" in value:
        return tuple(_decoded(part) for part in value["tuple"])
    return {_decoded(k): _decoded(v) for k, v in value["dict"]}


def _array(parts: Any, dtype: np.dtype, scalar: bool) -> Any:
    array = np.array(parts, dtype=dtype)
    if array.tolist() != parts or scalar is not (array.ndim == 0):
        raise ValueError(f"an array of {dtype} does not hold what it was made of")
    return array[()] if scalar else array


def _dtype(value: dict[str, Any]) -> np.dtype:
    if not DTYPE.fullmatch(value["dtype"]):
        raise ValueError(f"an array of {value['dtype']!r} is not among what can be saved")
    return np.dtype(value["dtype"])


def _padding(value: Any) -> int:
    """Return the number of bytes that arrays of texts in a value have beyond the texts."""
    if isinstance(value, list):
        return sum(map(_padding, value))
    if not isinstance(value, dict):
        return 0
    if "array" not in value or _dtype(value).kind != "U":
        return sum(map(_padding, value.values()))
    texts = [value["array"]] if value["scalar"] else value["array"]
    if not all(type(text) is str for text in texts):
        raise ValueError("an array of texts does not hold what it was made of")
    width = _dtype(value).itemsize
    return sum(max(0, width - BYTES_PER_CHARACTER * len(text)) for text in texts)

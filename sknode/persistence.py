"""Fitted estimators in files that hold numbers and names, and nothing that could run."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from . import estimators
from ._files import Contents, check_writable, read, write
from ._versions import versions
from .estimators._base import BaseNetwork
from .estimators._params import check_params, device_or_cpu, resolve_device
from .estimators._scaling import Scaling
from .estimators._training import Net, Recipe, make_net

__all__ = ["load", "save"]

CLASSES: dict[str, type[BaseNetwork]] = {
    name: getattr(estimators, name) for name in estimators.__all__
}
FITTED = (
    "n_features_in_", "feature_names_in_", "scaling_", "periodic_features_", "classes_",
    "target_type_", "target_scaling_", "link_", "image_shape_", "history_", "n_iter_",
    "best_epoch_", "loss_", "n_parameters_",
)  # fmt: skip
# What of a network is told by the data.
FIXED = {"n_features", "n_outputs", "periodic_features", "image_shape"}
DTYPES = {"float32": torch.float32, "float64": torch.float64}


def save(estimator: BaseNetwork, path: str | os.PathLike) -> None:
    """Write a fitted estimator to a file.

    The file is in the safetensors format: the weights, and a header with the class, the
    hyperparameters, what was learned beside the weights, and versions. It is written in one step:
    whatever happens, `path` holds what it held before or all of the new file. The state of the
    optimizer is not in it.

    Parameters
    ----------
    estimator : NODEClassifier or another estimator of sknode
        The fitted estimator.
    path : str or path
        Where to; by custom the name ends in ``.safetensors``. A link is followed. A new file has
        the permissions that any other would have, one that is replaced keeps its own.

    Raises
    ------
    TypeError
        If it is no estimator of sknode.
    ValueError
        If a hyperparameter is an object that only code could bring back, such as a callback, or
        there cannot be a file of that name: a folder, a pipe or a device is there, or it is too
        long.
    NotFittedError
        If it has not been fitted.
    OSError
        If the file cannot be written; the message says what is there now.

    See Also
    --------
    load : The way back.

    Examples
    --------
    >>> import os, tempfile
    >>> import sknode
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = sknode.NODEClassifier(max_epochs=1, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sknode.save(classifier, os.path.join(folder, "iris.safetensors"))
    ...     again = sknode.load(os.path.join(folder, "iris.safetensors"))
    >>> bool((again.predict_proba(X) == classifier.predict_proba(X)).all())
    True
    """
    name = type(estimator).__name__
    if CLASSES.get(name) is not type(estimator):
        raise TypeError(
            f"sknode.save writes {', '.join(CLASSES)}, got {name}; of a pipeline, save the "
            "step that is one, or use joblib for the whole"
        )
    check_is_fitted(estimator)
    path = Path(path)
    check_writable(path)
    recipe = estimator.net_.recipe
    header = {
        "class": name,
        "versions": versions(),
        "parameters": {
            parameter: _encoded(value, parameter)
            for parameter, value in estimator.get_params(deep=False).items()
        },
        "attributes": {
            attribute: _encoded(getattr(estimator, attribute), attribute)
            for attribute in FITTED
            if hasattr(estimator, attribute)
        },
        "network": _encoded(recipe.network, "network"),
        "dtype": str(recipe.dtype).removeprefix("torch."),
        "seed": recipe.seed,
    }
    weights = {name: w.cpu() for name, w in estimator.net_.module_.state_dict().items()}
    write(path, "model", weights, header)


def load(path: str | os.PathLike, device: str | torch.device | None = None) -> BaseNetwork:
    """Read a fitted estimator from a file that `save` wrote.

    No code in the file is run: there is none. Its checksum is verified, and all that it says is
    held against what the estimators know.

    Parameters
    ----------
    path : str or path
        The file.
    device : str, torch.device or None, default=None
        Where the network is to live, which the hyperparameter `device` then says. None: where it
        lived, or on the CPU if that is not here.

    Returns
    -------
    NODEClassifier or another estimator of sknode
        It predicts what the saved one predicted.

    Raises
    ------
    ValueError
        If it is no regular file, truncated, altered, of a newer format, or not of sknode, or the
        device is not there.
    OSError
        If there is no such file, or it cannot be read.

    See Also
    --------
    save : How to write one.

    Examples
    --------
    >>> import os, tempfile
    >>> import sknode
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = sknode.NODEClassifier(max_epochs=1, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "iris.safetensors")
    ...     sknode.save(classifier, path)
    ...     again = sknode.load(path, device="cpu")
    >>> again
    NODEClassifier(max_epochs=1, random_state=0)
    >>> bool((again.predict(X) == classifier.predict(X)).all())
    True
    """
    path = Path(path)
    contents = read(path, "model")
    try:
        return _estimator(contents, device)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be loaded: {error}") from error


def _estimator(contents: Contents, device: str | torch.device | None) -> BaseNetwork:
    header = contents.header
    make = CLASSES.get(header["class"])
    if make is None:
        raise ValueError(f"its class {header['class']!r} is not one of {list(CLASSES)}")
    # Hyperparameters that an older version did not have take their defaults.
    estimator = make()
    parameters = {name: _decoded(value) for name, value in header["parameters"].items()}
    _refuse_unknown("hyperparameters", set(parameters) - set(estimator.get_params(deep=False)))
    estimator.set_params(**parameters)
    check_params(estimator)
    _refuse_unknown("attributes", set(header["attributes"]) - set(FITTED))
    for name, value in header["attributes"].items():
        setattr(estimator, name, _decoded(value))
    estimator.net_ = _net(estimator, contents, device)
    if device is not None:
        estimator.set_params(device=device)
    return estimator


def _net(estimator: Any, contents: Contents, device: str | torch.device | None) -> Net:
    header, weights = contents.header, contents.tensors
    dtype = DTYPES[header["dtype"]]
    # The number of rows only says how large batches are, which predictions do not ask.
    recipe = estimator._recipe(dtype, n_rows=1, seed=int(header["seed"]))
    network = _decoded(header["network"])
    _check_network(network, recipe, estimator, weights)
    here = device_or_cpu(estimator.device) if device is None else resolve_device(device)
    net = make_net(recipe._replace(network=network), here)
    net.module_.load_state_dict(weights)
    return net


def _check_network(
    network: dict[str, Any],
    recipe: Recipe,
    estimator: Any,
    weights: dict[str, torch.Tensor],
) -> None:
    """Refuse what does not fit together, before room is made for the weights."""
    _refuse_unknown("settings of the network", set(network) ^ set(recipe.network))
    for name in FIXED & set(network):
        if network[name] != recipe.network[name]:
            raise ValueError(
                f"its network has {name}={network[name]}, where {recipe.network[name]} belong"
            )
    center, scale, _ = estimator.scaling_
    if not len(center) == len(scale) == estimator.n_features_in_:
        raise ValueError("its scaling_ has another number of features than its network")
    with torch.device("meta"):
        found = recipe.build(**network).to(recipe.dtype).state_dict()
    if {n: (w.shape, w.dtype) for n, w in found.items()} != {
        n: (w.shape, w.dtype) for n, w in weights.items()
    }:
        raise ValueError("its weights are not those of the network that it describes")


def _refuse_unknown(what: str, names: set[str]) -> None:
    if names:
        raise ValueError(f"it has {what} that are not known or lacks some: {sorted(names)}")


def _encoded(value: Any, name: str) -> Any:
    """Return a value as JSON, which `_decoded` turns back into itself."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Scaling):
        center, scale, clips = value
        return {"scaling": [_encoded(center, name), _encoded(scale, name), clips]}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufUO":
        parts = _encoded(value.tolist(), name)
        return {"array": parts, "dtype": value.dtype.str, "scalar": value.ndim == 0}
    if isinstance(value, list):
        return [_encoded(part, name) for part in value]
    if isinstance(value, tuple):
        return {"tuple": [_encoded(part, name) for part in value]}
    if isinstance(value, dict):
        return {"dict": [[_encoded(k, name), _encoded(v, name)] for k, v in value.items()]}
    if isinstance(value, torch.device | os.PathLike):
        return str(value)
    raise ValueError(
        f"{name} holds {value!r}, which only code could bring back; for a hyperparameter that "
        f"predictions do not need, call set_params({name}=None) first, or use joblib"
    )


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(part) for part in value]
    if not isinstance(value, dict):
        return value
    if "scaling" in value:
        return Scaling(*map(_decoded, value["scaling"]))
    if "array" in value:
        dtype = np.dtype(value["dtype"])
        if dtype.kind not in "biufUO":
            raise ValueError(f"an array of {dtype} is not among what can be saved")
        array = np.array(_decoded(value["array"]), dtype=dtype)
        return array[()] if value["scalar"] else array
    if "tuple" in value:
        return tuple(_decoded(part) for part in value["tuple"])
    return {_decoded(k): _decoded(v) for k, v in value["dict"]}

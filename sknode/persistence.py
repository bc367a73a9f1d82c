"""Fitted estimators in files that hold numbers and names, and nothing that could run."""

import json
import os
from copy import copy
from pathlib import Path
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from . import estimators
from ._encoding import decode, encode
from ._files import check_writable, read, refused, write
from ._versions import versions
from .estimators.attributes import attributes_of, check_attributes
from .estimators.base import BaseNetwork
from .estimators.parameters import check_params
from .estimators.recipes import recipe_of
from .training.devices import device_or_cpu, resolve_device
from .training.net import Net
from .training.recipe import Recipe
from .training.seeds import N_SEEDS

__all__ = ["load", "save"]

CLASSES: dict[str, type[BaseNetwork]] = {
    name: getattr(estimators, name) for name in estimators.__all__
}
# A later fit would write where the file says.
LEFT_OUT = {"checkpoint"}
# These settings of a network follow from the data.
FIXED = {"n_features", "n_outputs", "periodic_features", "image_shape"}
DTYPES = {"float32": torch.float32, "float64": torch.float64}


def save(estimator: BaseNetwork, path: str | os.PathLike) -> None:
    """Write a fitted estimator to a file.

    The file is in the safetensors format: the weights, and a header with the class, the
    hyperparameters, what was learned beside the weights, and versions. It is written in one step:
    whatever happens, `path` holds what it held before or all of the new file. The state of the
    optimizer and the path of a `checkpoint` are not in it.

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
        If a hyperparameter is an object that only code could bring back, such as a callback, if
        `load` would refuse the estimator, for a hyperparameter that is not allowed, say, or if
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
    header = _header(estimator)
    weights = {name: w.cpu() for name, w in estimator.net_.module_.state_dict().items()}
    with refused(f"the {name} cannot be saved"):
        _described(json.loads(json.dumps(header)), weights)
    write(path, "model", weights, header)


def load(path: str | os.PathLike, device: str | torch.device | None = None) -> BaseNetwork:
    """Read a fitted estimator from a file that `save` wrote.

    No code in the file is run: there is none. Its checksum, which shows damage, is verified. It is
    no signature, so that the file may be a stranger's: all that it says is held against what the
    estimators know before anything is made of it. No path is taken from it either: `checkpoint` is
    None, lest a later fit write where the file says.

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
        It predicts what the saved one predicted, and has its hyperparameters but for `checkpoint`
        and what `device` changes.

    Raises
    ------
    ValueError
        If it is no regular file, truncated, altered, of a newer format, or not of sknode, if it
        holds what no fit gives, or if the device is not there.
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
    weights, header = read(path, "model")
    with refused(f"{path} cannot be loaded"):
        estimator, recipe = _described(header, weights)
        here = device_or_cpu(estimator.device) if device is None else resolve_device(device)
        estimator.net_ = _net(recipe, here, weights)
    if device is not None:
        estimator.set_params(device=device)
    return estimator


def _header(estimator: BaseNetwork) -> dict[str, Any]:
    """Return all that is in a file but the weights."""
    parameters = estimator.get_params(deep=False)
    recipe = estimator.net_.recipe
    return {
        "class": type(estimator).__name__,
        "versions": versions(),
        "parameters": {
            name: encode(value, name) for name, value in parameters.items() if name not in LEFT_OUT
        },
        "attributes": {
            name: encode(getattr(estimator, name), name)
            for name in attributes_of(type(estimator))
            if hasattr(estimator, name)
        },
        "network": encode(recipe.network, "network"),
        "dtype": str(recipe.dtype).removeprefix("torch."),
        "seed": recipe.seed,
    }


def _described(header: dict[str, Any], weights: dict[str, Tensor]) -> tuple[Any, Recipe]:
    """Return the estimator that a header describes, and the recipe of its net.

    All is held against what the estimators know before there is room for the weights.
    """
    make = CLASSES.get(header["class"])
    if make is None:
        raise ValueError(f"its class {header['class']!r} is not one of {list(CLASSES)}")
    estimator: Any = make()
    _set_parameters(estimator, header["parameters"])
    attributes = _decoded(header["attributes"])
    check_attributes(make, attributes)
    vars(estimator).update(attributes)
    recipe = _recipe(estimator, header)
    _check_weights(estimator, recipe, weights)
    return estimator, recipe


def _set_parameters(estimator: BaseNetwork, found: dict[str, Any]) -> None:
    known = set(estimator.get_params(deep=False))
    _refuse_unknown("hyperparameters", set(found) - known)
    # Those that an older version did not have keep their defaults.
    kept = {name: value for name, value in found.items() if name not in LEFT_OUT}
    estimator.set_params(**_decoded(kept))
    check_params(estimator)


def _decoded(values: dict[str, Any]) -> dict[str, Any]:
    return decode({"dict": [[name, value] for name, value in values.items()]})


def _recipe(estimator: Any, header: dict[str, Any]) -> Recipe:
    """Return the recipe of the net.

    Its network is that of the fit, whose hyperparameters may have been other ones.
    """
    seed = header["seed"]
    network = decode(header["network"])
    if type(seed) is not int or not 0 <= seed < N_SEEDS:
        raise ValueError(f"its seed must be an integer from 0 to 2**32 - 1, got {seed!r}")
    # The number of rows only says how large batches are, which predictions do not ask.
    recipe = recipe_of(estimator, DTYPES[header["dtype"]], n_rows=1, seed=seed)
    fitted = copy(estimator).set_params(**_settings(estimator, network))
    check_params(fitted)
    own = recipe_of(fitted, recipe.dtype, n_rows=1, seed=seed).network
    _refuse_unknown("settings of the network", set(network) ^ set(own))
    for name, value in own.items():
        # 1, 1.0 and True are the same but to a network.
        if repr(network[name]) != repr(value):
            raise ValueError(f"its network has {name}={network[name]!r}, where {value!r} belong")
    return recipe._replace(network=own)


def _settings(estimator: BaseNetwork, network: dict[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters that lead to a network."""
    names = set(estimator.get_params(deep=False))
    settings = {name: network[name] for name in (names - FIXED) & set(network)}
    settings["kinetic_penalty"] = float(network["kinetic_energy"])
    if "shared_weights" in names:
        shared = "n_blocks" not in network
        settings["shared_weights"] = shared
        settings["n_blocks"] = network["n_steps" if shared else "n_blocks"]
    return settings


def _check_weights(estimator: Any, recipe: Recipe, weights: dict[str, Tensor]) -> None:
    """Refuse weights that are not those of the network, before room is made for it."""
    network = recipe.network
    n_fields = network.get("n_blocks") or 1
    n_hidden = len(network.get("hidden_layer_sizes", ()))
    n_layers = n_fields * (n_hidden + 1) + network.get("n_downsamplings", 0)
    expected = {}
    # Of many layers even a network without numbers takes its time.
    if 2 * n_layers <= len(weights):
        with torch.device("meta"):
            expected = recipe.build(**network).to(recipe.dtype).state_dict()
    if _forms(expected) != _forms(weights):
        raise ValueError("its weights are not those of the network that it describes")
    if estimator.n_parameters_ != sum(w.numel() for w in weights.values()):
        raise ValueError("its n_parameters_ is not the number of its weights")


def _forms(tensors: dict[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def _net(recipe: Recipe, device: torch.device, weights: dict[str, Tensor]) -> Net:
    # An average of the weights is of use to a training alone, and takes as much room as they do.
    net = Net(recipe._replace(ema_decay=None), device)
    net.module_.load_state_dict(weights)
    return net


def _refuse_unknown(what: str, names: set[str]) -> None:
    if names:
        raise ValueError(f"it has {what} that are not known or lacks some: {sorted(names)}")

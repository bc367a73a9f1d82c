"""Each attribute that a fit leaves in an estimator once: what it is, and what it must be.

`check_attributes` holds to it what comes from a file; `documented` writes it into docstrings.
"""

import math
from collections.abc import Callable, Mapping
from reprlib import repr as shortened
from typing import Any, NamedTuple

import numpy as np

from ..training.scaling import Scaling
from ..training.trainer import ENTRIES
from ._hyperparameters import fields_of
from .classes import MULTILABEL

__all__ = ["ATTRIBUTES", "attributes_of", "check_attributes"]

# X has names of its columns or not, and there are rows to validate by or not.
OPTIONAL = {"feature_names_in_"}
VALIDATION = {"validation_loss", "validation_score"}

Attributes = Mapping[str, Any]


class Attribute(NamedTuple):
    """One attribute.

    Attributes
    ----------
    type : str
        Its type, for the docstring.
    description : str
        What it is.
    must_be : str
        Its constraint in words, for "`name` must be ...".
    allowed : callable
        Whether a value satisfies the constraint, given all attributes. Those that are further up
        in the table have been found to be right by then.
    """

    type: str
    description: str
    must_be: str
    allowed: Callable[[Any, Attributes], bool]


def _integer(value: Any, least: int, most: float = math.inf) -> bool:
    return type(value) is int and least <= value <= most


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _array(value: Any, kinds: str, length: int) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in kinds and value.shape == (length,)


def _ascending(value: np.ndarray) -> bool:
    return np.array_equal(np.unique(value), value)


def _names(value: Any, of: Attributes) -> bool:
    return _array(value, "O", of["n_features_in_"]) and all(type(name) is str for name in value)


def _scaling(value: Any, length: int) -> bool:
    if not isinstance(value, Scaling) or type(value.clips) is not bool:
        return False
    numbers = (value.center, value.scale)
    if not all(_array(part, "f", length) and np.isfinite(part).all() for part in numbers):
        return False
    return all(part.dtype == np.float64 for part in numbers) and bool((value.scale > 0).all())


def _target_scaling(value: Any, of: Attributes) -> bool:
    length = len(value.center)
    return length > 0 and _scaling(value, length) and not value.clips


def _periodic_features(value: Any, of: Attributes) -> bool:
    if not _array(value, "i", len(value)) or not _ascending(value):
        return False
    return not value.size or bool(value[0] >= 0 and value[-1] < of["n_features_in_"])


def _image_shape(value: Any, of: Attributes) -> bool:
    sizes = type(value) is tuple and len(value) == 3 and all(_integer(n, 1) for n in value)
    return sizes and math.prod(value) == of["n_features_in_"]


def _classes(value: Any, of: Attributes) -> bool:
    if not _array(value, "biufUO", len(value)) or not value.size:
        return False
    labels = value.dtype.kind != "O" or {*map(type, value)} <= {str, int, float, bool}
    return labels and _ascending(value)


def _target_type(value: Any, of: Attributes) -> bool:
    classes = of["classes_"]
    if value == MULTILABEL:
        return classes.dtype.kind == "i" and np.array_equal(classes, np.arange(len(classes)))
    return value == ("binary" if len(classes) == 2 else "multiclass")


def _history(value: Any, of: Attributes) -> bool:
    epochs = type(value) is list and len(value) > 0
    return epochs and all(_epoch(entry, number) for number, entry in enumerate(value, 1))


def _epoch(entry: dict[str, Any], number: int) -> bool:
    if not {"epoch", *ENTRIES} - VALIDATION <= set(entry) <= {"epoch", *ENTRIES}:
        return False
    if not _integer(entry["epoch"], number, number):
        return False
    # A validation that fails has an infinite loss, and a score that is not a number.
    return all(
        type(value) in (int, float) if name in VALIDATION else _number(value)
        for name, value in entry.items()
    )


def _loss(value: Any, of: Attributes) -> bool:
    return _number(value) and value == of["history_"][of["best_epoch_"] - 1]["loss"]


# An attribute comes after those that it depends on.
ATTRIBUTES: dict[str, Attribute] = {
    "n_features_in_": Attribute(
        "int",
        "Number of features.",
        "a positive integer",
        lambda value, of: _integer(value, 1),
    ),
    "feature_names_in_": Attribute(
        "ndarray of shape (`n_features_in_`,)",
        "Their names, if X had such.",
        "an array of one string for each feature",
        _names,
    ),
    "classes_": Attribute(
        "ndarray of shape (n_classes,)",
        "The class labels, or the columns of a matrix of labels.",
        "an array of labels in ascending order",
        _classes,
    ),
    "target_type_": Attribute(
        '{"binary", "multiclass", "multilabel-indicator"}',
        "What kind of targets it was fitted to, in scikit-learn's terms.",
        f"'binary' for two classes, else 'multiclass', or {MULTILABEL!r} for columns",
        _target_type,
    ),
    "image_shape_": Attribute(
        "tuple of int",
        "Channels, height and width of an image.",
        "a tuple of three positive integers, whose product is the number of features",
        _image_shape,
    ),
    "scaling_": Attribute(
        "Scaling",
        "`center` and `scale`, each of shape (n_features,), by which the inputs are brought to "
        "size one, and whether that `clips`.",
        "a finite center and a positive scale for each feature, and whether it clips",
        lambda value, of: _scaling(value, of["n_features_in_"]),
    ),
    "target_scaling_": Attribute(
        "Scaling",
        "The same for the targets, of shape (n_targets,).",
        "a finite center and a positive scale for each target, without clipping",
        _target_scaling,
    ),
    "link_": Attribute(
        '{"identity", "log"}',
        'The function of the mean that the network learns, "log" for the loss "poisson".',
        "'identity' or 'log'",
        lambda value, of: value in ("identity", "log"),
    ),
    "periodic_features_": Attribute(
        "ndarray of int, shape (n_periodic,)",
        "The features that take more than two values, of which the periodic lift has functions; "
        "of sparse X none.",
        "an array of features in ascending order",
        _periodic_features,
    ),
    "history_": Attribute(
        "list of dict",
        'One entry per epoch: "epoch", "loss", the means per batch of "nfe_forward" and '
        '"nfe_backward" (evaluations of the field), the means per row of "accepted_steps" and '
        '"rejected_steps", "learning_rate" (of its last batch), "retries" (how often training went '
        'back to the last good weights) and "seconds"; with rows to validate by, '
        '"validation_loss" and "validation_score", infinite and NaN if a solve failed. Losses of a '
        "regressor are those of the standardised target.",
        "a list with the numbers of each epoch",
        _history,
    ),
    "n_iter_": Attribute(
        "int",
        "Number of epochs run.",
        "the number of epochs",
        lambda value, of: _integer(value, len(of["history_"]), len(of["history_"])),
    ),
    "best_epoch_": Attribute(
        "int",
        "The epoch whose weights are kept: with early stopping that of the lowest validation loss, "
        "else the last.",
        "one of the epochs",
        lambda value, of: _integer(value, 1, of["n_iter_"]),
    ),
    "loss_": Attribute(
        "float",
        "Its training loss.",
        "the loss of the best epoch",
        _loss,
    ),
    "n_parameters_": Attribute(
        "int",
        "Number of trained numbers.",
        "a positive integer",
        lambda value, of: _integer(value, 1),
    ),
}


def attributes_of(estimator: type) -> list[str]:
    """Return the names of all attributes that a class of estimators may fit, less the net."""
    fields = fields_of(estimator)
    return [name for name in ATTRIBUTES if name in fields]


def check_attributes(estimator: type, attributes: dict[str, Any]) -> None:
    """Raise a ValueError if attributes are not those that a class of estimators fits."""
    own = set(attributes_of(estimator))
    strange = set(attributes) - own | own - OPTIONAL - set(attributes)
    if strange:
        raise ValueError(f"it has attributes that are not known or lacks some: {sorted(strange)}")
    for name, attribute in ATTRIBUTES.items():
        if name in attributes and not attribute.allowed(attributes[name], attributes):
            found = shortened(attributes[name])
            raise ValueError(f"its {name} must be {attribute.must_be}, got {found}")

"""What the docstrings of the estimators have in common, written into each of them."""

import inspect
import re
import textwrap
from typing import Any, TypeVar

from .parameters import PARAMETERS

__all__ = ["documented"]

# By name, a type and a description; those that a class or a base of it annotates are its own.
ATTRIBUTES = {
    "classes_": (
        "ndarray of shape (n_classes,)",
        "The class labels, or the columns of a matrix of labels.",
    ),
    "target_type_": (
        '{"binary", "multiclass", "multilabel-indicator"}',
        "What kind of targets it was fitted to, in scikit-learn's terms.",
    ),
    "net_": (
        "skorch.NeuralNet",
        "The trained net; `net_.module_` is the torch module.",
    ),
    "image_shape_": (
        "tuple of int",
        "Channels, height and width of an image.",
    ),
    "scaling_": (
        "Scaling",
        "`center` and `scale`, each of shape (n_features,), by which the inputs are brought to "
        "size one, and whether that `clips`.",
    ),
    "target_scaling_": (
        "Scaling",
        "The same for the targets, of shape (n_targets,).",
    ),
    "link_": (
        '{"identity", "log"}',
        'The function of the mean that the network learns, "log" for the loss "poisson".',
    ),
    "periodic_features_": (
        "ndarray of int, shape (n_periodic,)",
        "The features that take more than two values, of which the periodic lift has functions; "
        "of sparse X none.",
    ),
    "history_": (
        "list of dict",
        'One entry per epoch: "epoch", "loss", the means per batch of "nfe_forward" and '
        '"nfe_backward" (evaluations of the field), the means per row of "accepted_steps" and '
        '"rejected_steps", "learning_rate" (of its last batch), "retries" (how often training went '
        'back to the last good weights) and "seconds"; with rows to validate by, '
        '"validation_loss" and "validation_score", infinite and NaN if a solve failed. Losses of a '
        "regressor are those of the standardised target.",
    ),
    "n_iter_": (
        "int",
        "Number of epochs run.",
    ),
    "best_epoch_": (
        "int",
        "The epoch whose weights are kept: with early stopping that of the lowest validation loss, "
        "else the last.",
    ),
    "loss_": (
        "float",
        "Its training loss.",
    ),
    "n_parameters_": (
        "int",
        "Number of trained numbers.",
    ),
    "n_features_in_": (
        "int",
        "Number of features.",
    ),
    "feature_names_in_": (
        "ndarray of shape (`n_features_in_`,)",
        "Their names, if X had such.",
    ),
}
# By the number with which docstrings and descriptions of hyperparameters cite them.
REFERENCES = {
    1: 'Chen, Rubanova, Bettencourt, Duvenaud, "Neural Ordinary Differential Equations", NeurIPS '
    "2018.",
    2: 'Dupont, Doucet, Teh, "Augmented Neural ODEs", NeurIPS 2019.',
    3: 'Gorishniy, Rubachev, Babenko, "On Embeddings for Numerical Features in Tabular Deep '
    'Learning", NeurIPS 2022.',
    4: 'Finlay, Jacobsen, Nurbekyan, Oberman, "How to Train Your Neural ODE: the World of Jacobian '
    'and Kinetic Regularization", ICML 2020.',
    5: 'He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.',
}
WIDTH = 96

T = TypeVar("T", bound=type)


def documented(cls: T) -> T:
    """Write what estimators share into a docstring.

    It stands where the docstring says `{parameters}`, `{attributes}` and `{references}`; the last
    are those that are cited by then.
    """
    assert cls.__doc__ is not None
    signature = inspect.signature(cls).parameters
    parameters = [
        _entry(
            name,
            f"{PARAMETERS[name].type}, default={_default(parameter.default)}",
            PARAMETERS[name].description,
        )
        for name, parameter in signature.items()
    ]
    own = {name for base in cls.__mro__ for name in inspect.get_annotations(base)}
    attributes = [_entry(name, *ATTRIBUTES[name]) for name in ATTRIBUTES if name in own]
    doc = _filled(_filled(cls.__doc__, "parameters", parameters), "attributes", attributes)
    cited = sorted({int(number) for number in re.findall(r"\[(\d)\]_", doc)})
    references = [
        textwrap.fill(f".. [{number}] {REFERENCES[number]}", WIDTH, subsequent_indent="   ")
        for number in cited
    ]
    cls.__doc__ = _filled(doc, "references", references)
    return cls


def _entry(name: str, kind: str, description: str) -> str:
    indent = " " * 4
    text = textwrap.fill(description, WIDTH, initial_indent=indent, subsequent_indent=indent)
    return f"{name} : {kind}\n{text}"


def _filled(doc: str, place: str, entries: list[str]) -> str:
    return doc.replace("{" + place + "}", textwrap.indent("\n".join(entries), " " * 4).strip())


def _default(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)

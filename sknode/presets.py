"""Hyperparameters by name, where one default cannot serve."""

import inspect
from typing import Any

from ._checks import check_choice
from .estimators.base import BaseNetwork
from .estimators.solver import BaseNODE

__all__ = ["preset"]

CLASSICAL: dict[str, Any] = {
    "hidden_layer_sizes": (32,),
    "activation": "tanh",
    "lift": "identity",
    "scaling": "standard",
    "n_members": 1,
    "solver": "dopri5",
    "kinetic_penalty": 0.0,
    "learning_rate": 1e-2,
    "schedule": "constant",
    "ema_decay": None,
    "max_epochs": 50,
    "batch_size": 128,
}
FAST: dict[str, Any] = {"n_members": 1, "max_epochs": 60}
ACCURATE: dict[str, Any] = {"n_members": 8, "hidden_layer_sizes": (128, 128)}


def preset(name: str, estimator: type[BaseNetwork] = BaseNODE) -> dict[str, Any]:
    """Return hyperparameters that go together.

    Parameters
    ----------
    name : {"fast", "default", "accurate", "classical"}
        "default": what the estimators have where nothing is said. "fast": about a
        third of the time of a fit. "accurate": about three times the time. "classical": the
        plain Neural ODE of the papers [1]_, which moves the standardised row itself with an
        adaptive solver.
    estimator : type
        Whose hyperparameters they are to be, such as ResNetClassifier, which has no solver; by
        default those that NODEClassifier and NODERegressor have in common.

    Returns
    -------
    dict
        Names and values, to be changed at will; "default" names them all, the others those in
        which they differ from it.

    Raises
    ------
    ValueError
        If the name is not known.
    TypeError
        If the estimator is no class of sknode.

    References
    ----------
    .. [1] Chen, Rubanova, Bettencourt, Duvenaud, "Neural Ordinary Differential Equations",
       NeurIPS 2018.

    Examples
    --------
    >>> from sknode import NODEClassifier, preset
    >>> classifier = NODEClassifier(**preset("accurate"), random_state=0)
    >>> classifier.n_members
    8
    """
    if not (isinstance(estimator, type) and issubclass(estimator, BaseNetwork)):
        raise TypeError(
            f"estimator must be a class of sknode, such as NODEClassifier, got {estimator!r}"
        )
    parameters = inspect.signature(estimator).parameters
    presets = {
        "fast": FAST,
        "default": {known: parameter.default for known, parameter in parameters.items()},
        "accurate": ACCURATE,
        "classical": CLASSICAL,
    }
    check_choice("name", name, presets)
    return {known: value for known, value in presets[name].items() if known in parameters}

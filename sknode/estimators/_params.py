"""Each hyperparameter once: its type, what it means and what it may be.

`check_params` holds an estimator to the entries before any work starts; `_documented` writes them
into its docstring.
"""

import inspect
import os
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from skorch.callbacks import Callback

from .._checks import is_integer, is_number, is_tolerance
from ..modules.activations import ACTIVATIONS
from ..modules.heads import HEADS
from ..modules.lifts import LIFTS
from ..modules.losses import LOSSES
from ..ode.adjoint import ADJOINTS
from ..ode.integrate import MOST_STEPS
from ..ode.tableau import TABLEAUS
from ._optimizers import OPTIMIZERS
from ._scaling import SCALINGS
from ._schedule import SCHEDULES

__all__ = [
    "N_SEEDS",
    "PARAMETERS",
    "Parameter",
    "check_params",
    "device_or_cpu",
    "resolve_device",
    "resolve_seed",
    "with_parameters",
]

N_SEEDS = 2**32
DEVICES = ("cpu", "cuda", "mps")
DTYPES = ("auto", "float32", "float64")


class Parameter(NamedTuple):
    """One hyperparameter.

    Attributes
    ----------
    type : str
        Its type, for the docstring; the default is added from the signature.
    must_be : str
        Its constraint in words, for "`name` must be ...".
    allowed : callable
        Whether a value satisfies the constraint.
    description : str
        What it does.
    """

    type: str
    must_be: str
    allowed: Callable[[Any], bool]
    description: str


def _fraction(value: Any) -> bool:
    return is_number(value, 0.0) and value < 1


def _boolean(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _one_of(*names: Any) -> Callable[[Any], bool]:
    return lambda value: (value is None or isinstance(value, str)) and value in names


def _sizes(value: Any) -> bool:
    sequence = isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim)
    return bool(sequence) and all(is_integer(n, 1) for n in value)


def _image_shape(value: Any) -> bool:
    return value is None or (_sizes(value) and len(value) in (2, 3))


def _optimizer(value: Any) -> bool:
    if not inspect.isclass(value):
        return isinstance(value, str) and value in OPTIMIZERS
    if not issubclass(value, torch.optim.Optimizer):
        return False
    return {"lr", "weight_decay"} <= set(inspect.signature(value).parameters)


def _device(value: Any) -> bool:
    if isinstance(value, str):
        if value == "auto":
            return True
        try:
            value = torch.device(value)
        except RuntimeError:
            return False
    return isinstance(value, torch.device) and value.type in DEVICES


def _callbacks(value: Any) -> bool:
    if not isinstance(value, list | tuple):
        return value is None
    pairs = [item if isinstance(item, tuple) and len(item) == 2 else ("", item) for item in value]
    return all(
        isinstance(name, str)
        and (isinstance(item, Callback) or (inspect.isclass(item) and issubclass(item, Callback)))
        for name, item in pairs
    )


def _class_weight(value: Any) -> bool:
    if isinstance(value, dict):
        return all(is_number(weight) and weight >= 0 for weight in value.values())
    return value is None or (isinstance(value, str) and value == "balanced")


def _random_state(value: Any) -> bool:
    if isinstance(value, np.random.RandomState) or value is None:
        return True
    return is_integer(value, 0, N_SEEDS - 1)


def _choices(names: Any) -> str:
    return "one of " + ", ".join(repr(name) for name in names)


def _set(names: Any) -> str:
    return (
        "{" + ", ".join(f'"{name}"' if isinstance(name, str) else str(name) for name in names) + "}"
    )


PARAMETERS: dict[str, Parameter] = {
    "hidden_layer_sizes": Parameter(
        "sequence of int",
        "a sequence of positive integers",
        _sizes,
        "Widths of the hidden layers of the field f(z, t); empty for a linear field.",
    ),
    # Those of the convolutional field are the same.
    "activation": Parameter(
        _set(ACTIVATIONS),
        _choices(ACTIVATIONS),
        _one_of(*ACTIVATIONS),
        "Activation between the layers of the field. With a kink, as relu has one, adaptive "
        "solvers need more steps and are less exact than `tolerance` says: at 1e-5 a typical row "
        "is off by ten times the tolerance, at 1e-9 by a hundred.",
    ),
    "lift": Parameter(
        _set(LIFTS),
        _choices(LIFTS),
        _one_of(*LIFTS),
        'How a row becomes z(0): as it is ("identity", as in the papers), or by a learned map to '
        '`lift_dim` dimensions, linear in the row ("linear") or in the row and periodic functions '
        'of its features, with learned frequencies [3]_ ("periodic").',
    ),
    "lift_dim": Parameter(
        "int",
        "a positive integer",
        lambda value: is_integer(value, 1),
        "Number of dimensions of a learned lift; not used by the identity.",
    ),
    "lift_frequency": Parameter(
        "float",
        "a positive number",
        lambda value: is_number(value, 0.0),
        "Standard deviation of the frequencies that the periodic lift begins with, in periods per "
        "unit of a scaled feature. The higher, the finer what can be learned from a feature, noise "
        "included.",
    ),
    "scaling": Parameter(
        _set(SCALINGS),
        _choices(SCALINGS),
        _one_of(*SCALINGS),
        'How features are brought to size one. "robust": by median and interquartile range (range, '
        "where half of a feature is one value), then smoothly clipped to ±3, so that no value is "
        'too large for the solver. "standard": by mean and standard deviation, as sparse features '
        "always are. None: not at all.",
    ),
    "augment_dim": Parameter(
        "int",
        "a non-negative integer",
        lambda value: is_integer(value, 0),
        "Number of zeros appended to z(0) after the lift, which give trajectories room to pass "
        "each other [2]_.",
    ),
    "head": Parameter(
        _set(HEADS),
        _choices(HEADS),
        _one_of(*HEADS),
        'How outputs are read off z(1): "linear", by a learned linear map; "identity", as its '
        "first dimensions, so that nothing but the flow has learned.",
    ),
    "time_dependent": Parameter(
        "bool", "a boolean", _boolean, "Whether the field sees the time t beside the state."
    ),
    "solver": Parameter(
        _set(TABLEAUS),
        _choices(TABLEAUS),
        _one_of(*TABLEAUS),
        "The Runge-Kutta method. The last three choose their steps for each row by `tolerance`, "
        "the others take `n_steps` equal ones.",
    ),
    "dropout": Parameter(
        "float",
        "a number from 0 up to, but without, 1",
        lambda value: is_number(value) and 0 <= value < 1,
        "Part of the hidden units that is left out in training, chosen anew for every batch, the "
        "same for all its rows and times.",
    ),
    "n_members": Parameter(
        "int",
        "a positive integer",
        lambda value: is_integer(value, 1),
        "Number of networks, independently initialised, that are trained side by side on the same "
        "batches; their probabilities or predictions are averaged.",
    ),
    "n_blocks": Parameter(
        "int",
        "a positive integer, and no more than a million",
        lambda value: is_integer(value, 1, MOST_STEPS),
        "Number of blocks.",
    ),
    "shared_weights": Parameter(
        "bool",
        "a boolean",
        _boolean,
        "Whether all n blocks have the same weights: z ← z + f(z, t)/n at t = 0, 1/n, 2/n and so "
        "on, which is Euler's method for the ODE of f. Otherwise each has a field of its own, "
        "which does not see the time, whatever `time_dependent` says.",
    ),
    "image_shape": Parameter(
        "tuple of int or None",
        "None, or a tuple (height, width) or (channels, height, width) of positive integers",
        _image_shape,
        "Shape (height, width) or (channels, height, width) of the images that the rows of a "
        "matrix X are. None: a row is an image of one line. X with more axes has a shape of its "
        "own.",
    ),
    "n_filters": Parameter(
        "int",
        "a positive integer",
        lambda value: is_integer(value, 1),
        "Number of channels between the convolutions of the field.",
    ),
    "n_downsamplings": Parameter(
        "int",
        "a non-negative integer",
        lambda value: is_integer(value, 0),
        "Number of convolutions that first halve height and width each, with as many filters as "
        "the field: there is less to move then, and what moves are features in place of pixels.",
    ),
    "tolerance": Parameter(
        "float or (float, float)",
        "a positive number or a pair of them",
        is_tolerance,
        "Relative and absolute tolerance of adaptive solvers: one number for both, or a pair. "
        "Inputs are standardised, so the scale it refers to is one.",
    ),
    "n_steps": Parameter(
        "int or None",
        "a positive integer or None, and no more than a million",
        lambda value: value is None or is_integer(value, 1, MOST_STEPS),
        "Number of equal steps from t = 0 to t = 1. None: for the solvers without an error "
        "estimate as many as take four evaluations of the field (of rk4 one), for the others steps "
        "by `tolerance`.",
    ),
    "max_steps": Parameter(
        "int",
        "a positive integer, and no more than a million",
        lambda value: is_integer(value, 1, MOST_STEPS),
        "An adaptive solve that needs more steps raises `SolverError`.",
    ),
    "adjoint": Parameter(
        _set(ADJOINTS),
        _choices(ADJOINTS),
        _one_of(*ADJOINTS),
        'How gradients are found: "discrete", the exact gradient of the steps taken; '
        '"continuous", the adjoint ODE [1]_, whose memory does not grow with the steps; None, '
        "autograd through the steps, which is slower.",
    ),
    "kinetic_penalty": Parameter(
        "float",
        "a non-negative number",
        lambda value: is_number(value) and value >= 0,
        "Weight in the loss of the energy of the way from z(0) to z(1), the mean over the rows of "
        "∫|f|²dt, itself a mean over the dimensions. Straight ways need few steps [4]_. dopri5 and "
        "tsit5 find it with a negative weight, and on coarse steps a field can be learned whose "
        "energy is negative: with them `tolerance` is to be 1e-3 or less.",
    ),
    "optimizer": Parameter(
        _set(OPTIMIZERS) + " or type",
        _choices(OPTIMIZERS)
        + ", or a subclass of torch.optim.Optimizer that takes lr and weight_decay",
        _optimizer,
        "The optimizer; a class is called with `lr` and `weight_decay`.",
    ),
    "learning_rate": Parameter(
        "float", "a positive number", lambda value: is_number(value, 0.0), "Its step size."
    ),
    "schedule": Parameter(
        _set(SCHEDULES),
        _choices(SCHEDULES),
        _one_of(*SCHEDULES),
        'How the step size changes over all epochs. "cosine": falls to zero along half a period; '
        '"one_cycle": rises from a 25th over the first 30 %, then falls to zero; "warmup_cosine": '
        "rises from a tenth over the first 3 %, then falls to zero.",
    ),
    "weight_decay": Parameter(
        "float",
        "a non-negative number",
        lambda value: is_number(value) and value >= 0,
        "Its weight decay, on the matrices of weights alone: biases and frequencies are free.",
    ),
    "ema_decay": Parameter(
        "float or None",
        "a number between 0 and 1, or None",
        lambda value: value is None or _fraction(value),
        "An exponential moving average of the weights over the batches takes their place in the "
        "end and in validation; so much of it is kept at every batch, less at first. None: the "
        "weights as they are.",
    ),
    "gradient_clip": Parameter(
        "float or None",
        "a positive number or None",
        lambda value: value is None or is_number(value, 0.0),
        "Longer gradients, of all members together, are shortened to this norm.",
    ),
    "max_epochs": Parameter(
        "int",
        "a positive integer",
        lambda value: is_integer(value, 1),
        "Number of passes over the rows.",
    ),
    "batch_size": Parameter(
        'int or "auto"',
        "a positive integer or 'auto'",
        lambda value: is_integer(value, 1) or (isinstance(value, str) and value == "auto"),
        'Largest number of rows in a batch; the rows are shared out evenly. "auto": all rows of '
        "up to 128, else the power of two that makes some 20 batches, from 16 to 256.",
    ),
    "early_stopping": Parameter(
        '"auto" or bool',
        "'auto' or a boolean",
        lambda value: _boolean(value) or (isinstance(value, str) and value == "auto"),
        "Whether to end the training when the loss of rows that are held back no longer falls, "
        "and to go back to the weights with which it was lowest. "
        'Each member does without rows of its own. "auto": with more than 128 distinct rows, or '
        "where `fit` is given X_val and y_val.",
    ),
    "validation_fraction": Parameter(
        "float",
        "a number between 0 and 1",
        _fraction,
        "Part of the rows that is held back from a member, of each class alike, where none are "
        "given to `fit`.",
    ),
    "n_iter_no_change": Parameter(
        "int",
        "a positive integer",
        lambda value: is_integer(value, 1),
        "Number of epochs in a row that the validation loss may go without falling by `tol`.",
    ),
    "tol": Parameter(
        "float",
        "a non-negative number",
        lambda value: is_number(value) and value >= 0,
        "What counts as falling.",
    ),
    "label_smoothing": Parameter(
        "float",
        "a number from 0 up to, but without, 1",
        lambda value: is_number(value) and 0 <= value < 1,
        "So much of every label is shared out evenly over the classes in training.",
    ),
    "loss": Parameter(
        _set(LOSSES),
        _choices(LOSSES),
        _one_of(*LOSSES),
        'What is minimised, for the standardised target. "huber" is quadratic up to 1.35 and '
        'linear beyond; "poisson" predicts by the exponential of the network\'s output, and wants '
        "targets that are not negative.",
    ),
    "quantile": Parameter(
        "float or None",
        "a number between 0 and 1, or None",
        lambda value: value is None or _fraction(value),
        'The quantile that `loss="quantile"` estimates, which needs it.',
    ),
    "class_weight": Parameter(
        'dict, "balanced" or None',
        "a dict, 'balanced' or None, with weights that are not negative",
        _class_weight,
        'Weights of the classes. "balanced": inversely proportional to their frequency.',
    ),
    "device": Parameter(
        "str or torch.device",
        "'auto' or a device that torch knows, such as 'cpu', 'cuda', 'cuda:1' or 'mps'",
        _device,
        'Where the network lives. "auto": CUDA if there is one, else the CPU.',
    ),
    "dtype": Parameter(
        _set(DTYPES),
        _choices(DTYPES),
        _one_of(*DTYPES),
        'Precision of the network. "auto": float32, but on the CPU that of X if there are no more '
        "than 128 rows or `tolerance` is below 1e-5.",
    ),
    "callbacks": Parameter(
        "list or None",
        "a list of skorch callbacks or (name, callback) pairs, or None",
        _callbacks,
        "Callbacks of skorch; copies of them are used. Those of scikit-learn are set by "
        "`set_callbacks`.",
    ),
    "checkpoint": Parameter(
        "str, path or None",
        "a path or None",
        lambda value: value is None or isinstance(value, str | os.PathLike),
        "File that holds the state of the training, as of the last `checkpoint_interval` epochs "
        "and in the end. If it is there, `fit` with the same data and hyperparameters goes on from "
        "it, and ends bit for bit where it would have without interruption; one that has ended is "
        "only read. The state of `callbacks` is not in it, and `save` does not keep the path.",
    ),
    "checkpoint_interval": Parameter(
        "int",
        "a positive integer",
        lambda value: is_integer(value, 1),
        "Number of epochs from one checkpoint to the next.",
    ),
    "warm_start": Parameter(
        "bool",
        "a boolean",
        _boolean,
        "Whether `fit` goes on from the weights, and keeps the standardisation, of the fit before.",
    ),
    "random_state": Parameter(
        "int, RandomState or None",
        "a non-negative integer below 2**32, a numpy RandomState or None",
        _random_state,
        "Seed of the initial weights and the order of rows. None: a new one at every fit. Global "
        "generators are neither used nor changed.",
    ),
    "verbose": Parameter(
        "int",
        "a non-negative integer",
        lambda value: is_integer(value, 0) or _boolean(value),
        "0: nothing is shown. 1: one line that is kept up to date, with the loss, the validation "
        "score, evaluations of the field and the time left. 2 and more: a row for every epoch.",
    ),
}


def check_params(estimator: BaseEstimator) -> None:
    """Raise a ValueError for the first hyperparameter that is not what it must be."""
    for name, value in estimator.get_params(deep=False).items():
        parameter = PARAMETERS[name]
        if not parameter.allowed(value):
            raise ValueError(f"{name} must be {parameter.must_be}, got {value!r}")


def resolve_device(device: str | torch.device) -> torch.device:
    """Resolve a device, and complain if it is not there."""
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(device)
    available = {
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(device.type, True):
        raise ValueError(f"device={str(device)!r} is not available here; use 'cpu' or 'auto'")
    return device


def device_or_cpu(device: str | torch.device) -> torch.device:
    """Resolve a device, which is the CPU where it is not there."""
    try:
        return resolve_device(device)
    except ValueError:
        return torch.device("cpu")


def resolve_seed(random_state: int | np.random.RandomState | None) -> int:
    """Return a seed, a new one for None."""
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    return int(random_state)


T = TypeVar("T", bound=type)


def with_parameters(before: str | None = None, /, **defaults: Any) -> Callable[[T], T]:
    """Add keyword-only hyperparameters to the signature that a class inherits.

    They stand before one of those, or at the end. Those that it has already get a new default.
    """

    def decorate(cls: T) -> T:
        inherited = cls.__init__  # type: ignore[misc]
        parameters = dict(inspect.signature(inherited).parameters)
        added = [name for name in defaults if name not in parameters]

        def init(self: Any, **params: Any) -> None:
            bound = signature.bind(self, **params)
            bound.apply_defaults()
            for name in added:
                setattr(self, name, bound.arguments.pop(name))
            inherited(**bound.arguments)

        at = list(parameters).index(before) if before else len(parameters)
        order = [*list(parameters)[:at], *added, *list(parameters)[at:]]
        for name, default in defaults.items():
            own = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
            parameters[name] = own
        signature = inspect.Signature([parameters[name] for name in order])
        init.__signature__ = signature  # type: ignore[attr-defined]
        cls.__init__ = init  # type: ignore[misc]
        return cls

    return decorate

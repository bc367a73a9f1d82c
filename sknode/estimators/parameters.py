"""Each hyperparameter once: its type, what it means and what it may be.

`check_params` holds an estimator to the entries before any work starts; `documented` writes them
into its docstring. They stand in the order of the estimators' signatures.
"""

import os

from sklearn.base import BaseEstimator

from .._checks import is_integer, is_number, is_tolerance
from .._docstrings import listed
from ..modules.activations import ACTIVATIONS
from ..modules.heads import HEADS
from ..modules.lifts import LIFTS
from ..modules.losses import LOSSES
from ..ode.settings import ADJOINTS, MOST_STEPS
from ..ode.tableau import TABLEAUS
from ..training.optimizers import OPTIMIZERS
from ..training.scaling import SCALINGS
from ..training.schedule import SCHEDULES
from ._kinds import (
    Parameter,
    are_callbacks,
    are_sizes,
    choice,
    count,
    flag,
    in_words,
    is_boolean,
    is_class_weight,
    is_device,
    is_fraction,
    is_image_shape,
    is_optimizer,
    is_random_state,
    not_negative,
    positive,
    share,
    steps,
)

__all__ = ["PARAMETERS", "check_params"]

DTYPES = ("auto", "float32", "float64")

PARAMETERS: dict[str, Parameter] = {
    "image_shape": Parameter(
        "tuple of int or None",
        "None, or a tuple (height, width) or (channels, height, width) of positive integers",
        is_image_shape,
        "Shape (height, width) or (channels, height, width) of the images that the rows of a "
        "matrix X are. None: a row is an image of one line. X with more axes has a shape of its "
        "own.",
    ),
    "hidden_layer_sizes": Parameter(
        "sequence of int",
        "a sequence of positive integers",
        are_sizes,
        "Widths of the hidden layers of the field f(z, t); empty for a linear field.",
    ),
    "n_filters": count(
        "Number of channels between the convolutions of the field.",
    ),
    "activation": choice(
        ACTIVATIONS,
        "Activation between the layers of the field. With a kink, as relu has one, adaptive "
        "solvers need more steps and are less exact than `tolerance` says: at 1e-5 a typical row "
        "is off by ten times the tolerance, at 1e-9 by a hundred.",
    ),
    "n_downsamplings": count(
        "Number of convolutions that first halve height and width each, with as many filters as "
        "the field: there is less to move then, and what moves are features in place of pixels.",
        least=0,
    ),
    "lift": choice(
        LIFTS,
        'How a row becomes z(0): as it is ("identity", as in the papers), or by a learned map to '
        '`lift_dim` dimensions, linear in the row ("linear") or in the row and periodic functions '
        'of its features, with learned frequencies [3]_ ("periodic").',
    ),
    "lift_dim": count(
        "Number of dimensions of a learned lift; not used by the identity.",
    ),
    "lift_frequency": positive(
        "Standard deviation of the frequencies that the periodic lift begins with, in periods per "
        "unit of a scaled feature. The higher, the finer what can be learned from a feature, noise "
        "included.",
    ),
    "augment_dim": count(
        "Number of zeros appended to z(0) after the lift, which give trajectories room to pass "
        "each other [2]_.",
        least=0,
    ),
    "head": choice(
        HEADS,
        'How outputs are read off z(1): "linear", by a learned linear map; "identity", as its '
        "first dimensions, so that nothing but the flow has learned.",
    ),
    "scaling": choice(
        SCALINGS,
        'How features are brought to size one. "robust": by median and interquartile range (range, '
        "where half of a feature is one value), then smoothly clipped to ±3, so that no value is "
        'too large for the solver. "standard": by mean and standard deviation, as sparse features '
        "always are. None: not at all.",
    ),
    "time_dependent": flag("Whether the field sees the time t beside the state."),
    "dropout": share(
        "Part of the hidden units that is left out in training, chosen anew for every batch, the "
        "same for all its rows and times.",
    ),
    "n_members": count(
        "Number of networks, independently initialised, that are trained side by side on the same "
        "batches; their probabilities or predictions are averaged.",
    ),
    "n_blocks": steps(
        "Number of blocks.",
    ),
    "shared_weights": flag(
        "Whether all n blocks have the same weights: z ← z + f(z, t)/n at t = 0, 1/n, 2/n and so "
        "on, which is Euler's method for the ODE of f. Otherwise each has a field of its own, "
        "which does not see the time, whatever `time_dependent` says.",
    ),
    "solver": choice(
        TABLEAUS,
        "The Runge-Kutta method. The last three choose their steps for each row by `tolerance`, "
        "the others take `n_steps` equal ones.",
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
    "max_steps": steps(
        "An adaptive solve that needs more steps raises `SolverError`.",
    ),
    "adjoint": choice(
        ADJOINTS,
        'How gradients are found: "discrete", the exact gradient of the steps taken; '
        '"continuous", the adjoint ODE [1]_, whose memory does not grow with the steps; None, '
        "autograd through the steps, which is slower.",
    ),
    "kinetic_penalty": not_negative(
        "Weight in the loss of the energy of the way from z(0) to z(1), the mean over the rows of "
        "∫|f|²dt, itself a mean over the dimensions. Straight ways need few steps [4]_. dopri5 and "
        "tsit5 find it with a negative weight, and on coarse steps a field can be learned whose "
        "energy is negative: with them `tolerance` is to be 1e-3 or less.",
    ),
    "optimizer": Parameter(
        listed(OPTIMIZERS) + " or type",
        in_words(OPTIMIZERS)
        + ", or a subclass of torch.optim.Optimizer that takes lr and weight_decay",
        is_optimizer,
        "The optimizer; a class is called with `lr` and `weight_decay`.",
    ),
    "learning_rate": positive("Its step size."),
    "schedule": choice(
        SCHEDULES,
        'How the step size changes over all epochs. "cosine": falls to zero along half a period; '
        '"one_cycle": rises from a 25th over the first 30 %, then falls to zero; "warmup_cosine": '
        "rises from a tenth over the first 3 %, then falls to zero.",
    ),
    "weight_decay": not_negative(
        "Its weight decay, on the matrices of weights alone: biases and frequencies are free.",
    ),
    "ema_decay": Parameter(
        "float or None",
        "a number between 0 and 1, or None",
        lambda value: value is None or is_fraction(value),
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
    "max_epochs": count(
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
        lambda value: is_boolean(value) or (isinstance(value, str) and value == "auto"),
        "Whether to end the training when the loss of rows that are held back no longer falls, "
        "and to go back to the weights with which it was lowest. "
        'Each member does without rows of its own. "auto": with more than 128 distinct rows, or '
        "where `fit` is given X_val and y_val.",
    ),
    "validation_fraction": Parameter(
        "float",
        "a number between 0 and 1",
        is_fraction,
        "Part of the rows that is held back from a member, of each class alike, where none are "
        "given to `fit`.",
    ),
    "n_iter_no_change": count(
        "Number of epochs in a row that the validation loss may go without falling by `tol`.",
    ),
    "tol": not_negative(
        "What counts as falling.",
    ),
    "device": Parameter(
        "str or torch.device",
        "'auto' or a device that torch knows, such as 'cpu', 'cuda', 'cuda:1' or 'mps'",
        is_device,
        'Where the network lives. "auto": CUDA if there is one, else the CPU.',
    ),
    "dtype": choice(
        DTYPES,
        'Precision of the network. "auto": float32, but on the CPU that of X if there are no more '
        "than 128 rows or `tolerance` is below 1e-5.",
    ),
    "callbacks": Parameter(
        "list or None",
        "a list of skorch callbacks or (name, callback) pairs, or None",
        are_callbacks,
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
    "checkpoint_interval": count(
        "Number of epochs from one checkpoint to the next.",
    ),
    "warm_start": flag(
        "Whether `fit` goes on from the weights, and keeps the standardisation, of the fit before.",
    ),
    "random_state": Parameter(
        "int, RandomState or None",
        "a non-negative integer below 2**32, a numpy RandomState or None",
        is_random_state,
        "Seed of the initial weights and the order of rows. None: a new one at every fit. Global "
        "generators are neither used nor changed.",
    ),
    "verbose": Parameter(
        "int",
        "a non-negative integer",
        lambda value: is_integer(value, 0) or is_boolean(value),
        "0: nothing is shown. 1: one line that is kept up to date, with the loss, the validation "
        "score, evaluations of the field and the time left. 2 and more: a row for every epoch.",
    ),
    "label_smoothing": share(
        "So much of every label is shared out evenly over the classes in training.",
    ),
    "class_weight": Parameter(
        'dict, "balanced" or None',
        "a dict, 'balanced' or None, with weights that are not negative",
        is_class_weight,
        'Weights of the classes. "balanced": inversely proportional to their frequency.',
    ),
    "loss": choice(
        LOSSES,
        'What is minimised, for the standardised target. "huber" is quadratic up to 1.35 and '
        'linear beyond; "poisson" predicts by the exponential of the network\'s output, and wants '
        "targets that are not negative.",
    ),
    "quantile": Parameter(
        "float or None",
        "a number between 0 and 1, or None",
        lambda value: value is None or is_fraction(value),
        'The quantile that `loss="quantile"` estimates, which needs it.',
    ),
}


def check_params(estimator: BaseEstimator) -> None:
    """Raise a ValueError for the first hyperparameter that is not what it must be."""
    for name, value in estimator.get_params(deep=False).items():
        parameter = PARAMETERS[name]
        if not parameter.allowed(value):
            raise ValueError(f"{name} must be {parameter.must_be}, got {value!r}")

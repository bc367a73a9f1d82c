"""What a training does about a step that ruined the weights: back to the last good ones, once."""

import warnings

import torch
from skorch import NeuralNet

from ..exceptions import SolverError, TrainingError, TrainingWarning

__all__ = ["NotFiniteError", "check_last_step", "failure", "go_back"]


class NotFiniteError(ArithmeticError):
    """The loss of a batch is infinite or NaN."""


def go_back(net: NeuralNet, error: Exception) -> None:
    """Restore the last good weights, and learn more slowly from here on."""
    if net.on_probation or not net.last_good.kept:
        raise failure(net, error) from error
    net.on_probation = True
    net.n_retries += 1
    net.last_good.restore()
    net.module_.block.forget()
    for group in net.optimizer_.param_groups:
        group["lr"] /= 2
        group["initial_lr"] /= 2
    message = (
        f"in epoch {len(net.history)} {error}; going on from the last good weights, with "
        f"half the learning rate, {net.optimizer_.param_groups[0]['initial_lr']:.3g}"
    )
    warnings.warn(message, TrainingWarning, stacklevel=3)


def check_last_step(net: NeuralNet) -> None:
    """Take back the last step of all if it was a failure, which no further batch would show."""
    if net.last_batch is None:
        return
    net._set_training(False)
    X, target = net.last_batch
    try:
        with torch.no_grad():
            loss = net.get_loss(net.module_(X), target)
        if not loss.isfinite():
            raise NotFiniteError(f"the loss was {loss.item()} after the last step")
    except (SolverError, NotFiniteError) as error:
        go_back(net, error)


def failure(net: NeuralNet, error: Exception) -> TrainingError:
    """Return the error of a training whose second chance was of no use."""
    epoch = net.history[-1]
    losses = [past["train_loss"] for past in net.history[-6:-1]]
    losses += [batch["train_loss"] for batch in epoch["batches"][-6:-1]]
    so_far = ", ".join(f"{loss:.4g}" for loss in losses) or "none"
    again = ""
    if net.on_probation:
        again = ", again after going back to the last good weights with half the learning rate"
    return TrainingError(
        f"training failed in epoch {len(net.history)}, batch {len(epoch['batches'])}"
        f"{again}: {error}. The last losses: {so_far}. Lower `learning_rate` (it began with "
        f"{net.lr:g}), set `gradient_clip`, or look for extreme values in X and y"
    )

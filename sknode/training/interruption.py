"""Ctrl-C, which ends a training after the batch."""

import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from skorch import NeuralNet

from ..exceptions import TrainingWarning

__all__ = ["interruptible", "keep_whole_batches", "warn_of_interruption"]


@contextmanager
def interruptible(net: NeuralNet) -> Iterator[None]:
    """Let Ctrl-C end the training after the batch, and a second one at once."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        # Only the main thread gets signals, and a program that handles them knows why.
        yield
        return

    def handle(signum: int, frame: Any) -> None:
        if net.interrupted:
            raise KeyboardInterrupt
        net.interrupted = True

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def keep_whole_batches(net: NeuralNet) -> None:
    """Keep what was learned until an interruption that did not wait for the batch."""
    batches = net.history[-1]["batches"]
    if batches and "train_batch_size" not in batches[-1]:
        batches.pop()
        net.last_good.restore()
    if not batches:
        del net.history[-1]
    if net.interrupted or not net.history:
        raise KeyboardInterrupt
    net.interrupted = True


def warn_of_interruption(net: NeuralNet) -> None:
    """Warn that a training ended before its time."""
    n_batches = len(net.history[-1]["batches"])
    message = (
        f"training was interrupted in epoch {len(net.history)} of {net.max_epochs}, after batch "
        f"{n_batches}; the estimator has what it learned until then"
    )
    warnings.warn(message, TrainingWarning, stacklevel=3)

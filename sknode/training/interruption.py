"""Ctrl-C, which ends a training after the batch."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["interruptible"]


@contextmanager
def interruptible(net: Any) -> Iterator[None]:
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

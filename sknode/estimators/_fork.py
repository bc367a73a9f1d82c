"""Torch in a forked process.

The threads of its OpenMP pool do not survive a fork, and the first operation that waits for them
waits for ever. With one thread there is nothing to wait for.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["safe_after_fork"]

HOME = os.getpid()


@contextmanager
def safe_after_fork() -> Iterator[None]:
    """In a process that was forked off from the one that imported this, use one thread."""
    n_threads = torch.get_num_threads()
    if os.getpid() == HOME or n_threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)

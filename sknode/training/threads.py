"""One of torch's threads for a network, whose operations are too small to share out.

At the end of each operation the workers of torch's OpenMP pool wait for each other, in a busy loop.
Where another process has a core, one of them waits there for its turn, and the others for it: what
takes a second then takes a minute. And sums over shares of a batch are rounded differently with
another number of threads. The native engine shares out whole solves, to threads that sleep while
they wait, and sums them up in one order: it may have as many threads as torch had.

A pool does not survive a fork either: the first operation that waits for it waits for ever.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from threadpoolctl import ThreadpoolController

from ..ode import native

__all__ = ["one_thread"]

HOME = os.getpid()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch's operations within the context run on the thread that calls them.

    What torch had before, it has again afterwards, and other threads see nothing of it.
    """
    n_threads = torch.get_num_threads()
    if n_threads == 1:
        yield
    elif os.getpid() == HOME:
        # torch.set_num_threads would set it for threads that are yet to come, too.
        with _openmp().limit(limits=1), native.allowing(n_threads):
            yield
    else:
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(n_threads)


@lru_cache(maxsize=1)
def _openmp() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="openmp")

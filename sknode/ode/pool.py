"""A pool that keeps what one solve has made for the next one.

At small batches, making buffers and the views into them costs as much as the arithmetic.
"""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Any, Generic, TypeVar

__all__ = ["Lease", "Pool", "borrow"]

W = TypeVar("W")


class Lease(Generic[W]):
    """A workspace while a solve, or the graph that remembers it, needs it.

    Attributes
    ----------
    lock : threading.Lock
        Held by the thread that goes back through the graph: two may do so at a time.
    """

    def __init__(self, workspace: W, pool: "Pool | None", key: tuple) -> None:
        self.workspace = workspace
        self.lock = Lock()
        self._pool = pool
        self._key = key

    def __del__(self) -> None:
        if self._pool is not None:
            self._pool.give_back(self._key, self.workspace)


class Pool:
    """Workspaces waiting to be used again.

    A workspace comes back when nothing refers to its solve any more, so two solves never share
    one. Copies and pickles of a pool are empty.
    """

    # A training has two sizes of batches: the usual one, and that of the last batch of an epoch.
    MOST_IDLE = 2

    def __init__(self) -> None:
        # Any thread may come in at any time, and the garbage collector in the midst of a method: so
        # each change is one operation that cannot be interrupted.
        self._idle: OrderedDict[tuple, Any] = OrderedDict()

    def __reduce__(self) -> tuple:
        return Pool, ()

    def give_back(self, key: tuple, workspace: Any) -> None:
        """Take a workspace that is no longer in use."""
        self._idle.pop(key, None)
        self._idle[key] = workspace
        while len(self._idle) > self.MOST_IDLE:
            with suppress(KeyError):
                self._idle.popitem(last=False)

    def take(self, key: tuple) -> Any | None:
        """Hand out what was given back under the key, if there is something."""
        return self._idle.pop(key, None)


def borrow(pool: Pool | None, key: tuple, make: Callable[[], W]) -> Lease[W]:
    """Take from the pool what was made for the same key, or make it."""
    workspace = None if pool is None else pool.take(key)
    return Lease(make() if workspace is None else workspace, pool, key)

"""The buffers of a solve, and a pool that keeps them for the next one.

At small batches, making buffers and the views into them costs as much as the arithmetic.
"""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

from .field import ClosedFormField, Dynamics, Stack, Tape, bind
from .tableau import Tableau

__all__ = ["Lease", "Pool", "Workspace", "borrow", "lease"]

W = TypeVar("W")


class Workspace:
    """A bound field with the stack of its stages and the tapes of its steps.

    Attributes
    ----------
    stack : Stack
        (x, S_1, ..., S_s).
    """

    def __init__(self, system: Dynamics, tableau: Tableau) -> None:
        self.system = system
        self.tableau = tableau
        self.stack = Stack(tableau.n_stages + 1, system.shape, system.controlled)
        self._tapes: list[Tape] = []
        self._scratch: Tape | None = None
        self._cotangents: dict[int, Stack] = {}

    def tape(self, i: int) -> Tape:
        """Return the i-th tape, a new one if there were fewer."""
        if i == len(self._tapes):
            self._tapes.append(self.system.new_tape(self.tableau.n_stages))
        return self._tapes[i]

    def scratch(self) -> Tape:
        """Return a tape for steps that nothing goes back through."""
        if self._scratch is None:
            self._scratch = self.system.scratch_tape(self.tableau.n_stages)
        return self._scratch

    def cotangents(self, n_stages: int) -> Stack:
        """Return the stack of a reverse sweep over the first stages."""
        if n_stages not in self._cotangents:
            self._cotangents[n_stages] = Stack(
                n_stages + 1, self.system.shape, self.system.controlled
            )
        return self._cotangents[n_stages]


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
        self._pool, self._key = pool, key

    def __del__(self) -> None:
        if self._pool is not None:
            self._pool.give_back(self._key, self.workspace)


class Pool:
    """Workspaces waiting to be used again.

    A workspace comes back when nothing refers to its solve any more, so two solves never share
    one. Copies and pickles of a pool are empty.
    """

    # A training set is cut into batches of one size and a rest.
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


def lease(
    field: nn.Module,
    parameters: tuple[Tensor, ...],
    z0: Tensor,
    tableau: Tableau,
    pool: Pool | None,
) -> Lease[Workspace]:
    """Return a workspace for a solve from `z0`, with the field's present parameters."""
    # A closed form takes its parameters anew at every solve, a module keeps them.
    identity: tuple = tuple((id(parameter), parameter.requires_grad) for parameter in parameters)
    if isinstance(field, ClosedFormField):
        identity = tuple(parameter.shape for parameter in parameters)
    key = (tableau, z0.shape, z0.dtype, z0.device, id(field), identity)
    held = borrow(pool, key, lambda: Workspace(bind(field, z0), tableau))
    held.workspace.system.load(parameters)
    return held

"""The buffers of a solve."""

from torch import Tensor, nn

from ..field import ClosedFormField, Dynamics, Stack, Tape
from ..pool import Lease, Pool, borrow
from ..tableau import Tableau
from .module import bind

__all__ = ["Workspace", "lease"]


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

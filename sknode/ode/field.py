"""What the solvers ask of a field.

A field f(t, z) is an `nn.Module`; `t` comes with one time per row and broadcasts against
`z[..., :1]`. The solvers do not call it directly: they move the *extended state* x = (z, t),
flattened to `(rows, width)`, whose last column has derivative one, through a `Dynamics`.

A plain module is served by autograd on the single evaluation. A field that knows its own derivative
offers a `Dynamics` in closed form (`ClosedFormField`), and one that is a stack of dense layers says
so (`DenseForm` in dense.py), so that other engines can run it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Generic, Protocol, TypeVar, cast, runtime_checkable

import torch
from torch import Tensor

__all__ = ["ClosedFormField", "Dynamics", "Stack", "Tape", "kind_of", "rows_of_members"]


class Stack:
    """Blocks of one shape in one buffer.

    A weighted sum over the first blocks is then a single matrix-vector product, and a product
    over all rows of all blocks a single matrix product. Views are made once and kept, since
    making one costs as much as a small product.
    """

    def __init__(self, n_blocks: int, shape: Sequence[int], like: Tensor) -> None:
        self.blocks = like.new_empty((n_blocks, *shape))
        self._blocks = self.blocks.unbind(0)
        self._columns: dict[int, Tensor] = {}
        self._rows: dict[int, tuple[Tensor, Tensor]] = {}

    def __getitem__(self, i: int) -> Tensor:
        return self._blocks[i]

    @cached_property
    def flat(self) -> tuple[Tensor, ...]:
        """The blocks as vectors."""
        return self.blocks.view(len(self._blocks), -1).unbind(0)

    def combine(self, weights: Tensor, out: Tensor) -> None:
        """Write Σ_i weights[i]·block_i over the first blocks into the flat `out`."""
        n = weights.numel()
        columns = self._columns.get(n)
        if columns is None:
            columns = self._columns[n] = self.blocks[:n].view(n, -1).t()
        torch.mv(columns, weights, out=out)

    def of_members(self, n_members: int) -> list[Tensor]:
        """Return the blocks with the rows of each member apart, (n_members, rows, ...)."""
        return [block.view(n_members, -1, *block.shape[1:]) for block in self._blocks]

    def rows(self, n: int, n_members: int) -> tuple[Tensor, Tensor]:
        """Return each member's rows of the first n blocks as one matrix, and its transpose.

        For a single member they are views.
        """
        if n in self._rows:
            return self._rows[n]
        matrix = rows_of_members(self.blocks[:n], n_members)
        rows = matrix, matrix.mT
        if n_members == 1:
            self._rows[n] = rows
        return rows


def rows_of_members(blocks: Tensor, n_members: int) -> Tensor:
    """Return the rows of blocks (n_blocks, rows, ...) as (n_members, n_blocks · rows, ...)."""
    by_member = blocks.view(len(blocks), n_members, -1, *blocks.shape[2:])
    return by_member.transpose(0, 1).flatten(1, 2)


class Tape:
    """What one step leaves behind: the stages' arguments, and what a field adds to them.

    `buffers` are all the tensors `(stages, rows, ...)` in it.
    """

    def __init__(self, n_stages: int, shape: Sequence[int], like: Tensor) -> None:
        self.x = Stack(n_stages, shape, like)
        self.buffers: list[Tensor] = [self.x.blocks]

    def carry_from(self, previous: "Tape", accepted: Tensor | None) -> None:
        """Make the last stage of the previous step the first of this one (FSAL).

        Rows that were not `accepted` keep their first stage; None means that all were.
        """
        for old, new in zip(previous.buffers, self.buffers, strict=True):
            if accepted is None:
                new[0].copy_(old[-1])
            else:
                torch.where(_column(accepted, old[0]), old[-1], old[0], out=new[0])

    def hold(self, accepted: Tensor) -> None:
        """Make rows that were not accepted look as if they had stood still.

        A trial step may have overflowed, and zero times infinity would spoil every sum over rows.
        """
        for buffer in self.buffers:
            torch.where(_column(accepted, buffer[0]), buffer, buffer[:1].clone(), out=buffer)


def _column(mask: Tensor, like: Tensor) -> Tensor:
    return mask.view(-1, *[1] * (like.ndim - 1))


TapeT = TypeVar("TapeT", bound=Tape)


class Dynamics(ABC, Generic[TapeT]):
    """A field bound to states of one shape: the extended state's derivative, and its pullback.

    The pullback of v is (v·∂F/∂x, v·∂F/∂θ). The caller writes the argument of a stage into
    `tape.x[stage]` before `evaluate`, and v into `v[stage]` before `pullback`, which comes after
    `linearise`. The tapes are those that `new_tape` and `scratch_tape` have made, of a kind of the
    field's own if it keeps more on them than the arguments.
    """

    shape: tuple[int, int]
    """Rows and columns of the extended state."""
    controlled: Tensor
    """(width,) of ones and zeros: the columns whose error is controlled."""
    n_controlled: int
    v: Stack
    """Cotangents of the stages' derivatives, after `begin_reverse`."""
    cotangents: list[Tensor]
    """All the tensors (stages, rows, ...) that `pullback` fills for `accumulate`, `v` first."""

    def load(self, parameters: Sequence[Tensor]) -> None:
        """Take what `parameters_of` the field are now; called at the start of every solve."""

    def enter(self, z: Tensor, t: float, out: Tensor) -> None:
        """Write states (rows, *state) at time t into `out` as extended states."""
        z = z.flatten(1)
        if self.n_controlled == self.shape[1]:
            out.copy_(z)
        else:
            torch.cat((z, z.new_full((self.shape[0], 1), t)), 1, out=out)

    def new_tape(self, n_stages: int) -> TapeT:
        """Return room for one step."""
        return cast(TapeT, Tape(n_stages, self.shape, self.controlled))

    def scratch_tape(self, n_stages: int) -> TapeT:
        """Return room for steps that nothing goes back through, one after the other."""
        return self.new_tape(n_stages)

    @abstractmethod
    def evaluate(self, tape: TapeT, stage: int) -> Tensor:
        """Return dx/dt at `tape.x[stage]`, of shape (rows, width)."""

    @abstractmethod
    def begin_reverse(self, n_stages: int, *, weighted: bool) -> None:
        """Make room for cotangents and set the parameters' gradients to zero.

        `weighted` tells whether `accumulate` will come with weights.
        """

    def linearise(self, tape: TapeT, stage: int | None = None) -> None:
        """Compute what the pullbacks of a stage need; None: those of all stages of the tape."""

    @abstractmethod
    def pullback(self, tape: TapeT, stage: int, out: Tensor | None) -> None:
        """Write v·∂F/∂x into `out`; None: only `accumulate` is to come.

        The time column gets any finite number: times are not differentiated, and the pullback
        does not depend on their cotangent.
        """

    @abstractmethod
    def accumulate(self, tape: TapeT, n_stages: int, weights: Tensor | None = None) -> None:
        """Add Σ weights·v·∂F/∂θ over rows and the first stages; `weights` is (stages, rows, 1)."""

    @abstractmethod
    def gradients(self) -> list[Tensor | None]:
        """Return the sums as new tensors, in the order of `parameters_of` the field."""


def kind_of(tensor: Tensor) -> str:
    """Return in words what two tensors must have in common to be computed with."""
    layout = "" if tensor.layout == torch.strided else f", {tensor.layout}"
    return f"{tensor.dtype} on {tensor.device}{layout}"


@runtime_checkable
class ClosedFormField(Protocol):
    """A field with a pullback written by hand."""

    def dynamics(self, z0: Tensor) -> Dynamics:
        """Bind the field to solves whose states have the shape of `z0`."""

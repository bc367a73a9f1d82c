"""What the solvers ask of a field.

A field f(t, z) is an `nn.Module`; `t` comes with one time per row and broadcasts against
`z[..., :1]`. The solvers do not call it directly: they move the *extended state* x = (z, t),
flattened to `(rows, width)`, whose last column has derivative one, through a `Dynamics`.

A plain module is served by `ModuleDynamics`, with autograd on the single evaluation. A field that
knows its own derivative offers a `Dynamics` in closed form (`ClosedFormField`), and one that is a
stack of dense layers says so (`DenseForm`), so that other engines can run it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import chain, pairwise
from typing import NamedTuple, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

__all__ = [
    "ClosedFormField",
    "DenseField",
    "DenseForm",
    "Dynamics",
    "ModuleDynamics",
    "Stack",
    "Tape",
    "bind",
    "dense_form_of",
    "kind_of",
    "parameters_of",
    "rows_of_members",
]


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


class Dynamics(ABC):
    """A field bound to states of one shape: the extended state's derivative, and its pullback.

    The pullback of v is (v·∂F/∂x, v·∂F/∂θ). The caller writes the argument of a stage into
    `tape.x[stage]` before `evaluate`, and v into `v[stage]` before `pullback`, which comes after
    `linearise`.
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

    def load(self, parameters: Sequence[Tensor]) -> None:  # noqa: B027 -- most need not prepare
        """Take what `parameters_of` the field are now; called at the start of every solve."""

    def enter(self, z: Tensor, t: float, out: Tensor) -> None:
        """Write states (rows, *state) at time t into `out` as extended states."""
        z = z.flatten(1)
        if self.n_controlled == self.shape[1]:
            out.copy_(z)
        else:
            torch.cat((z, z.new_full((self.shape[0], 1), t)), 1, out=out)

    def new_tape(self, n_stages: int) -> Tape:
        """Return room for one step."""
        return Tape(n_stages, self.shape, self.controlled)

    def scratch_tape(self, n_stages: int) -> Tape:
        """Return room for steps that nothing goes back through, one after the other."""
        return self.new_tape(n_stages)

    @abstractmethod
    def evaluate(self, tape: Tape, stage: int) -> Tensor:
        """Return dx/dt at `tape.x[stage]`, of shape (rows, width)."""

    @abstractmethod
    def begin_reverse(self, n_stages: int, *, weighted: bool) -> None:
        """Make room for cotangents and set the parameters' gradients to zero.

        `weighted` tells whether `accumulate` will come with weights.
        """

    def linearise(self, tape: Tape, stage: int | None = None) -> None:  # noqa: B027
        """Compute what the pullbacks of a stage need; None: those of all stages of the tape."""

    @abstractmethod
    def pullback(self, tape: Tape, stage: int, out: Tensor | None) -> None:
        """Write v·∂F/∂x into `out`; None: only `accumulate` is to come.

        The time column gets any finite number: times are not differentiated, and the pullback
        does not depend on their cotangent.
        """

    @abstractmethod
    def accumulate(self, tape: Tape, n_stages: int, weights: Tensor | None = None) -> None:
        """Add Σ weights·v·∂F/∂θ over rows and the first stages; `weights` is (stages, rows, 1)."""

    @abstractmethod
    def gradients(self) -> list[Tensor | None]:
        """Return the sums as new tensors, in the order of `parameters_of` the field."""


class ModuleDynamics(Dynamics):
    """Any module, by autograd on the single evaluation."""

    def __init__(self, field: nn.Module, z0: Tensor) -> None:
        self.field = field
        self.state_shape = z0.shape
        n = z0[0].numel()
        self.shape = (len(z0), n + 1)
        self.n_controlled = n
        self.controlled = z0.new_ones(n + 1)
        self.controlled[n] = 0.0
        self.parameters = [p for p in field.parameters() if p.requires_grad]
        self._time_shape = (-1, *[1] * (z0.ndim - 1))
        self._one = z0.new_ones((len(z0), 1))
        self._weighted = False

    def load(self, parameters: Sequence[Tensor]) -> None:
        self._weighted = False

    def evaluate(self, tape: Tape, stage: int) -> Tensor:
        if self._weighted:
            # The continuous adjoint pulls back what it has just evaluated.
            self._recorded = self._record(tape, stage)
            dz = self._recorded[1].detach()
        else:
            dz = self._call(*self._split(tape.x[stage]))
        return torch.cat((dz.flatten(1), self._one), dim=1)

    def begin_reverse(self, n_stages: int, *, weighted: bool) -> None:
        self.v = Stack(n_stages, self.shape, self._one)
        self.cotangents = [self.v.blocks]
        self._sums = [torch.zeros_like(p) for p in self.parameters]
        self._weighted = weighted

    def pullback(self, tape: Tape, stage: int, out: Tensor | None) -> None:
        z, dz = self._recorded if self._weighted else self._record(tape, stage)
        # Without weights to wait for, the parameters' part comes out of the same call.
        parameters = [] if self._weighted else self.parameters
        gradient, *sums = self._vjp(dz, self.v[stage], [z, *parameters])
        self._add(sums)
        if out is not None:
            self.enter(gradient, 0.0, out=out)

    def accumulate(self, tape: Tape, n_stages: int, weights: Tensor | None = None) -> None:
        if weights is None or not self.parameters:
            return
        for i in range(n_stages):
            _, dz = self._record(tape, i)
            self._add(self._vjp(dz, self.v[i] * weights[i], self.parameters))

    def gradients(self) -> list[Tensor | None]:
        sums = iter(self._sums)
        return [next(sums) if p.requires_grad else None for p in self.field.parameters()]

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, -1].reshape(self._time_shape), x[:, :-1].reshape(self.state_shape)

    def _call(self, t: Tensor, z: Tensor) -> Tensor:
        dz = self.field(t, z)
        if not isinstance(dz, Tensor):
            raise TypeError(f"the field must return a tensor, got {type(dz).__name__}")
        if dz.shape != z.shape:
            raise ValueError(
                f"the field must return one derivative per state, shape {tuple(z.shape)}, "
                f"got {tuple(dz.shape)}"
            )
        if dz.dtype != z.dtype or dz.device != z.device or dz.layout != z.layout:
            raise ValueError(
                f"the field must return derivatives of the kind of the states, {kind_of(z)}, "
                f"got {kind_of(dz)}"
            )
        return dz

    def _add(self, gradients: list[Tensor]) -> None:
        for total, gradient in zip(self._sums, gradients, strict=False):
            total.add_(gradient)

    def _record(self, tape: Tape, stage: int) -> tuple[Tensor, Tensor]:
        """Return the states of a stage and their derivatives, with the graph between them."""
        t, z = self._split(tape.x[stage])
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            return z, self._call(t, z)

    def _vjp(self, dz: Tensor, v: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
        if not dz.requires_grad:
            return [torch.zeros_like(x) for x in inputs]
        gradients = torch.autograd.grad(
            dz,
            inputs,
            v[:, :-1].reshape(self.state_shape),
            allow_unused=True,
            materialize_grads=True,
        )
        return list(gradients)


class DenseForm(NamedTuple):
    """A field as a stack of dense layers, which is what its method `dense_form` returns.

    A field may have several members, each with layers of its own: the rows of a state are then
    those of the first member, followed by as many of the second, and so on.

    Parameters
    ----------
    weights : sequence of Tensor
        One of shape (n_out, n_in) a layer, or (n_members, n_out, n_in); with time, the first
        layer's last input is t.
    biases : sequence of Tensor
        One of shape (n_out,) a layer, or (n_members, n_out).
    activation : {"tanh", "silu", "softplus", "relu"}
        Between the layers; the last is linear.
    time_dependent : bool
        Whether t is an input.

    Attributes
    ----------
    parameters : tuple of Tensor
        Each layer's weight and bias, layer by layer.
    n_members : int
        Number of members.
    n_dims : int
        Number of dimensions of the state.
    sizes : tuple of int
        Numbers of inputs of the layers, and of outputs of the last.

    Examples
    --------
    A linear field, which the compiled engine can solve:

    >>> import torch
    >>> from sknode.ode import DenseForm, odeint
    >>> class Rotation(torch.nn.Module):
    ...     def dense_form(self):
    ...         turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    ...         return DenseForm([turn], [torch.zeros(2)], "tanh", time_dependent=False)
    ...     def forward(self, t, z):
    ...         return z @ self.dense_form().weights[0].T
    >>> quarter = torch.tensor([0.0, torch.pi / 2])
    >>> z = odeint(Rotation(), torch.tensor([[1.0, 0.0]]), quarter, tolerance=1e-6).z[-1]
    >>> torch.allclose(z, torch.tensor([[0.0, 1.0]]), atol=1e-5)
    True
    """

    weights: Sequence[Tensor]
    biases: Sequence[Tensor]
    activation: str
    time_dependent: bool

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """Each layer's weight and bias, layer by layer."""
        return tuple(chain.from_iterable(zip(self.weights, self.biases, strict=True)))

    @property
    def n_members(self) -> int:
        """Number of members."""
        weight = self.weights[0]
        return weight.shape[0] if weight.ndim == 3 else 1

    @property
    def n_dims(self) -> int:
        """Number of dimensions of the state."""
        return self.biases[-1].shape[-1]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of inputs of the layers, and of outputs of the last."""
        # Engines trust them with the memory, so layers that do not fit are refused here.
        return _sizes(tuple(p.shape for p in self.parameters), self.time_dependent)

    def check_states(self, z0: Tensor) -> None:
        """Complain if states do not fit to the layers, which have fitting `sizes`.

        Parameters
        ----------
        z0 : Tensor of shape (rows, n_dims)
            The states.

        Raises
        ------
        ValueError
            If the states have another number of dimensions, or their number is no multiple of
            `n_members`.
        """
        if z0.ndim != 2 or z0.shape[1] != self.n_dims:
            raise ValueError(
                f"z0 must have shape (rows, {self.n_dims}), as the field has {self.n_dims} "
                f"dimensions, got {(*z0.shape,)}"
            )
        if z0.shape[0] % self.n_members:
            raise ValueError(
                f"z0 must have as many rows for each of the field's {self.n_members} members, got "
                f"{z0.shape[0]} rows"
            )


@lru_cache(maxsize=256)
def _sizes(shapes: tuple[torch.Size, ...], time_dependent: bool) -> tuple[int, ...]:
    """Return the sizes of layers, given the shapes of each one's weight and bias."""
    members = shapes[0][:-2]
    sizes = tuple(shape[-1] if len(shape) else 0 for shape in (*shapes[::2], shapes[-1]))
    fitting = [(*members, *shape) for n_in, n in pairwise(sizes) for shape in ((n, n_in), (n,))]
    if (
        list(shapes) != fitting
        or sizes[0] != sizes[-1] + time_dependent
        or len(members) > 1
        or min(*members, *sizes) < 1
    ):
        raise ValueError(
            "dense_form() must give layers that fit together, from the state (and the time) to "
            f"its derivative, got weights and biases of the shapes {[tuple(s) for s in shapes]}"
        )
    return sizes


def kind_of(tensor: Tensor) -> str:
    """Return in words what two tensors must have in common to be computed with."""
    layout = "" if tensor.layout == torch.strided else f", {tensor.layout}"
    return f"{tensor.dtype} on {tensor.device}{layout}"


@runtime_checkable
class ClosedFormField(Protocol):
    """A field with a pullback written by hand."""

    def dynamics(self, z0: Tensor) -> Dynamics:
        """Bind the field to solves whose states have the shape of `z0`."""


@runtime_checkable
class DenseField(Protocol):
    """A field that is a stack of dense layers."""

    def dense_form(self) -> DenseForm:
        """Return the layers."""


def dense_form_of(field: nn.Module) -> DenseForm | None:
    """Return the layers of a field that is a stack of them, None for any other."""
    # isinstance() of a protocol takes as long as some evaluations of the field.
    if not hasattr(field, "dense_form"):
        return None
    form = cast(DenseField, field).dense_form()
    if not isinstance(form, DenseForm):
        raise TypeError(f"dense_form() must return a DenseForm, got {type(form).__name__}")
    if not isinstance(form.time_dependent, bool):
        raise TypeError(
            f"dense_form() must give time_dependent as a boolean, got {form.time_dependent!r}"
        )
    if not len(form.weights) == len(form.biases) > 0:
        raise ValueError(
            "dense_form() must give one layer or more, and a bias for each weight, got "
            f"{len(form.weights)} weights and {len(form.biases)} biases"
        )
    return form


def parameters_of(field: nn.Module, form: DenseForm | None) -> tuple[Tensor, ...]:
    """Return θ, the tensors besides the state in which `bind` differentiates a solve.

    Those of a dense field in closed form are the layers themselves. They need not be leaves, and to
    ask for them costs much less than to search the module for parameters.
    """
    if form is None or not hasattr(field, "dynamics"):
        return tuple(field.parameters())
    return form.parameters


def bind(field: nn.Module, z0: Tensor) -> Dynamics:
    """Bind a field to solves of the shape of `z0`, in closed form where it offers one."""
    if isinstance(field, ClosedFormField):
        return field.dynamics(z0)
    return ModuleDynamics(field, z0)

"""A convolutional field that knows its own derivative.

Images lie with their channels last: a convolution of single pixels is then a matrix product, and
the larger ones run several times as fast on the CPU as with the channels first.
"""

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d
from torch.nn.grad import conv2d_input, conv2d_weight

from ..ode.field import Dynamics, Stack, Tape
from .linear import linear

__all__ = ["NONLINEARITIES", "ConvField"]

aten = torch.ops.aten


class Nonlinearity(NamedTuple):
    """An activation between convolutions.

    Attributes
    ----------
    write : callable (u, out)
        Writes y.
    pull : callable (v, saved)
        Multiplies v by the derivative, in place.
    saves_input : bool
        Whether `saved` is u; otherwise it is y.
    """

    write: Callable[[Tensor, Tensor], Tensor]
    pull: Callable[[Tensor, Tensor], Tensor]
    saves_input: bool = False


NONLINEARITIES: dict[str, Nonlinearity] = {
    "relu": Nonlinearity(
        lambda u, out: torch.clamp_min(u, 0, out=out),
        lambda v, y: aten.threshold_backward.grad_input(v, y, 0, grad_input=v),
    ),
    "softplus": Nonlinearity(
        lambda u, out: aten.softplus.out(u, out=out),
        lambda v, u: aten.softplus_backward.grad_input(v, u, 1.0, 20.0, grad_input=v),
        saves_input=True,
    ),
    "silu": Nonlinearity(
        lambda u, out: aten.silu.out(u, out=out),
        lambda v, u: aten.silu_backward.grad_input(v, u, grad_input=v),
        saves_input=True,
    ),
    "tanh": Nonlinearity(
        lambda u, out: torch.tanh(u, out=out),
        lambda v, y: aten.tanh_backward.grad_input(v, y, grad_input=v),
    ),
}


class ConvField(nn.Module):
    """Three convolutions f(t, z), of 1×1, 3×3 and 1×1 pixels, with the pullback in closed form.

    The field of the convolutional Neural ODEs of [1]_; time is a channel of each convolution.

    Parameters
    ----------
    n_channels : int
        Number of channels of the state.
    n_filters : int, default=64
        Number of channels between the convolutions.
    activation : {"relu", "softplus", "silu", "tanh"}, default="relu"
        Between the convolutions; the last is linear.
    time_dependent : bool, default=True
        Whether t is an input beside z.
    generator : torch.Generator or None, default=None
        Draws the initial weights; None: torch's global one.

    Attributes
    ----------
    first, last : nn.Linear
        The convolutions of single pixels, from the state and to its derivative.
    weight, bias : nn.Parameter
        The middle convolution's, (n_filters, n_filters + time_dependent, 3, 3) and (n_filters,).

    Raises
    ------
    ValueError
        If a size is not a positive integer or the activation is not known.

    References
    ----------
    .. [1] Dupont, Doucet, Teh, "Augmented Neural ODEs", NeurIPS 2019.

    Examples
    --------
    >>> import torch
    >>> from sknode.modules import ConvField
    >>> field = ConvField(3, n_filters=8)
    >>> field(torch.zeros(()), torch.ones(5, 28, 28, 3)).shape
    torch.Size([5, 28, 28, 3])
    """

    def __init__(
        self,
        n_channels: int,
        n_filters: int = 64,
        activation: str = "relu",
        time_dependent: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        sizes: dict[str, Any] = {"n_channels": n_channels, "n_filters": n_filters}
        for name, size in sizes.items():
            if not isinstance(size, Integral) or int(size) < 1:
                raise ValueError(f"{name} must be a positive integer, got {size!r}")
        if activation not in NONLINEARITIES:
            raise ValueError(
                f"activation={activation!r} is not known; choose from {list(NONLINEARITIES)}"
            )
        self.activation = activation
        self.time_dependent = time_dependent
        self.first = linear(n_channels + time_dependent, n_filters, generator)
        weight = torch.empty(n_filters, n_filters + time_dependent, 3, 3)
        bound = weight[0].numel() ** -0.5
        self.weight = nn.Parameter(weight.uniform_(-bound, bound, generator=generator))
        bias = torch.empty(n_filters)
        self.bias = nn.Parameter(bias.uniform_(-bound, bound, generator=generator))
        self.last = linear(n_filters + time_dependent, n_channels, generator)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Return f(t, z) of states z, (rows, height, width, channels), of the same shape.

        t is () or broadcasts against z[..., :1].
        """
        function = getattr(torch.nn.functional, self.activation)
        y = function(nn.functional.linear(self._timed(t, z), self.first.weight, self.first.bias))
        u = conv2d(self._timed(t, y).movedim(-1, 1), self.weight, self.bias, padding=1)
        y = self._timed(t, function(u.movedim(1, -1)))
        return nn.functional.linear(y, self.last.weight, self.last.bias)

    def _timed(self, t: Tensor, z: Tensor) -> Tensor:
        if not self.time_dependent:
            return z
        return torch.cat((z, t.expand(*z.shape[:-1], 1)), dim=-1)

    def dynamics(self, z0: Tensor) -> Dynamics:
        """Bind the field to solves whose states have the shape of `z0`."""
        n_channels = self.last.weight.shape[0]
        if z0.ndim != 4 or z0.shape[3] != n_channels:
            raise ValueError(
                f"z0 must have shape (rows, height, width, {n_channels}), as the field has "
                f"{n_channels} channels, got {(*z0.shape,)}"
            )
        return ConvDynamics(self, z0)


class ConvTape(Tape):
    """The stages' arguments, and what went into each convolution and activation."""

    def __init__(self, n_stages: int, dynamics: "ConvDynamics") -> None:
        like, image = dynamics.controlled, dynamics.image
        super().__init__(n_stages, dynamics.shape, like)
        filters = [dynamics.n_filters] * 2
        widths = [n + dynamics.time_dependent for n in (image[3], *filters)]
        self.inputs = [Stack(n_stages, (*image[:3], width), like) for width in widths]
        self.outputs = [
            stack.blocks[..., :n] for stack, n in zip(self.inputs[1:], filters, strict=True)
        ]
        self.saved = self.outputs
        if dynamics.nonlinearity.saves_input:
            self.saved = [like.new_empty((n_stages, *image[:3], n)) for n in filters]
            self.buffers += self.saved
        self.buffers += [stack.blocks for stack in self.inputs]


class ConvDynamics(Dynamics):
    """The three convolutions and their pullback.

    The pullback's matrices leave out the weights of time, which is not differentiated.
    """

    def __init__(self, field: ConvField, z0: Tensor) -> None:
        self.image = z0.shape
        self.time_dependent = field.time_dependent
        self.nonlinearity = NONLINEARITIES[field.activation]
        self.n_filters = len(field.bias)
        n = z0[0].numel()
        self.n_controlled = n
        self.shape = (len(z0), n + self.time_dependent)
        self.controlled = z0.new_ones(self.shape[1])
        self.controlled[n:] = 0.0
        self._ones = z0.new_ones((len(z0), int(self.time_dependent)))

    def load(self, parameters: Sequence[Tensor]) -> None:
        weight, bias, first, first_bias, last, last_bias = (p.detach() for p in parameters)
        self._first, self._last = (first_bias, first.mT), (last_bias, last.mT)
        weight = weight.contiguous(memory_format=torch.channels_last)
        self._middle = weight, bias
        n = self.n_filters
        self._first_back = first[:, : self.image[3]]
        self._middle_back = weight[:, :n].contiguous(memory_format=torch.channels_last)
        self._last_back = last[:, :n]

    def new_tape(self, n_stages: int) -> ConvTape:
        return ConvTape(n_stages, self)

    def evaluate(self, tape: Tape, stage: int) -> Tensor:
        assert isinstance(tape, ConvTape)
        x, n = tape.x[stage], self.n_controlled
        images = [stack[stage] for stack in tape.inputs]
        images[0][..., : self.image[3]] = x[:, :n].view(self.image)
        if self.time_dependent:
            for image in images:
                image[..., -1] = x[:, n:].view(-1, 1, 1)
        u = torch.addmm(self._first[0], images[0].flatten(0, 2), self._first[1])
        self._activate(u.view(*self.image[:3], -1), tape, 0, stage)
        u = conv2d(images[1].movedim(-1, 1), *self._middle, padding=1)
        self._activate(u.movedim(1, -1), tape, 1, stage)
        slope = torch.addmm(self._last[0], images[2].flatten(0, 2), self._last[1])
        return torch.cat((slope.view(self.shape[0], n), self._ones), 1)

    def _activate(self, u: Tensor, tape: ConvTape, layer: int, stage: int) -> None:
        if self.nonlinearity.saves_input:
            tape.saved[layer][stage].copy_(u)
        self.nonlinearity.write(u, tape.outputs[layer][stage])

    def begin_reverse(self, n_stages: int, *, weighted: bool) -> None:
        if not hasattr(self, "v"):
            self.v = Stack(n_stages, self.shape, self.controlled)
            widths = (self.n_filters, self.n_filters, self.image[3])
            shapes = [(n_stages, *self.image[:3], width) for width in widths]
            self._deltas = [self.controlled.new_empty(shape) for shape in shapes]
            self.cotangents = [self.v.blocks, *self._deltas]
        self._sums: list[Tensor] = []

    def pullback(self, tape: Tape, stage: int, out: Tensor | None) -> None:
        assert isinstance(tape, ConvTape)
        first, middle, last = (delta[stage] for delta in self._deltas)
        pull = self.nonlinearity.pull
        last.copy_(self.v[stage][:, : self.n_controlled].view(self.image))
        torch.mm(last.flatten(0, 2), self._last_back, out=middle.flatten(0, 2))
        pull(middle, tape.saved[1][stage])
        size = torch.Size((self.image[0], self.n_filters, *self.image[1:3]))
        v = conv2d_input(size, self._middle_back, middle.movedim(-1, 1), padding=1)
        first.copy_(v.movedim(1, -1))
        pull(first, tape.saved[0][stage])
        if out is not None:
            out[:, : self.n_controlled] = (first.flatten(0, 2) @ self._first_back).view(
                self.shape[0], -1
            )
            out[:, self.n_controlled :] = 0.0

    def accumulate(self, tape: Tape, n_stages: int, weights: Tensor | None = None) -> None:
        assert isinstance(tape, ConvTape)
        first, middle, last = (delta[:n_stages] for delta in self._deltas)
        if weights is not None:
            scale = weights.view(n_stages, -1, 1, 1, 1)
            first, middle, last = first * scale, middle * scale, last * scale
        inputs = [stack.blocks[:n_stages] for stack in tape.inputs]
        images, v = inputs[1].flatten(0, 1), middle.flatten(0, 1)
        middle_sum = conv2d_weight(
            images.movedim(-1, 1), self._middle[0].shape, v.movedim(-1, 1), padding=1
        )
        self._add(
            middle_sum,
            v.sum((0, 1, 2)),
            first.flatten(0, 3).mT @ inputs[0].flatten(0, 3),
            first.sum((0, 1, 2, 3)),
            last.flatten(0, 3).mT @ inputs[2].flatten(0, 3),
            last.sum((0, 1, 2, 3)),
        )

    def _add(self, *parts: Tensor) -> None:
        if not self._sums:
            self._sums = list(parts)
            return
        for total, part in zip(self._sums, parts, strict=True):
            total.add_(part)

    def gradients(self) -> list[Tensor | None]:
        return [*self._sums]

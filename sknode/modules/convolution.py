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

from ..ode.field import Dynamics, Stack, Tape

__all__ = ["NONLINEARITIES", "ConvField", "convolution"]

aten = torch.ops.aten

SIZES = (1, 3, 1)


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
    layers : nn.ModuleList of nn.Conv2d
        The convolutions.

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
        self.n_channels, self.n_filters = int(n_channels), int(n_filters)
        self.activation = activation
        self.time_dependent = time_dependent
        widths = [n_channels, n_filters, n_filters, n_channels]
        self.layers = nn.ModuleList(
            convolution(n_in + time_dependent, n_out, size, generator)
            for n_in, n_out, size in zip(widths, widths[1:], SIZES, strict=False)
        )

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Return f(t, z) of states z, (rows, height, width, channels), of the same shape.

        t is () or broadcasts against z[..., :1].
        """
        function = getattr(nn.functional, self.activation)
        first, middle, last = self.layers
        for layer in (first, middle):
            z = function(layer(self._timed(t, z).movedim(-1, 1)).movedim(1, -1))
        return last(self._timed(t, z).movedim(-1, 1)).movedim(1, -1)

    def _timed(self, t: Tensor, z: Tensor) -> Tensor:
        if not self.time_dependent:
            return z
        return torch.cat((z, t.expand(*z.shape[:-1], 1)), dim=-1)

    def dynamics(self, z0: Tensor) -> Dynamics:
        """Bind the field to solves whose states have the shape of `z0`."""
        n_channels = self.n_channels
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

    The pullback's weights leave out those of time, which is not differentiated.
    """

    def __init__(self, field: ConvField, z0: Tensor) -> None:
        self.image = z0.shape
        self.time_dependent = field.time_dependent
        self.nonlinearity = NONLINEARITIES[field.activation]
        self.n_filters = field.n_filters
        n = z0[0].numel()
        self.n_controlled = n
        self.shape = (len(z0), n + self.time_dependent)
        self.controlled = z0.new_ones(self.shape[1])
        self.controlled[n:] = 0.0
        self._ones = z0.new_ones((len(z0), int(self.time_dependent)))

    def load(self, parameters: Sequence[Tensor]) -> None:
        self._weights = [_channels_last(weight.detach()) for weight in parameters[::2]]
        self._biases = [bias.detach() for bias in parameters[1::2]]
        widths = (self.image[3], self.n_filters, self.n_filters)
        self._weights_back = [
            _channels_last(weight[:, :n]) for weight, n in zip(self._weights, widths, strict=True)
        ]

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
        for i in range(3):
            image, weight = images[i].movedim(-1, 1), self._weights[i]
            u = conv2d(image, weight, self._biases[i], padding="same").movedim(1, -1)
            if i < 2:
                self._activate(u, tape, i, stage)
        return torch.cat((u.reshape(self.shape[0], n), self._ones), 1)

    def _activate(self, u: Tensor, tape: ConvTape, layer: int, stage: int) -> None:
        if self.nonlinearity.saves_input:
            tape.saved[layer][stage].copy_(u)
        # Where it is to be there is a channel of time beside, and an activation takes its time.
        tape.outputs[layer][stage].copy_(self.nonlinearity.write(u, u))

    def begin_reverse(self, n_stages: int, *, weighted: bool) -> None:
        if not hasattr(self, "v"):
            self.v = Stack(n_stages, self.shape, self.controlled)
            widths = (self.n_filters, self.n_filters, self.image[3])
            shapes = [(n_stages, *self.image[:3], width) for width in widths]
            self._deltas = [self.controlled.new_empty(shape) for shape in shapes]
            self.cotangents = [self.v.blocks, *self._deltas]
        layers = zip(self._weights, self._biases, strict=True)
        self._sums = [torch.zeros_like(tensor) for layer in layers for tensor in layer]

    def pullback(self, tape: Tape, stage: int, out: Tensor | None) -> None:
        assert isinstance(tape, ConvTape)
        delta = self._deltas[2][stage]
        delta.copy_(self.v[stage][:, : self.n_controlled].view(self.image))
        for i in (2, 1):
            before = self._deltas[i - 1][stage]
            before.copy_(self._pulled(i, delta))
            self.nonlinearity.pull(before, tape.saved[i - 1][stage])
            delta = before
        if out is not None:
            out[:, : self.n_controlled] = self._pulled(0, delta).reshape(self.shape[0], -1)
            out[:, self.n_controlled :] = 0.0

    def _pulled(self, layer: int, delta: Tensor) -> Tensor:
        """Return the cotangents of a convolution's input, but for its time."""
        weight = self._weights_back[layer]
        # Its values are not asked for.
        image = delta.new_empty((*delta.shape[:3], weight.shape[1]))
        of_both = delta.movedim(-1, 1), image.movedim(-1, 1)
        pulled, *_ = _backward(*of_both, weight, [True, False, False])
        return pulled.movedim(1, -1)

    def accumulate(self, tape: Tape, n_stages: int, weights: Tensor | None = None) -> None:
        assert isinstance(tape, ConvTape)
        parts: list[Tensor] = []
        for deltas, stack, weight in zip(self._deltas, tape.inputs, self._weights, strict=True):
            delta, images = deltas[:n_stages], stack.blocks[:n_stages].flatten(0, 1)
            if weights is not None:
                delta = delta * weights.view(n_stages, -1, 1, 1, 1)
            delta = delta.flatten(0, 1)
            of_both = delta.movedim(-1, 1), images.movedim(-1, 1)
            _, weight_sum, bias_sum = _backward(*of_both, weight, [False, True, True])
            parts += [weight_sum, bias_sum]
        for total, part in zip(self._sums, parts, strict=True):
            total.add_(part)

    def gradients(self) -> list[Tensor | None]:
        return [*self._sums]


def convolution(
    n_in: int, n_out: int, size: int, generator: torch.Generator | None, stride: int = 1
) -> nn.Conv2d:
    """Return a convolution whose numbers are drawn as torch draws them, by a given generator."""
    layer = nn.Conv2d(
        n_in, n_out, size, stride=stride, padding=(size - stride + 1) // 2, device="meta"
    ).to_empty(device="cpu")
    assert layer.bias is not None
    bound = layer.weight[0].numel() ** -0.5
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


def _channels_last(weight: Tensor) -> Tensor:
    return weight.contiguous(memory_format=torch.channels_last)


def _backward(
    v: Tensor, images: Tensor, weight: Tensor, wanted: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the cotangents of a convolution's input, weight and bias, those that are wanted."""
    padding = [weight.shape[2] // 2] * 2
    return aten.convolution_backward(
        v, images, weight, [len(weight)], [1, 1], padding, [1, 1], False, [0, 0], 1, wanted
    )

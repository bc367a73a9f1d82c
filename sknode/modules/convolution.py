"""A convolutional field that knows its own derivative.

Images lie with their channels last: a convolution of single pixels is then a matrix product, and
the larger ones run several times as fast on the CPU as with the channels first.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from .._checks import check_choice, check_flag, is_integer
from ..ode.field import Dynamics, Stack, Tape
from .activations import ACTIVATIONS, NONLINEARITIES
from .linear import draw

__all__ = ["ConvField", "convolution"]

aten = torch.ops.aten

SIZES = (1, 3, 1)


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
        Between the convolutions; the last is linear. At the kink of relu adaptive solvers err by
        more than their tolerance.
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
        If a size is not a positive integer, the activation is not known or `time_dependent` is no
        boolean.

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
            if not is_integer(size, 1):
                raise ValueError(f"{name} must be a positive integer, got {size!r}")
        check_choice("activation", activation, NONLINEARITIES)
        check_flag("time_dependent", time_dependent)
        self.n_channels = int(n_channels)
        self.n_filters = int(n_filters)
        self.activation = activation
        self.time_dependent = time_dependent
        widths = [n_channels, n_filters, n_filters, n_channels]
        self.layers = nn.ModuleList(
            convolution(n_in + time_dependent, n_out, size, generator)
            for (n_in, n_out), size in zip(pairwise(widths), SIZES, strict=True)
        )

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Evaluate f(t, z).

        Parameters
        ----------
        t : Tensor of shape () or (rows, 1, 1, 1)
            The time, one for all rows or one for each.
        z : Tensor of shape (rows, height, width, n_channels)
            The states.

        Returns
        -------
        Tensor of shape (rows, height, width, n_channels)
            The derivatives dz/dt.
        """
        function = ACTIVATIONS[self.activation].function
        first, middle, last = self.layers
        for layer in (first, middle):
            z = function(layer(self._timed(t, z).movedim(-1, 1)).movedim(1, -1))
        return last(self._timed(t, z).movedim(-1, 1)).movedim(1, -1)

    def _timed(self, t: Tensor, z: Tensor) -> Tensor:
        if not self.time_dependent:
            return z
        return torch.cat((z, t.expand(*z.shape[:-1], 1)), dim=-1)

    def dynamics(self, z0: Tensor) -> Dynamics:
        """Bind the field to solves whose states are like some.

        Parameters
        ----------
        z0 : Tensor of shape (rows, height, width, n_channels)
            States; what counts is their shape, dtype and device.

        Returns
        -------
        Dynamics
            The field and its pullback, in the form in which solvers ask for them.

        Raises
        ------
        ValueError
            If the states have another number of axes, or of channels than the field.
        """
        if z0.ndim != 4 or z0.shape[3] != self.n_channels:
            raise ValueError(
                f"z0 must have shape (rows, height, width, {self.n_channels}), as the field has "
                f"{self.n_channels} channels, got {(*z0.shape,)}"
            )
        return ConvDynamics(self, z0)


class ConvTape(Tape):
    """The stages' arguments, and what went into each convolution and activation.

    If that is not `kept`, all stages have it in one place, one after the other.
    """

    def __init__(self, n_stages: int, dynamics: "ConvDynamics", *, kept: bool = True) -> None:
        like = dynamics.controlled
        image = dynamics.image
        super().__init__(n_stages, dynamics.shape, like)

        def room(width: int) -> Tensor:
            blocks = like.new_empty((n_stages if kept else 1, *image[:3], width))
            return blocks.expand(n_stages, *blocks.shape[1:])

        self.inputs = [room(width) for width in dynamics.widths]
        self.saved = self.inputs[1:]
        if dynamics.nonlinearity.saves_input:
            self.saved = [room(width) for width in dynamics.widths[1:]]
            self.buffers += self.saved if kept else []
        self.buffers += self.inputs if kept else []


class ConvDynamics(Dynamics[ConvTape]):
    """The three convolutions and their pullback.

    A convolution of a channel that is t everywhere is t times one of ones, which is found once
    for a solve.
    """

    def __init__(self, field: ConvField, z0: Tensor) -> None:
        self.image = z0.shape
        self.widths = (field.n_channels, field.n_filters, field.n_filters)
        self.time_dependent = field.time_dependent
        self.nonlinearity = NONLINEARITIES[field.activation]
        n = z0[0].numel()
        self.n_controlled = n
        self.shape = (len(z0), n + self.time_dependent)
        self.controlled = z0.new_ones(self.shape[1])
        self.controlled[n:] = 0.0
        self._derivative_of_time = z0.new_ones((len(z0), int(self.time_dependent)))
        self._ones = z0.new_ones((1, 1, *self.image[1:3]))

    def load(self, parameters: Sequence[Tensor]) -> None:
        weights = [weight.detach() for weight in parameters[::2]]
        self._biases = [bias.detach() for bias in parameters[1::2]]
        parts = [w.split([n, w.shape[1] - n], 1) for w, n in zip(weights, self.widths, strict=True)]
        self._weights = [part.contiguous(memory_format=torch.channels_last) for part, _ in parts]
        self._time_weights = [part for _, part in parts]
        self._by_time: list[Tensor] = []
        if self.time_dependent:
            self._by_time = [
                conv2d(self._ones, weight, padding="same")[0].movedim(0, -1).contiguous()
                for weight in self._time_weights
            ]

    def new_tape(self, n_stages: int) -> ConvTape:
        return ConvTape(n_stages, self)

    def scratch_tape(self, n_stages: int) -> ConvTape:
        return ConvTape(n_stages, self, kept=False)

    def evaluate(self, tape: ConvTape, stage: int) -> Tensor:
        x = tape.x[stage]
        n = self.n_controlled
        t = x[:, n:].view(-1, 1, 1, 1)
        image = tape.inputs[0][stage].copy_(x[:, :n].view(self.image))
        for i, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            u = conv2d(image.movedim(-1, 1), weight, bias, padding="same").movedim(1, -1)
            if self.time_dependent:
                u.addcmul_(t, self._by_time[i])
            if i == 2:
                break
            if self.nonlinearity.saves_input:
                tape.saved[i][stage].copy_(u)
            image = self.nonlinearity.write(u, tape.inputs[i + 1][stage])
        return torch.cat((u.reshape(self.shape[0], n), self._derivative_of_time), 1)

    def begin_reverse(self, n_stages: int, *, weighted: bool) -> None:
        if not hasattr(self, "v"):
            self.v = Stack(n_stages, self.shape, self.controlled)
            shapes = [(n_stages, *self.image[:3], len(bias)) for bias in self._biases]
            self._deltas = [self.controlled.new_empty(shape) for shape in shapes]
            self.cotangents = [self.v.blocks, *self._deltas]
        self._sums: list[Tensor] = []

    def pullback(self, tape: ConvTape, stage: int, out: Tensor | None) -> None:
        delta = self._deltas[2][stage]
        delta.copy_(self.v[stage][:, : self.n_controlled].view(self.image))
        for i in (2, 1):
            before = self._pull(i, delta, self._deltas[i - 1][stage])
            self.nonlinearity.pull(before, tape.saved[i - 1][stage])
            delta = before
        if out is not None:
            image = self._pull(0, delta, torch.empty_like(self._deltas[2][stage]))
            out[:, : self.n_controlled] = image.view(self.shape[0], -1)
            out[:, self.n_controlled :] = 0.0

    def _pull(self, layer: int, delta: Tensor, out: Tensor) -> Tensor:
        """Write the cotangents of what went into a convolution, without its time; return out."""
        weight = self._weights[layer]
        if weight.shape[2] == 1:
            # A convolution of single pixels is a product of matrices, which is faster.
            torch.mm(delta.flatten(0, 2), weight[:, :, 0, 0], out=out.view(-1, out.shape[3]))
            return out
        # The input's cotangent does not depend on its values, so `out` may stand for it.
        image, *_ = _backward(delta, out, weight, [True, False, False])
        return out.copy_(image.movedim(1, -1))

    def accumulate(self, tape: ConvTape, n_stages: int, weights: Tensor | None = None) -> None:
        t = tape.x.blocks[:n_stages, :, self.n_controlled :].flatten()
        parts: list[Tensor] = []
        for i, (deltas, images) in enumerate(zip(self._deltas, tape.inputs, strict=True)):
            delta = deltas[:n_stages]
            if weights is not None:
                delta = delta * weights.view(n_stages, -1, 1, 1, 1)
            delta = delta.flatten(0, 1)
            image = images[:n_stages].flatten(0, 1)
            of_weight = [False, True, True]
            _, weight_sum, bias_sum = _backward(delta, image, self._weights[i], of_weight)
            if self.time_dependent:
                by_time = (t @ delta.flatten(1)).view(1, *delta.shape[1:])
                ones = self._ones.movedim(1, -1)
                weight = self._time_weights[i]
                _, time_sum, _ = _backward(by_time, ones, weight, of_weight)
                weight_sum = torch.cat((weight_sum, time_sum), 1)
            parts += [weight_sum, bias_sum]
        before = self._sums or [torch.zeros_like(part) for part in parts]
        self._sums = [total + part for total, part in zip(before, parts, strict=True)]

    def gradients(self) -> list[Tensor | None]:
        return [*self._sums]


def convolution(
    n_in: int, n_out: int, size: int, generator: torch.Generator | None, stride: int = 1
) -> nn.Conv2d:
    """Return a convolution whose numbers are drawn as torch draws them, by a given generator."""
    padding = (size - stride + 1) // 2
    layer = nn.Conv2d(n_in, n_out, size, stride=stride, padding=padding, device="meta")
    # These are made on torch's present default device, which is "meta" for a network that is only
    # looked at.
    layer.weight = nn.Parameter(torch.empty(layer.weight.shape))
    layer.bias = nn.Parameter(torch.empty(n_out))
    draw(layer, layer.weight[0].numel(), generator)
    return layer


def _backward(
    v: Tensor, image: Tensor, weight: Tensor, wanted: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the cotangents of a convolution's input, weight and bias, those that are wanted.

    `v` and `image` have their channels last.
    """
    padding = [weight.shape[2] // 2] * 2
    of_both = v.movedim(-1, 1), image.movedim(-1, 1)
    return aten.convolution_backward(
        *of_both, weight, [len(weight)], [1, 1], padding, [1, 1], False, [0, 0], 1, wanted
    )

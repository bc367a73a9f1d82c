"""Fields that know their own derivative."""

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from numbers import Integral
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..ode.field import DenseForm, Dynamics, Stack, Tape
from .activations import ACTIVATIONS

__all__ = ["MLPField", "linear"]


class MLPField(nn.Module):
    """A multilayer perceptron f(t, z), with its pullback in closed form.

    Parameters
    ----------
    n_dims : int
        Number of dimensions of the state.
    hidden_layer_sizes : sequence of int, default=(64, 64)
        Widths of the hidden layers; empty for a linear field.
    activation : {"tanh", "silu", "softplus", "relu"}, default="tanh"
        Between the layers; the last is linear.
    time_dependent : bool, default=True
        Whether t is an input beside z.
    generator : torch.Generator or None, default=None
        Draws the initial weights; None: torch's global one.

    Attributes
    ----------
    layers : nn.ModuleList of nn.Linear
        The layers; the first takes (z, t).

    Raises
    ------
    ValueError
        If a size is not a positive integer or the activation is not known.

    Examples
    --------
    >>> import torch
    >>> from sknode.modules import MLPField
    >>> field = MLPField(3, hidden_layer_sizes=(16,))
    >>> field(torch.zeros(5, 1), torch.ones(5, 3)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        n_dims: int,
        hidden_layer_sizes: Sequence[int] = (64, 64),
        activation: str = "tanh",
        time_dependent: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        sizes: list[Any] = [n_dims, *hidden_layer_sizes, n_dims]
        if not all(isinstance(size, Integral) and int(size) > 0 for size in sizes):
            raise ValueError(
                "n_dims and hidden_layer_sizes must be positive integers, "
                f"got {n_dims!r} and {hidden_layer_sizes!r}"
            )
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"activation={activation!r} is not known; choose from {list(ACTIVATIONS)}"
            )
        self.activation = activation
        self.time_dependent = time_dependent
        sizes_in = [n_dims + time_dependent, *sizes[1:-1]]
        self.layers = nn.ModuleList(
            linear(n_in, n_out, generator) for n_in, n_out in zip(sizes_in, sizes[1:], strict=True)
        )

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Return f(t, z), of the shape of z; t is () or broadcasts against z[..., :1]."""
        if self.time_dependent:
            z = torch.cat((z, t.expand(*z.shape[:-1], 1)), dim=-1)
        function = ACTIVATIONS[self.activation].function
        *hidden, last = self.layers
        for layer in hidden:
            z = function(layer(z))
        return last(z)

    def dense_form(self) -> DenseForm:
        """Return the layers."""
        layers = cast(Iterable[nn.Linear], self.layers)
        weights, biases = zip(*((layer.weight, layer.bias) for layer in layers), strict=True)
        return DenseForm(weights, biases, self.activation, self.time_dependent)

    def dynamics(self, z0: Tensor) -> Dynamics:
        """Bind the field to solves whose states have the shape of `z0`, (rows, n_dims)."""
        n_dims = self.layers[-1].out_features
        if z0.ndim != 2 or z0.shape[1] != n_dims:
            raise ValueError(
                f"z0 must have shape (rows, {n_dims}), as the field has {n_dims} dimensions, "
                f"got {(*z0.shape,)}"
            )
        return DenseDynamics(self.dense_form(), z0)


def linear(n_in: int, n_out: int, generator: torch.Generator | None) -> nn.Linear:
    """Return an `nn.Linear` whose numbers are drawn as its own are, but by a given generator."""
    if generator is None:
        return nn.Linear(n_in, n_out)
    layer = nn.Linear.__new__(nn.Linear)
    nn.Module.__init__(layer)
    layer.in_features, layer.out_features = n_in, n_out
    layer.weight = nn.Parameter(torch.empty(n_out, n_in))
    layer.bias = nn.Parameter(torch.empty(n_out))
    with torch.no_grad():
        nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
        layer.bias.uniform_(-(n_in**-0.5), n_in**-0.5, generator=generator)
    return layer


class DenseTape(Tape):
    """The stages' arguments and, for each hidden layer, what went into and came out of it."""

    def __init__(self, n_stages: int, dynamics: "DenseDynamics") -> None:
        rows, like = dynamics.shape[0], dynamics.controlled
        super().__init__(n_stages, dynamics.shape, like)
        widths = [len(bias) for bias in dynamics.biases[:-1]]
        outputs = [Stack(n_stages, (rows, width), like) for width in widths]
        saved = outputs
        if dynamics.activation.saves_input:
            saved = [Stack(n_stages, (rows, width), like) for width in widths]
            self.buffers += [stack.blocks for stack in saved]
        self.buffers += [stack.blocks for stack in outputs]
        self.inputs = [self.x, *outputs]
        self.saved = saved
        self.hidden = [
            [
                (weight.t(), bias, u[i], y[i])
                for weight, bias, u, y in zip(
                    dynamics.weights[:-1], dynamics.biases[:-1], saved, outputs, strict=True
                )
            ]
            for i in range(n_stages)
        ]
        """For each stage, the hidden layers: weight, bias, and where u and y go."""


class DenseDynamics(Dynamics):
    """Dense layers in closed form.

    The constants of the activation are folded into the layers around it. With time, the last
    layer has one more output, whose weights are zero and whose bias is one: the derivative of t.
    """

    def __init__(self, form: DenseForm, z0: Tensor) -> None:
        self.form = form
        self.activation = ACTIVATIONS[form.activation]
        rows, n = z0.shape
        self.shape = (rows, n + form.time_dependent)
        self.n_controlled = n
        self.controlled = z0.new_ones(self.shape[1])
        self.controlled[n:] = 0.0
        self._shapes = [weight.shape for weight in form.weights]
        self._shapes[-1] = torch.Size((self.shape[1], self._shapes[-1][1]))
        self._folded = z0.new_zeros(sum(n_out * (n_in + 1) for n_out, n_in in self._shapes))
        self.weights, self.biases = self._layers(self._folded)
        self.biases[-1].fill_(1.0)
        self._last = self.weights[-1].t()
        self._own = self._own_part(self.weights, self.biases)
        self._all_factors = self._fold_factors()
        self._factors = self._own_part(*self._layers(self._all_factors))
        self._ones = [z0.new_ones(n_in) for _, n_in in self._shapes]

    def _layers(self, flat: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Cut a vector of all the numbers into the layers' weights and biases."""
        sizes = [n_out * n_in for n_out, n_in in self._shapes]
        parts = flat.split(sizes + [n_out for n_out, _ in self._shapes])
        n = len(sizes)
        weights = [part.view(shape) for part, shape in zip(parts[:n], self._shapes, strict=True)]
        return weights, list(parts[n:])

    def _own_part(self, weights: list[Tensor], biases: list[Tensor]) -> list[Tensor]:
        """Leave out the derivative of t, and order as the form's parameters."""
        n = self.n_controlled
        pairs = zip([*weights[:-1], weights[-1][:n]], [*biases[:-1], biases[-1][:n]], strict=True)
        return list(chain.from_iterable(pairs))

    def _fold_factors(self) -> Tensor:
        """Return the constants by which all the numbers are multiplied."""
        factors = torch.ones_like(self._folded)
        weights, biases = self._layers(factors)
        for tensor in (*weights[:-1], *biases[:-1]):
            tensor.mul_(self.activation.inner)
        for weight in weights[1:]:
            weight.mul_(self.activation.outer)
        return factors

    def load(self) -> None:
        for own, parameter in zip(self._own, self.form.parameters, strict=True):
            own.copy_(parameter)
        self._folded.mul_(self._all_factors)
        shift = self.activation.shift / self.activation.outer
        if shift:
            layers = zip(self.weights[1:], self.biases[1:], self._ones[1:], strict=True)
            for weight, bias, ones in layers:
                bias.addmv_(weight, ones, alpha=shift)

    def new_tape(self, n_stages: int) -> DenseTape:
        return DenseTape(n_stages, self)

    def evaluate(self, tape: Tape, stage: int) -> Tensor:
        assert isinstance(tape, DenseTape)
        a = tape.x[stage]
        kernel = self.activation.kernel
        for weight, bias, u, y in tape.hidden[stage]:
            torch.addmm(bias, a, weight, out=u)
            kernel(u, y)
            a = y
        return torch.addmm(self.biases[-1], a, self._last)

    def begin_reverse(self, n_stages: int, *, weighted: bool) -> None:
        if not hasattr(self, "_deltas"):
            self._make_room(n_stages)
        self._sums.zero_()

    def _make_room(self, n_stages: int) -> None:
        rows, widths = self.shape[0], [len(bias) for bias in self.biases]
        self._deltas = [Stack(n_stages, (rows, width), self.controlled) for width in widths]
        self.v = self._deltas[-1]
        self._slopes = [Stack(n_stages, (rows, width), self.controlled) for width in widths[:-1]]
        self.cotangents = [delta.blocks for delta in reversed(self._deltas)]
        self._sums = torch.empty_like(self._folded)
        weight_sums, self._bias_sums = self._layers(self._sums)
        self._own_sums = self._own_part(weight_sums, self._bias_sums)
        self._weight_sums = [(total, total.t()) for total in weight_sums]
        self._ones_of_rows = self.controlled.new_ones(n_stages * rows)

    def linearise(self, tape: Tape, stage: int | None = None) -> None:
        assert isinstance(tape, DenseTape)
        for saved, slopes in zip(tape.saved, self._slopes, strict=True):
            if stage is None:
                self.activation.slope(saved.blocks, slopes.blocks)
            else:
                self.activation.slope(saved[stage], slopes[stage])

    def pullback(self, tape: Tape, stage: int, out: Tensor | None) -> None:
        assert isinstance(tape, DenseTape)
        v = self.v[stage]
        for i in range(len(self.weights) - 1, 0, -1):
            delta = self._deltas[i - 1][stage]
            torch.mm(v, self.weights[i], out=delta)
            delta.mul_(self._slopes[i - 1][stage])
            v = delta
        if out is not None:
            torch.mm(v, self.weights[0], out=out)

    def accumulate(self, tape: Tape, n_stages: int, weights: Tensor | None = None) -> None:
        assert isinstance(tape, DenseTape)
        ones = self._ones_of_rows[: n_stages * self.shape[0]]
        layers = zip(self._deltas, tape.inputs, self._weight_sums, self._bias_sums, strict=True)
        for deltas, inputs, (weight_sum, weight_sum_t), bias_sum in layers:
            delta, delta_t = deltas.rows(n_stages)
            if weights is not None:
                delta = (deltas.blocks[:n_stages] * weights).flatten(0, 1)
                delta_t = delta.t()
            a, a_t = inputs.rows(n_stages)
            # BLAS takes the product much faster with the narrower of the two on the left.
            if delta.shape[1] > a.shape[1]:
                weight_sum_t.addmm_(a_t, delta)
            else:
                weight_sum.addmm_(delta_t, a)
            bias_sum.addmv_(delta_t, ones)

    def gradients(self) -> list[Tensor | None]:
        own = [total * factor for total, factor in zip(self._own_sums, self._factors, strict=True)]
        if self.activation.shift:
            for weight, bias, ones in zip(own[2::2], own[3::2], self._ones[1:], strict=True):
                weight.addr_(bias, ones, alpha=self.activation.shift)
        return [*own]

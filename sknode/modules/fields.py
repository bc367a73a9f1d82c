"""Fields that know their own derivative."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..ode.field import DenseForm, Dynamics, Stack, Tape
from .activations import ACTIVATIONS

__all__ = ["MLPField"]


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
            nn.Linear(n_in, n_out) for n_in, n_out in zip(sizes_in, sizes[1:], strict=True)
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
        layers = [cast(nn.Linear, layer) for layer in self.layers]
        return DenseForm(
            [layer.weight for layer in layers],
            [layer.bias for layer in layers],
            self.activation,
            self.time_dependent,
        )

    def dynamics(self, z0: Tensor) -> Dynamics:
        """Bind the field to solves whose states have the shape of `z0`, (rows, n_dims)."""
        n_dims = self.layers[-1].out_features
        if z0.ndim != 2 or z0.shape[1] != n_dims:
            raise ValueError(
                f"z0 must have shape (rows, {n_dims}), as the field has {n_dims} dimensions, "
                f"got {(*z0.shape,)}"
            )
        return DenseDynamics(self.dense_form(), z0)


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
        shapes = [weight.shape for weight in form.weights]
        shapes[-1] = torch.Size((self.shape[1], shapes[-1][1]))
        self.weights = [z0.new_zeros(shape) for shape in shapes]
        self.biases = [z0.new_ones(shape[0]) for shape in shapes]
        self._last = self.weights[-1].t()
        self._folded = [
            (weight[: len(bias)], folded_bias[: len(bias)])
            for weight, bias, folded_bias in zip(
                self.weights, form.biases, self.biases, strict=True
            )
        ]
        # As the first layer, but without the time: its cotangent is never wanted.
        self._first = z0.new_zeros(shapes[0])
        self._first_state, self._weights_of_state = self._first[:, :n], self.weights[0][:, :n]
        self._ones = z0.new_ones(max(shape[1] for shape in shapes))

    def load(self) -> None:
        shift = self.activation.shift / self.activation.outer
        layers = zip(self.form.weights, self.form.biases, self._folded, strict=True)
        for i, (weight, bias, (folded, folded_bias)) in enumerate(layers):
            scale, bias_scale = self._scales(i)
            torch.mul(weight, scale, out=folded)
            if i and shift:
                ones = self._ones[: weight.shape[1]]
                torch.addmv(bias, folded, ones, beta=bias_scale, alpha=shift, out=folded_bias)
            else:
                torch.mul(bias, bias_scale, out=folded_bias)
        self._first_state.copy_(self._weights_of_state)

    def _scales(self, i: int) -> tuple[float, float]:
        """Return the constants by which layer i's weights and biases are multiplied."""
        out = self.activation.inner if i < len(self.weights) - 1 else 1.0
        return (out * self.activation.outer if i else out), out

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
        self.cotangents = [delta.blocks for delta in reversed(self._deltas)]
        layers = [*self.weights, *self.biases]
        self._sums = self.controlled.new_empty(sum(layer.numel() for layer in layers))
        parts = self._sums.split([layer.numel() for layer in layers])
        sums = [part.view_as(layer) for part, layer in zip(parts, layers, strict=True)]
        self._weight_sums, self._bias_sums = sums[: len(widths)], sums[len(widths) :]
        self._sums_of_layers = [
            (weight[: len(bias)], bias_sum[: len(bias)])
            for weight, bias, bias_sum in zip(
                self._weight_sums, self.form.biases, self._bias_sums, strict=True
            )
        ]
        self._ones_of_rows = self.controlled.new_ones(n_stages * rows)

    def pullback(self, tape: Tape, stage: int, out: Tensor) -> None:
        assert isinstance(tape, DenseTape)
        v = self.v[stage]
        backward = self.activation.backward
        for i in range(len(self.weights) - 1, 0, -1):
            delta = self._deltas[i - 1][stage]
            torch.mm(v, self.weights[i], out=delta)
            backward(delta, tape.saved[i - 1][stage], delta)
            v = delta
        torch.mm(v, self._first, out=out)

    def accumulate(self, tape: Tape, n_stages: int, weights: Tensor | None = None) -> None:
        assert isinstance(tape, DenseTape)
        ones = self._ones_of_rows[: n_stages * self.shape[0]]
        for i, (deltas, inputs) in enumerate(zip(self._deltas, tape.inputs, strict=True)):
            if weights is None:
                delta = deltas.rows(n_stages)
            else:
                delta = (deltas.blocks[:n_stages] * weights).flatten(0, 1)
            _add_product(self._weight_sums[i], delta, inputs.rows(n_stages))
            self._bias_sums[i].addmv_(delta.t(), ones)

    def gradients(self) -> list[Tensor | None]:
        shift = self.activation.shift
        gradients: list[Tensor | None] = []
        for i, (weight_sum, bias_sum) in enumerate(self._sums_of_layers):
            scale, bias_scale = self._scales(i)
            weight, bias = weight_sum * scale, bias_sum * bias_scale
            if i and shift:
                weight.add_(bias.unsqueeze(1), alpha=shift)
            gradients += [weight, bias]
        return gradients


def _add_product(total: Tensor, delta: Tensor, a: Tensor) -> None:
    """Add δᵀa, with the narrower of the two on the left, where BLAS takes it much faster."""
    if delta.shape[1] > a.shape[1]:
        total.t().addmm_(a.t(), delta)
    else:
        total.addmm_(delta.t(), a)

"""Fields that know their own derivative."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..ode.field import DenseForm, Dynamics, Stack, Tape
from .activations import ACTIVATIONS, Activation

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
        sizes = [n_dims, *hidden_layer_sizes, n_dims]
        if not all(isinstance(size, int) and size > 0 for size in sizes):
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
        """Return the layers as plain tensors."""
        return DenseForm(
            [layer.weight.detach() for layer in self.layers],
            [layer.bias.detach() for layer in self.layers],
            self.activation,
            self.time_dependent,
        )

    def dynamics(self, z0: Tensor) -> Dynamics:
        """Bind the field to a solve that starts at `z0`, of shape (rows, n_dims)."""
        n_dims = self.layers[-1].out_features
        if z0.ndim != 2 or z0.shape[1] != n_dims:
            raise ValueError(
                f"z0 must have shape (rows, {n_dims}), as the field has {n_dims} dimensions, "
                f"got {(*z0.shape,)}"
            )
        return DenseDynamics(self.dense_form(), z0)


class DenseTape(Tape):
    """The stages' arguments and, for each hidden layer, what its activation made of them."""

    def __init__(self, n_stages: int, rows: int, widths: Sequence[int], dynamics: "DenseDynamics"):
        super().__init__(n_stages, dynamics.shape, dynamics.controlled)
        like = dynamics.controlled
        self.outputs = [Stack(n_stages, (rows, width), like) for width in widths]
        self.inputs = self.outputs
        if dynamics.activation.saves_input:
            self.inputs = [Stack(n_stages, (rows, width), like) for width in widths]
        self.buffers += [stack.blocks for stack in self.outputs]
        if dynamics.activation.saves_input:
            self.buffers += [stack.blocks for stack in self.inputs]


class DenseDynamics(Dynamics):
    """Dense layers in closed form.

    With time, the last layer has one more output, whose weights are zero and whose bias is one:
    the derivative of t. The constants of the activation are folded into the layers around it.
    """

    def __init__(self, form: DenseForm, z0: Tensor) -> None:
        self.form = form
        self.activation = ACTIVATIONS[form.activation]
        rows, n = z0.shape
        self.shape = (rows, n + form.time_dependent)
        self.n_controlled = n
        self.controlled = z0.new_ones(self.shape[1])
        self.controlled[n:] = 0.0
        self.weights, self.biases = _fold(form, self.activation)
        self._hidden = list(
            zip((w.t() for w in self.weights[:-1]), self.biases[:-1], strict=True)
        )
        self._last = self.weights[-1].t()
        # The cotangent of the time is never wanted.
        self._first = self.weights[0]
        if form.time_dependent:
            self._first = self._first.clone()
            self._first[:, -1] = 0.0

    def new_tape(self, n_stages: int) -> DenseTape:
        return DenseTape(n_stages, self.shape[0], [len(b) for b in self.biases[:-1]], self)

    def evaluate(self, tape: Tape, stage: int) -> Tensor:
        assert isinstance(tape, DenseTape)
        a = tape.x[stage]
        for (weight, bias), u, y in zip(self._hidden, tape.inputs, tape.outputs, strict=True):
            torch.addmm(bias, a, weight, out=u[stage])
            a = self.activation.kernel(u[stage], y[stage])
        return torch.addmm(self.biases[-1], a, self._last)

    def begin_reverse(self, n_stages: int, *, weighted: bool) -> None:
        rows = self.shape[0]
        widths = [len(b) for b in self.biases]
        self._deltas = [Stack(n_stages, (rows, width), self.controlled) for width in widths]
        self.v = self._deltas[-1]
        self.cotangents = [delta.blocks for delta in reversed(self._deltas)]
        self._weight_sums = [torch.zeros_like(w) for w in self.weights]
        self._bias_sums = [torch.zeros_like(b) for b in self.biases]

    def pullback(self, tape: Tape, stage: int, out: Tensor) -> None:
        assert isinstance(tape, DenseTape)
        v = self.v[stage]
        for i in reversed(range(len(self._hidden))):
            delta = self._deltas[i][stage]
            torch.mm(v, self.weights[i + 1], out=delta)
            v = self.activation.backward(delta, tape.inputs[i][stage], delta)
        torch.mm(v, self._first, out=out)

    def accumulate(self, tape: Tape, stages: range, weights: Tensor | None = None) -> None:
        assert isinstance(tape, DenseTape)
        part = slice(stages.start, stages.stop)
        inputs = [tape.x, *tape.outputs]
        for i, delta in enumerate(self._deltas):
            d = delta.blocks[part]
            if weights is not None:
                d = d * weights
            d = d.flatten(0, 1)
            _add_product(self._weight_sums[i], d, inputs[i].blocks[part].flatten(0, 1))
            self._bias_sums[i].add_(d.sum(0))

    def gradients(self) -> list[Tensor | None]:
        return _unfold(self.form, self.activation, self._weight_sums, self._bias_sums)


def _add_product(total: Tensor, d: Tensor, a: Tensor) -> None:
    """Add dᵀa, with the narrower of the two on the left, where BLAS takes it much faster."""
    if d.shape[1] > a.shape[1]:
        total.t().addmm_(a.t(), d)
    else:
        total.addmm_(d.t(), a)


def _fold(form: DenseForm, activation: Activation) -> tuple[list[Tensor], list[Tensor]]:
    """Write the layers in terms of the activation's kernel, with the derivative of t appended."""
    inner, outer, shift = activation.inner, activation.outer, activation.shift
    weights, biases = list(form.weights), list(form.biases)
    if shift:
        for i in range(1, len(weights)):
            biases[i] = biases[i] + shift * weights[i].sum(1)
    if (inner, outer) != (1.0, 1.0):
        last = len(weights) - 1
        for i in range(len(weights)):
            weights[i] = weights[i] * ((outer if i else 1.0) * (inner if i < last else 1.0))
            biases[i] = biases[i] * (inner if i < last else 1.0)
    if form.time_dependent:
        weights[-1] = nn.functional.pad(weights[-1], (0, 0, 0, 1))
        biases[-1] = nn.functional.pad(biases[-1], (0, 1), value=1.0)
    return weights, biases


def _unfold(
    form: DenseForm, activation: Activation, weight_sums: list[Tensor], bias_sums: list[Tensor]
) -> list[Tensor | None]:
    """Turn gradients of the folded layers into those of the layers, weight and bias in turn."""
    inner, outer, shift = activation.inner, activation.outer, activation.shift
    gradients: list[Tensor | None] = []
    last = len(weight_sums) - 1
    for i, (weight, bias) in enumerate(zip(weight_sums, bias_sums, strict=True)):
        n_out = len(form.biases[i])
        weight, bias = weight[:n_out], bias[:n_out]
        scale = inner if i < last else 1.0
        if scale != 1.0:
            bias = bias * scale
        if scale * outer != 1.0:
            weight = weight * (scale * (outer if i else 1.0))
        if shift and i:
            weight = weight.add(bias.unsqueeze(1), alpha=shift)
        gradients += [weight, bias]
    return gradients

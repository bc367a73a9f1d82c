"""Dense layers in closed form, the derivative of any field that is a stack of them."""

from collections.abc import Sequence
from itertools import chain
from math import prod

import torch
from torch import Tensor

from ..ode.dense import DenseForm
from ..ode.field import Dynamics, Stack, Tape, rows_of_members
from .activations import ACTIVATIONS

__all__ = ["DenseDynamics"]


class DenseTape(Tape):
    """The stages' arguments and, for each hidden layer, what went into and came out of it."""

    def __init__(self, n_stages: int, dynamics: "DenseDynamics") -> None:
        rows = dynamics.shape[0]
        like = dynamics.controlled
        n_members = dynamics.n_members
        super().__init__(n_stages, dynamics.shape, like)
        widths = [bias.shape[1] for bias in dynamics.biases[:-1]]
        outputs = [Stack(n_stages, (rows, width), like) for width in widths]
        saved = outputs
        if dynamics.activation.saves_input:
            saved = [Stack(n_stages, (rows, width), like) for width in widths]
            self.buffers += [stack.blocks for stack in saved]
        self.buffers += [stack.blocks for stack in outputs]
        self.inputs = [self.x, *outputs]
        self.saved = saved
        self.arguments = self.x.of_members(n_members)
        layers = [
            (weight.mT, bias.unsqueeze(1), u.of_members(n_members), y.of_members(n_members))
            for weight, bias, u, y in zip(
                dynamics.weights[:-1], dynamics.biases[:-1], saved, outputs, strict=True
            )
        ]
        self.hidden = [[(w, b, u[i], y[i]) for w, b, u, y in layers] for i in range(n_stages)]
        """For each stage, the hidden layers: weight, bias, and where u and y go."""


class DenseDynamics(Dynamics[DenseTape]):
    """Dense layers in closed form.

    The constants of the activation are folded into the layers around it. With time, the last
    layer has one more output, whose weights are zero and whose bias is one: the derivative of t.
    All layers have a first axis for the members of the field, be it only one.
    """

    def __init__(self, form: DenseForm, z0: Tensor) -> None:
        _ = form.sizes
        self.n_members = form.n_members
        self.activation = ACTIVATIONS[form.activation]
        rows, n = z0.shape
        self.shape = (rows, n + form.time_dependent)
        self.n_controlled = n
        self.controlled = z0.new_ones(self.shape[1])
        self.controlled[n:] = 0.0
        self._parameter_shapes = [parameter.shape for parameter in form.parameters]
        self._shapes = [(self.n_members, *weight.shape[-2:]) for weight in form.weights]
        self._shapes[-1] = (self.n_members, self.shape[1], self._shapes[-1][2])
        n_numbers = sum(members * n_out * (n_in + 1) for members, n_out, n_in in self._shapes)
        self._folded = z0.new_zeros(n_numbers)
        self.weights, self.biases = self._layers(self._folded)
        self.biases[-1].fill_(1.0)
        self._last = self.biases[-1].unsqueeze(1), self.weights[-1].mT
        self._own = self._own_part(self.weights, self.biases)
        self._all_factors = self._fold_factors()
        self._factors = self._own_part(*self._layers(self._all_factors))

    def _layers(self, flat: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Cut a vector of all the numbers into the layers' weights and biases."""
        shapes = [*self._shapes, *(shape[:2] for shape in self._shapes)]
        parts = flat.split([prod(shape) for shape in shapes])
        layers = [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
        n = len(self._shapes)
        return layers[:n], layers[n:]

    def _own_part(self, weights: list[Tensor], biases: list[Tensor]) -> list[Tensor]:
        """Leave out the derivative of t, and order as the form's parameters."""
        n = self.n_controlled
        last = weights[-1][:, :n], biases[-1][:, :n]
        return [*chain.from_iterable(zip(weights[:-1], biases[:-1], strict=True)), *last]

    def _fold_factors(self) -> Tensor:
        """Return the constants by which all the numbers are multiplied."""
        factors = torch.ones_like(self._folded)
        weights, biases = self._layers(factors)
        for tensor in (*weights[:-1], *biases[:-1]):
            tensor.mul_(self.activation.inner)
        for weight in weights[1:]:
            weight.mul_(self.activation.outer)
        return factors

    def load(self, parameters: Sequence[Tensor]) -> None:
        for own, parameter in zip(self._own, parameters, strict=True):
            own.copy_(parameter)
        self._folded.mul_(self._all_factors)
        shift = self.activation.shift / self.activation.outer
        if shift:
            for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
                bias.add_(weight.sum(2), alpha=shift)

    def new_tape(self, n_stages: int) -> DenseTape:
        return DenseTape(n_stages, self)

    def evaluate(self, tape: DenseTape, stage: int) -> Tensor:
        a = tape.arguments[stage]
        kernel = self.activation.kernel
        for weight, bias, u, y in tape.hidden[stage]:
            torch.baddbmm(bias, a, weight, out=u)
            kernel(u, y)
            a = y
        bias, weight = self._last
        return torch.baddbmm(bias, a, weight).view(self.shape)

    def begin_reverse(self, n_stages: int, *, weighted: bool) -> None:
        if not hasattr(self, "_deltas"):
            self._make_room(n_stages)
        self._sums.zero_()

    def _make_room(self, n_stages: int) -> None:
        rows = self.shape[0]
        widths = [bias.shape[1] for bias in self.biases]
        self._deltas = [Stack(n_stages, (rows, width), self.controlled) for width in widths]
        self._deltas_of_members = [stack.of_members(self.n_members) for stack in self._deltas]
        self.v = self._deltas[-1]
        self._slopes = [Stack(n_stages, (rows, width), self.controlled) for width in widths[:-1]]
        self._slopes_of_members = [stack.of_members(self.n_members) for stack in self._slopes]
        self.cotangents = [delta.blocks for delta in reversed(self._deltas)]
        self._sums = torch.empty_like(self._folded)
        weight_sums, bias_sums = self._layers(self._sums)
        self._own_sums = self._own_part(weight_sums, bias_sums)
        self._weight_sums = [(total, total.mT) for total in weight_sums]
        self._bias_sums = [total.unsqueeze(2) for total in bias_sums]
        self._ones = self.controlled.new_ones(1).expand(
            self.n_members, n_stages * rows // self.n_members, 1
        )

    def linearise(self, tape: DenseTape, stage: int | None = None) -> None:
        for saved, slopes in zip(tape.saved, self._slopes, strict=True):
            if stage is None:
                self.activation.slope(saved.blocks, slopes.blocks)
            else:
                self.activation.slope(saved[stage], slopes[stage])

    def pullback(self, tape: DenseTape, stage: int, out: Tensor | None) -> None:
        v = self._deltas_of_members[-1][stage]
        for i in range(len(self.weights) - 1, 0, -1):
            delta = self._deltas_of_members[i - 1][stage]
            torch.bmm(v, self.weights[i], out=delta)
            delta.mul_(self._slopes_of_members[i - 1][stage])
            v = delta
        if out is not None:
            torch.bmm(v, self.weights[0], out=out.view(*v.shape[:2], -1))

    def accumulate(self, tape: DenseTape, n_stages: int, weights: Tensor | None = None) -> None:
        ones = self._ones[:, : n_stages * self.shape[0] // self.n_members]
        layers = zip(self._deltas, tape.inputs, self._weight_sums, self._bias_sums, strict=True)
        for deltas, inputs, (weight_sum, weight_sum_t), bias_sum in layers:
            delta, delta_t = deltas.rows(n_stages, self.n_members)
            if weights is not None:
                delta = delta * rows_of_members(weights, self.n_members)
                delta_t = delta.mT
            a, a_t = inputs.rows(n_stages, self.n_members)
            # BLAS takes the product much faster with the narrower of the two on the left.
            if delta.shape[2] > a.shape[2]:
                weight_sum_t.baddbmm_(a_t, delta)
            else:
                weight_sum.baddbmm_(delta_t, a)
            bias_sum.baddbmm_(delta_t, ones)

    def gradients(self) -> list[Tensor | None]:
        own = [total * factor for total, factor in zip(self._own_sums, self._factors, strict=True)]
        if self.activation.shift:
            for weight, bias in zip(own[2::2], own[3::2], strict=True):
                weight.add_(bias.unsqueeze(2), alpha=self.activation.shift)
        shapes = self._parameter_shapes
        return [part.view(shape) for part, shape in zip(own, shapes, strict=True)]

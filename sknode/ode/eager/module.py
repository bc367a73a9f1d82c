"""A field bound to a solve: in closed form, or by autograd on the single evaluation."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..field import ClosedFormField, Dynamics, Stack, Tape, kind_of

__all__ = ["bind"]


class ModuleDynamics(Dynamics[Tape]):
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


def bind(field: nn.Module, z0: Tensor) -> Dynamics:
    """Bind a field to solves of the shape of `z0`, in closed form where it offers one."""
    if isinstance(field, ClosedFormField):
        return field.dynamics(z0)
    return ModuleDynamics(field, z0)

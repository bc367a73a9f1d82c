"""Activations with their derivatives, as pairs of fused kernels that write where they are told.

Between dense layers the constants of a kernel are folded into the layers, and all slopes of a step
are found at once; between convolutions a derivative is applied in place. A new activation is one
more entry of either dict; exports and the native engine's source know them by name, too.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["ACTIVATIONS", "NONLINEARITIES", "Activation", "Nonlinearity"]

aten = torch.ops.aten


class Activation(NamedTuple):
    """An activation α·k(β·u) + γ over a kernel k.

    Attributes
    ----------
    function : callable
        The activation itself.
    kernel : callable (u, out)
        Writes k(u).
    slope : callable (saved, out)
        Writes k'(u).
    saves_input : bool
        Whether `saved` is u; otherwise it is k(u).
    inner, outer, shift : float
        β, α, γ.
    """

    function: Callable[[Tensor], Tensor]
    kernel: Callable[[Tensor, Tensor], Tensor]
    slope: Callable[[Tensor, Tensor], Tensor]
    saves_input: bool = False
    inner: float = 1.0
    outer: float = 1.0
    shift: float = 0.0


def _ones(like: Tensor) -> Tensor:
    return like.new_ones(()).expand_as(like)


ACTIVATIONS: dict[str, Activation] = {
    # tanh(u) = 2σ(2u) − 1, and on the CPU torch's tanh takes several times as long as its sigmoid.
    "tanh": Activation(
        torch.tanh,
        lambda u, out: torch.sigmoid(u, out=out),
        lambda y, out: torch.addcmul(y, y, y, value=-1, out=out),
        inner=2.0,
        outer=2.0,
        shift=-1.0,
    ),
    "silu": Activation(
        nn.functional.silu,
        lambda u, out: aten.silu.out(u, out=out),
        lambda u, out: aten.silu_backward.grad_input(_ones(u), u, grad_input=out),
        saves_input=True,
    ),
    "softplus": Activation(
        nn.functional.softplus,
        lambda u, out: aten.softplus.out(u, out=out),
        lambda u, out: aten.softplus_backward.grad_input(_ones(u), u, 1.0, 20.0, grad_input=out),
        saves_input=True,
    ),
    "relu": Activation(
        torch.relu,
        lambda u, out: torch.clamp_min(u, 0, out=out),
        lambda y, out: torch.gt(y, 0, out=out),
    ),
}


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

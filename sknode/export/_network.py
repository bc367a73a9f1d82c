"""What becomes of the parts of a network: lift, fields and head."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from ..modules.heads import FirstDims
from ..modules.lifts import PeriodicLift
from ..ode.dense import DenseForm, dense_form_of
from ._graph import Graph
from ._solve import Slope, Way, append_solve

__all__ = ["append_network", "dtype_of"]


def dtype_of(network: nn.Module) -> np.dtype:
    """Return the dtype that a network computes in."""
    (parameter,) = _arrays(next(network.parameters()))
    return parameter.dtype


def append_network(graph: Graph, network: Any, member: int, ways: list[Way], x: str) -> str:
    """Append the way from scaled features to a member's outputs, (rows, n_outputs)."""
    own = member if network.n_members > 1 else None
    z = _lift(graph, network.lift, own, x)
    if network.augment_dim:
        z = graph.apply("Pad", z, graph.constant([0, 0, 0, network.augment_dim], np.int64))
    for way in ways:
        form = dense_form_of(way.block.field)
        assert form is not None
        z = append_solve(graph, way, _field(graph, form, own), z)
    if isinstance(network.head, FirstDims):
        first = graph.constant(range(network.head.n_outputs), np.int64)
        return graph.apply("Gather", z, first, axis=1)
    return graph.linear(z, *_arrays(network.head.weight, network.head.bias, member=own))


def _lift(graph: Graph, lift: Any, member: int | None, x: str) -> str:
    """Append the way from scaled features to z(0)."""
    if isinstance(lift, nn.Identity):
        return x
    if isinstance(lift, PeriodicLift):
        return _periodic(graph, lift, member, x)
    return graph.linear(x, *_arrays(lift.weight, lift.bias, member=member))


def _periodic(graph: Graph, lift: PeriodicLift, member: int | None, x: str) -> str:
    """Append the features beside functions of them, and what is linear in both."""
    frequencies, phases, combinations = _arrays(
        lift.frequencies, lift.phases, lift.combinations, member=member
    )
    omega = graph.constant(2 * np.pi * frequencies[:, None])
    # A cosine is a sine a quarter of a turn ahead; onnxruntime has no cosine of float64.
    phase = graph.constant(phases[:, None] + np.pi / 2)
    index = lift.get_buffer("features").tolist()
    chosen = graph.apply("Gather", x, graph.constant(index, np.int64), axis=1)
    column = graph.apply("Unsqueeze", chosen, graph.constant([2, 3], np.int64))
    angles = graph.apply("Add", graph.apply("Mul", column, omega), phase)
    waves = graph.apply("Sin", angles)
    functions = graph.apply("MatMul", waves, graph.constant(combinations))
    rows = graph.apply("Concat", x, graph.apply("Flatten", functions, axis=1), axis=1)
    return graph.linear(rows, *_arrays(lift.linear.weight, lift.linear.bias, member=member))


def _field(graph: Graph, form: DenseForm, member: int | None) -> Slope:
    """Return what appends f(t, z), given t and the name of z."""
    weights = _arrays(*form.weights, member=member)
    biases = _arrays(*form.biases, member=member)
    by_time = np.zeros_like(biases[0])
    if form.time_dependent:
        by_time = weights[0][:, -1]
        weights[0] = weights[0][:, :-1]

    def slope(t: float, z: str) -> str:
        # Every stage has a time of its own, known beforehand: it belongs to the bias.
        z = graph.linear(z, weights[0], biases[0] + t * by_time)
        for weight, bias in zip(weights[1:], biases[1:], strict=True):
            z = graph.linear(ACTIVATIONS[form.activation](graph, z), weight, bias)
        return z

    return slope


def _silu(graph: Graph, u: str) -> str:
    return graph.apply("Mul", u, graph.apply("Sigmoid", u))


def _softplus(graph: Graph, u: str) -> str:
    # It is max(u, 0) + log(1 + exp(-|u|)); onnxruntime has no Softplus of float64.
    decay = graph.apply("Exp", graph.apply("Neg", graph.apply("Abs", u)))
    rest = graph.apply("Log", graph.apply("Add", decay, graph.constant(1.0)))
    return graph.apply("Add", graph.apply("Relu", u), rest)


ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "tanh": lambda graph, u: graph.apply("Tanh", u),
    "silu": _silu,
    "softplus": _softplus,
    "relu": lambda graph, u: graph.apply("Relu", u),
}


def _arrays(*tensors: Tensor, member: int | None = None) -> list[np.ndarray]:
    """Return tensors as arrays, a member's part of each unless there is but one."""
    arrays = [tensor.detach().cpu().numpy() for tensor in tensors]
    return arrays if member is None else [array[member] for array in arrays]

"""A graph in the making, and the model of ONNX that it becomes."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

__all__ = ["CODES", "FLOAT64", "Answer", "Graph", "model_of"]

# Every onnxruntime since 1.12, of 2022, reads this opset.
OPSET = 17
FLOAT64 = np.dtype(np.float64)
CODES = {np.dtype(np.float32): 1, FLOAT64: 11}
"""How ONNX numbers the dtypes."""


class Node(NamedTuple):
    """What is done to values, and the name of what comes of it."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str]
    attributes: dict[str, Any]


class Answer(NamedTuple):
    """What a graph returns, (rows, width)."""

    name: str
    dtype: np.dtype
    width: int


class Graph:
    """A graph in the making: nodes, and constants in the dtype of the network unless told.

    A value goes by its name; that of the input is "X".
    """

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self._names: dict[tuple, str] = {}

    def constant(self, numbers: ArrayLike, dtype: DTypeLike | None = None) -> str:
        """Return the name of a constant; equal ones share it."""
        array = np.asarray(numbers, dtype or self.dtype)
        key = (array.dtype, array.shape, array.tobytes())
        name = self._names.setdefault(key, f"constant_{len(self._names)}")
        self.constants[name] = array
        return name

    def apply(
        self, operator: str, *inputs: str, output: str | None = None, **attributes: int
    ) -> str:
        """Append a node, and return the name of its output."""
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(Node(operator, inputs, (output,), attributes))
        return output

    def linear(self, x: str, weight: np.ndarray, bias: np.ndarray) -> str:
        """Append x·Wᵀ + b."""
        return self.apply("Gemm", x, self.constant(weight), self.constant(bias), transB=1)

    def add_up(self, z: str, weights: Iterable[float], slopes: Iterable[str]) -> str:
        """Append z + Σ w k, without the terms whose weight is zero."""
        pairs = zip(weights, slopes, strict=True)
        terms = [self.apply("Mul", k, self.constant(w)) for w, k in pairs if w]
        return self.apply("Sum", z, *terms) if terms else z


def model_of(
    graph: Graph, answer: Answer, *, name: str, n_features: int, notes: dict[str, str]
) -> Any:
    """Return a graph as an `onnx.ModelProto`, with notes as its metadata."""
    try:
        from onnx import helper, numpy_helper
    except ImportError as error:
        raise ImportError("export_onnx needs onnx: pip install 'sknode[onnx]'") from error
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node(*node[:3], **node.attributes) for node in graph.nodes],
        name,
        [info("X", CODES[graph.dtype], ["rows", n_features])],
        [info(answer.name, CODES[answer.dtype], ["rows", answer.width])],
        [numpy_helper.from_array(array, constant) for constant, array in graph.constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    # The version that make_model takes by itself is the newest, which older runtimes refuse.
    version = helper.find_min_ir_version_for(opsets)
    model = helper.make_model(body, opset_imports=opsets, ir_version=version)
    helper.set_model_props(model, notes)
    return model

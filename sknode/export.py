"""Fitted estimators as ONNX graphs, which run without torch and without sknode.

The nodes are written here and not by torch.onnx.export, which in torch 2.13 takes 13 s for the
ten steps of dopri5 that are written in 0.02 s, logs and warns on the user's screen, leaves paths
of the exporting machine in the file, and uses operators that onnxruntime lacks in float64.
"""

import json
import os
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import pairwise
from math import ceil, inf
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from scipy import sparse
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from ._checks import check_count
from ._files import check_writable, write_bytes
from ._versions import versions
from .estimators.classification import Classification
from .estimators.regression import Regression
from .estimators.tabular import BaseRowNetwork
from .modules import ODEBlock, ResidualBlocks
from .modules.heads import FirstDims
from .modules.lifts import PeriodicLift
from .ode.dense import DenseForm, dense_form_of
from .ode.tableau import Tableau
from .training.scaling import CLIP, Scaling

__all__ = ["Export", "export_onnx"]

# Features beyond it, whose squares overflow, are clipped to ±3 to the last bit all the same.
SQUARABLE = 1e150
N_STEPS = 10
# A graph of so many has tens of thousands of nodes and more.
MOST_STEPS = 1000
N_ROWS = 1000
# Every onnxruntime since 1.12, of 2022, reads it.
OPSET = 17
FLOAT64 = np.dtype(np.float64)
CODES = {np.dtype(np.float32): 1, FLOAT64: 11}
"""How ONNX numbers the dtypes."""
# Bounds the memory of the reference evaluator, which keeps what every node returns.
RESULTS_AT_A_TIME = 200_000

Way: TypeAlias = tuple[ODEBlock, list[float]]
"""A block, and the ends of its steps."""
Slope: TypeAlias = Callable[[float, str], str]


class Export(NamedTuple):
    """What was exported.

    Attributes
    ----------
    path : Path
        The file.
    n_steps : int
        Number of equal steps from t = 0 to t = 1.
    deviation : float
        Largest absolute difference between what the graph and what the estimator predicted;
        infinite where the graph overflowed.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn.datasets import load_iris
    >>> from sknode import NODEClassifier, export_onnx
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = NODEClassifier(max_epochs=2, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path, n_steps, deviation = export_onnx(classifier, os.path.join(folder, "iris.onnx"))
    >>> path.name, n_steps, deviation < 1e-4
    ('iris.onnx', 1, True)
    """

    path: Path
    n_steps: int
    deviation: float


def export_onnx(
    estimator: BaseRowNetwork,
    path: str | os.PathLike,
    *,
    n_steps: int | None = None,
    X: ArrayLike | sparse.spmatrix | None = None,
) -> Export:
    """Write a fitted estimator to a file as an ONNX graph.

    The graph holds all of a prediction: the standardisation, the network with its solve as a
    sequence of equal steps, and the link. Its input "X", (rows, n_features) with any number of
    rows, has the dtype of the network. Its output is "probabilities", (rows, n_classes), as of
    `predict_proba`, or "predictions", (rows, n_targets), as of `predict`, each in the dtype of
    those. Its metadata hold the version of sknode, "sknode_version", and of a classifier the labels
    in JSON, "classes". The file is written in one step and depends on no other.

    A solver with a fixed grid is exported as it is, and the graph predicts what the estimator
    does, up to rounding. An adaptive solver chooses its steps for each row, a graph cannot: there
    the steps are `n_steps` equal ones of the same method, and how far that takes the predictions
    from those of the estimator is measured, on the graph as written. More steps bring the graph
    closer to the solution, and so to the estimator, down to the estimator's own `tolerance`.

    Parameters
    ----------
    estimator : NODEClassifier, NODERegressor, ResNetClassifier or ResNetRegressor
        The fitted estimator. It stays as it is, and where it is.
    path : str or path
        Where to; by custom the name ends in ``.onnx``. A link is followed. A new file has the
        permissions that any other would have, one that is replaced keeps its own.
    n_steps : int or None, default=None
        Number of steps for an adaptive solver, at most 1000; None: 10. For a fixed grid or residual
        blocks None, or their number, which must not be larger either.
    X : {array-like, sparse matrix} of shape (n_samples, n_features) or None, default=None
        Rows to measure the deviation on. The graph gets them in its own dtype, so that rounding
        them to float32 counts. None: 1000 rows, normally distributed with the mean and the scale
        of each feature, the same every time.

    Returns
    -------
    Export
        The path, the number of steps, and the deviation.

    Raises
    ------
    TypeError
        If it is no estimator of sknode.
    NotFittedError
        If it has not been fitted.
    ValueError
        If `n_steps` is not a positive integer or not that of the fixed grid, X does not have the
        features of the fit, or there cannot be a file of that name: a folder, a pipe or a device
        is there, or it is too long.
    ImportError
        If onnx is not installed.
    SolverError
        If the estimator cannot solve a row by which the deviation is measured.
    OSError
        If the file cannot be written; the message says what is there now.

    See Also
    --------
    save : A file for sknode itself, exact for every solver.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn.datasets import load_iris
    >>> from sknode import NODEClassifier, export_onnx
    >>> X, y = load_iris(return_X_y=True)
    >>> settings = {"n_steps": 2, "max_epochs": 2, "dtype": "float64"}
    >>> classifier = NODEClassifier(**settings, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export = export_onnx(classifier.fit(X, y), os.path.join(folder, "iris.onnx"))
    >>> export.n_steps, export.deviation < 1e-9
    (2, True)
    """
    if not isinstance(estimator, BaseRowNetwork):
        raise TypeError(
            "export_onnx writes NODEClassifier, NODERegressor, ResNetClassifier and "
            f"ResNetRegressor, got {type(estimator).__name__}; of a pipeline, export the step that "
            "is one"
        )
    check_is_fitted(estimator)
    # Running an estimator leaves traces in its network, so a copy is run.
    estimator = deepcopy(estimator)
    ways = _ways(estimator.net_.module_.block, n_steps)
    rows = _rows(estimator, X)
    path = Path(path)
    check_writable(path)
    model = _model(estimator, ways)
    deviation = _deviation(model, estimator, rows)
    write_bytes(path, model.SerializeToString())
    return Export(path, sum(len(grid) - 1 for _, grid in ways), deviation)


def _ways(block: ODEBlock | ResidualBlocks, n_steps: Any) -> list[Way]:
    """Return the solves from z(0) to z(1), one after the other."""
    if n_steps is not None:
        n_steps = check_count("n_steps", n_steps, MOST_STEPS)
    if isinstance(block, ODEBlock) and block.settings.method.adaptive:
        method = block.settings.method._replace(n_steps=n_steps or N_STEPS)
        return [(block, method.grid([0.0, block.t1]))]
    blocks = block.ordered if isinstance(block, ResidualBlocks) else [block]
    ways = [(each, each.settings.method.grid([0.0, each.t1])) for each in blocks]
    n_own = sum(len(grid) - 1 for _, grid in ways)
    if n_own > MOST_STEPS:
        raise ValueError(f"at most {MOST_STEPS} steps are exported, the estimator takes {n_own}")
    if n_steps not in (None, n_own):
        raise ValueError(
            f"the number of steps is fixed, n_steps={n_own}; leave n_steps out, got {n_steps}"
        )
    return ways


def _rows(estimator: BaseRowNetwork, X: Any) -> np.ndarray:
    """Return the rows to measure the deviation on."""
    if X is not None:
        X = estimator._check_rows(X)
        return X.toarray() if sparse.issparse(X) else X
    center, scale, _ = estimator.scaling_
    normal = np.random.default_rng(0).standard_normal((N_ROWS, len(center)))
    return (center + scale * normal).astype(_dtype(estimator))


class _Node(NamedTuple):
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str]
    attributes: dict[str, Any]


class _Answer(NamedTuple):
    name: str
    dtype: np.dtype
    width: int


class _Graph:
    """A graph in the making: nodes, and constants in the dtype of the network unless told.

    A value goes by its name; that of the input is "X".
    """

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype
        self.nodes: list[_Node] = []
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
        self.nodes.append(_Node(operator, inputs, (output,), attributes))
        return output

    def linear(self, x: str, weight: np.ndarray, bias: np.ndarray) -> str:
        """Append x·Wᵀ + b."""
        return self.apply("Gemm", x, self.constant(weight), self.constant(bias), transB=1)

    def add_up(self, z: str, weights: Iterable[float], slopes: Iterable[str]) -> str:
        """Append z + Σ w k, without the terms whose weight is zero."""
        pairs = zip(weights, slopes, strict=True)
        terms = [self.apply("Mul", k, self.constant(w)) for w, k in pairs if w]
        return self.apply("Sum", z, *terms) if terms else z


def _scaled(graph: _Graph, scaling: Scaling) -> str:
    """Append the way from X to features of size one, in float64 as the estimators do it."""
    x = graph.apply("Cast", "X", to=CODES[FLOAT64])
    x = graph.apply("Sub", x, graph.constant(scaling.center, FLOAT64))
    x = graph.apply("Div", x, graph.constant(scaling.scale, FLOAT64))
    if scaling.clips:
        most, one, clip = (graph.constant(n, FLOAT64) for n in (SQUARABLE, 1.0, CLIP))
        x = graph.apply("Clip", x, graph.apply("Neg", most), most)
        part = graph.apply("Div", x, clip)
        square = graph.apply("Mul", part, part)
        x = graph.apply("Div", x, graph.apply("Sqrt", graph.apply("Add", square, one)))
    return graph.apply("Cast", x, to=CODES[graph.dtype])


def _outputs(graph: _Graph, network: Any, member: int, ways: list[Way], x: str) -> str:
    """Append the way from scaled features to a member's outputs, (rows, n_outputs)."""
    own = member if network.n_members > 1 else None
    z = _lift(graph, network.lift, own, x)
    if network.augment_dim:
        z = graph.apply("Pad", z, graph.constant([0, 0, 0, network.augment_dim], np.int64))
    for block, grid in ways:
        form = dense_form_of(block.field)
        assert form is not None
        slope = _field(graph, form, own)
        for start, stop in pairwise(grid):
            z = _step(graph, block.settings.method.tableau, slope, start, stop - start, z)
    if isinstance(network.head, FirstDims):
        first = graph.constant(range(network.head.n_outputs), np.int64)
        return graph.apply("Gather", z, first, axis=1)
    return graph.linear(z, *_arrays(network.head.weight, network.head.bias, member=own))


def _lift(graph: _Graph, lift: Any, member: int | None, x: str) -> str:
    """Append the way from scaled features to z(0)."""
    if isinstance(lift, nn.Identity):
        return x
    if not isinstance(lift, PeriodicLift):
        return graph.linear(x, *_arrays(lift.weight, lift.bias, member=member))
    frequencies, phases, combinations = _arrays(
        lift.frequencies, lift.phases, lift.combinations, member=member
    )
    # A sine, as onnxruntime has no cosine of float64.
    omega, phase = (
        graph.constant(2 * np.pi * frequencies[:, None]),
        graph.constant(phases[:, None] + np.pi / 2),
    )
    index = lift.get_buffer("features").tolist()
    chosen = graph.apply("Gather", x, graph.constant(index, np.int64), axis=1)
    column = graph.apply("Unsqueeze", chosen, graph.constant([2, 3], np.int64))
    angles = graph.apply("Add", graph.apply("Mul", column, omega), phase)
    waves = graph.apply("Sin", angles)
    functions = graph.apply("MatMul", waves, graph.constant(combinations))
    rows = graph.apply("Concat", x, graph.apply("Flatten", functions, axis=1), axis=1)
    return graph.linear(rows, *_arrays(lift.linear.weight, lift.linear.bias, member=member))


def _step(graph: _Graph, tableau: Tableau, slope: Slope, t: float, h: float, z: str) -> str:
    """Append one step of size h from z at t."""
    # The last stage of a FSAL method weighs nothing: on a grid it would only be computed twice.
    n_stages = max(i for i, weight in enumerate(tableau.b, start=1) if weight)
    stages: list[str] = []
    for c, row in zip(tableau.c[:n_stages], tableau.a[:n_stages], strict=True):
        stages.append(slope(t + c * h, graph.add_up(z, (h * weight for weight in row), stages)))
    return graph.add_up(z, (h * weight for weight in tableau.b[:n_stages]), stages)


def _field(graph: _Graph, form: DenseForm, member: int | None) -> Slope:
    """Return what appends f(t, z), given t and the name of z."""
    weights = _arrays(*form.weights, member=member)
    biases = _arrays(*form.biases, member=member)
    by_time = np.zeros_like(biases[0])
    if form.time_dependent:
        weights[0], by_time = weights[0][:, :-1], weights[0][:, -1]

    def slope(t: float, z: str) -> str:
        # Every stage has a time of its own, known beforehand: it belongs to the bias.
        z = graph.linear(z, weights[0], biases[0] + t * by_time)
        for weight, bias in zip(weights[1:], biases[1:], strict=True):
            z = graph.linear(ACTIVATIONS[form.activation](graph, z), weight, bias)
        return z

    return slope


def _silu(graph: _Graph, u: str) -> str:
    return graph.apply("Mul", u, graph.apply("Sigmoid", u))


def _softplus(graph: _Graph, u: str) -> str:
    # max(u, 0) + log(1 + exp(-|u|)), as onnxruntime has no Softplus of float64.
    decay = graph.apply("Exp", graph.apply("Neg", graph.apply("Abs", u)))
    rest = graph.apply("Log", graph.apply("Add", decay, graph.constant(1.0)))
    return graph.apply("Add", graph.apply("Relu", u), rest)


ACTIVATIONS: dict[str, Callable[[_Graph, str], str]] = {
    "tanh": lambda graph, u: graph.apply("Tanh", u),
    "silu": _silu,
    "softplus": _softplus,
    "relu": lambda graph, u: graph.apply("Relu", u),
}


def _probabilities(graph: _Graph, classifier: Classification, z: str) -> str:
    """Append what `predict_proba` makes of a member's outputs."""
    if classifier.target_type_ == "multiclass":
        return graph.apply("Softmax", z, axis=1)
    if classifier.target_type_ == "binary":
        z = graph.apply("Concat", graph.apply("Neg", z), z, axis=1)
    return graph.apply("Sigmoid", z)


def _predictions(graph: _Graph, regressor: Regression, z: str) -> str:
    """Append what `predict` makes of a member's outputs."""
    center, scale, _ = regressor.target_scaling_
    if regressor.link_ == "log":
        z = graph.apply("Exp", z)
    z = graph.apply("Cast", z, to=CODES[FLOAT64])
    z = graph.apply("Mul", z, graph.constant(scale, FLOAT64))
    return graph.apply("Add", z, graph.constant(center, FLOAT64))


def _answer(graph: _Graph, estimator: BaseRowNetwork, ways: list[Way]) -> _Answer:
    """Append all of a prediction, the mean over the members."""
    network, x = estimator.net_.module_, _scaled(graph, estimator.scaling_)
    outputs = [_outputs(graph, network, i, ways, x) for i in range(network.n_members)]
    if isinstance(estimator, Classification):
        found = [_probabilities(graph, estimator, z) for z in outputs]
        answer = _Answer("probabilities", graph.dtype, len(estimator.classes_))
    else:
        assert isinstance(estimator, Regression)
        found = [_predictions(graph, estimator, z) for z in outputs]
        answer = _Answer("predictions", FLOAT64, len(estimator.target_scaling_.scale))
    share = graph.constant(1 / len(found), answer.dtype)
    graph.apply("Mul", graph.apply("Sum", *found), share, output=answer.name)
    return answer


def _model(estimator: BaseRowNetwork, ways: list[Way]) -> Any:
    """Return the estimator as an `onnx.ModelProto`."""
    try:
        from onnx import helper, numpy_helper
    except ImportError as error:
        raise ImportError("export_onnx needs onnx: pip install 'sknode[onnx]'") from error
    graph = _Graph(_dtype(estimator))
    answer = _answer(graph, estimator, ways)
    notes = {"sknode_version": versions()["sknode"]}
    if isinstance(estimator, Classification):
        notes["classes"] = json.dumps(estimator.classes_.tolist(), default=str)
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node(*node[:3], **node.attributes) for node in graph.nodes],
        type(estimator).__name__,
        [info("X", CODES[graph.dtype], ["rows", estimator.n_features_in_])],
        [info(answer.name, CODES[answer.dtype], ["rows", answer.width])],
        [numpy_helper.from_array(array, name) for name, array in graph.constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    # The version that make_model takes by itself is the newest, which older runtimes refuse.
    version = helper.find_min_ir_version_for(opsets)
    model = helper.make_model(body, opset_imports=opsets, ir_version=version)
    helper.set_model_props(model, notes)
    return model


def _deviation(model: Any, estimator: BaseRowNetwork, rows: np.ndarray) -> float:
    """Return the largest absolute difference between a graph and its estimator."""
    from onnx.reference import ReferenceEvaluator

    # The rows have been checked and lost their feature names, which would bring a warning.
    estimator.__dict__.pop("feature_names_in_", None)
    classifies = isinstance(estimator, Classification)
    expected = estimator.predict_proba(rows) if classifies else estimator.predict(rows)
    evaluator = ReferenceEvaluator(model)
    n_parts = ceil(len(rows) * len(model.graph.node) / RESULTS_AT_A_TIME)
    with np.errstate(all="ignore"):
        parts = np.array_split(rows.astype(_dtype(estimator)), min(n_parts, len(rows)))
        found = np.concatenate([y for part in parts for y in evaluator.run(None, {"X": part})])
        difference = np.abs(found - expected.reshape(found.shape))
    return float(np.nan_to_num(difference, nan=inf, posinf=inf).max())


def _dtype(estimator: BaseRowNetwork) -> np.dtype:
    """Return the dtype that the network computes in."""
    (parameter,) = _arrays(next(estimator.net_.module_.parameters()))
    return parameter.dtype


def _arrays(*tensors: Tensor, member: int | None = None) -> list[np.ndarray]:
    """Return tensors as arrays, a member's part of each unless there is but one."""
    arrays = [tensor.detach().cpu().numpy() for tensor in tensors]
    return arrays if member is None else [array[member] for array in arrays]

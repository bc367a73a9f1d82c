"""A fitted estimator in a file, as an ONNX graph."""

import json
import os
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from .._files import check_writable, write_bytes
from .._versions import versions
from ..estimators.classification import Classification
from ..estimators.tabular import BaseRowNetwork
from ._deviation import deviation_of, rows_to_measure
from ._graph import Graph, model_of
from ._network import dtype_of
from ._prediction import append_prediction
from ._solve import Way, ways_of

__all__ = ["Export", "export_onnx"]


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
    ways = ways_of(estimator.net_.module_.block, n_steps)
    rows = rows_to_measure(estimator, X)
    path = Path(path)
    check_writable(path)
    model = _model(estimator, ways)
    deviation = deviation_of(model, estimator, rows)
    write_bytes(path, model.SerializeToString())
    return Export(path, sum(way.n_steps for way in ways), deviation)


def _model(estimator: BaseRowNetwork, ways: list[Way]) -> Any:
    """Return the estimator as an `onnx.ModelProto`."""
    graph = Graph(dtype_of(estimator.net_.module_))
    answer = append_prediction(graph, estimator, ways)
    notes = {"sknode_version": versions()["sknode"]}
    if isinstance(estimator, Classification):
        notes["classes"] = json.dumps(estimator.classes_.tolist(), default=str)
    return model_of(
        graph,
        answer,
        name=type(estimator).__name__,
        n_features=estimator.n_features_in_,
        notes=notes,
    )

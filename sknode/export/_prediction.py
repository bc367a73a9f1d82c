"""All of a prediction: the standardisation, the network of each member, and the link."""

from ..estimators.classification import Classification
from ..estimators.regression import Regression
from ..estimators.tabular import BaseRowNetwork
from ..training.scaling import CLIP, Scaling
from ._graph import CODES, FLOAT64, Answer, Graph
from ._network import append_network
from ._solve import Way

__all__ = ["append_prediction"]

# Features beyond this, whose squares overflow, are clipped to ±3 to the last bit all the same.
SQUARABLE = 1e150


def append_prediction(graph: Graph, estimator: BaseRowNetwork, ways: list[Way]) -> Answer:
    """Append all of a prediction, the mean over the members."""
    network = estimator.net_.module_
    x = _scaled(graph, estimator.scaling_)
    outputs = [append_network(graph, network, i, ways, x) for i in range(network.n_members)]
    if isinstance(estimator, Classification):
        found = [_probabilities(graph, estimator, z) for z in outputs]
        answer = Answer("probabilities", graph.dtype, len(estimator.classes_))
    else:
        assert isinstance(estimator, Regression)
        found = [_predictions(graph, estimator, z) for z in outputs]
        answer = Answer("predictions", FLOAT64, len(estimator.target_scaling_.scale))
    share = graph.constant(1 / len(found), answer.dtype)
    graph.apply("Mul", graph.apply("Sum", *found), share, output=answer.name)
    return answer


def _scaled(graph: Graph, scaling: Scaling) -> str:
    """Append the way from X to features of size one, in float64 as the estimators do it."""
    x = graph.apply("Cast", "X", to=CODES[FLOAT64])
    x = graph.apply("Sub", x, graph.constant(scaling.center, FLOAT64))
    x = graph.apply("Div", x, graph.constant(scaling.scale, FLOAT64))
    if scaling.clips:
        most = graph.constant(SQUARABLE, FLOAT64)
        one = graph.constant(1.0, FLOAT64)
        clip = graph.constant(CLIP, FLOAT64)
        x = graph.apply("Clip", x, graph.apply("Neg", most), most)
        part = graph.apply("Div", x, clip)
        square = graph.apply("Mul", part, part)
        x = graph.apply("Div", x, graph.apply("Sqrt", graph.apply("Add", square, one)))
    return graph.apply("Cast", x, to=CODES[graph.dtype])


def _probabilities(graph: Graph, classifier: Classification, z: str) -> str:
    """Append what `predict_proba` makes of a member's outputs."""
    if classifier.target_type_ == "multiclass":
        return graph.apply("Softmax", z, axis=1)
    if classifier.target_type_ == "binary":
        z = graph.apply("Concat", graph.apply("Neg", z), z, axis=1)
    return graph.apply("Sigmoid", z)


def _predictions(graph: Graph, regressor: Regression, z: str) -> str:
    """Append what `predict` makes of a member's outputs."""
    center, scale, _ = regressor.target_scaling_
    if regressor.link_ == "log":
        z = graph.apply("Exp", z)
    z = graph.apply("Cast", z, to=CODES[FLOAT64])
    z = graph.apply("Mul", z, graph.constant(scale, FLOAT64))
    return graph.apply("Add", z, graph.constant(center, FLOAT64))

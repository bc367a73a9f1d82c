"""The file: whole, valid, with the labels, and written for fitted estimators alone."""

import json
import os
import sys

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sknode import NODEClassifier
from sknode.export import export_onnx
from tests.export.quick import QUICK, X, classifier, regressor, session_of

onnx = pytest.importorskip("onnx")


@pytest.mark.parametrize(
    "labels", [["a", "b", "ü"], [1, 2, 5], [-1.0, 1.0], [False, True]], ids=str
)
def test_the_labels_are_in_the_metadata(labels, path):
    rows = np.arange(float(len(labels) * 4)).reshape(-1, 2)
    estimator = NODEClassifier(**{**QUICK, "solver": "euler"}).fit(rows, np.repeat(labels, 2))
    export_onnx(estimator, path)
    metadata = session_of(path).get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == labels
    assert metadata["sknode_version"]


def test_the_graph_names_its_input_and_output(path):
    estimators = {
        "probabilities": classifier(solver="euler"),
        "predictions": regressor(X, X[:, :3], solver="euler"),
    }
    for name, estimator in estimators.items():
        export_onnx(estimator, path)
        session = session_of(path)
        (given,) = session.get_inputs()
        (answer,) = session.get_outputs()
        assert (given.name, given.shape) == ("X", ["rows", 4])
        assert (answer.name, answer.shape) == (name, ["rows", 3])


def test_the_file_is_valid_and_depends_on_no_other(path):
    path.write_text("what was there before")
    assert export_onnx(classifier(), str(path)).path == path
    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert not any(weight.external_data for weight in model.graph.initializer)
    assert os.listdir(path.parent) == [path.name]


def test_an_export_says_and_warns_nothing(path, capfd):
    frame = pytest.importorskip("pandas").DataFrame(X, columns=list("abcd"))
    estimator = classifier(frame)
    capfd.readouterr()
    with np.errstate(all="raise"):
        export_onnx(estimator, path)
        export_onnx(estimator, path, X=frame)
    assert capfd.readouterr() == ("", "")


def test_an_export_leaves_the_estimator_and_torch_as_they_were(path):
    frame = pytest.importorskip("pandas").DataFrame(X, columns=list("abcd"))
    estimator = classifier(frame)
    before = estimator.predict_proba(frame)
    module = estimator.net_.module_.train()
    attributes = dict(vars(estimator))
    random = torch.get_rng_state()
    stats = module.block.stats
    export_onnx(estimator, path, X=frame)
    assert vars(estimator) == attributes
    assert module.training
    assert module.block.stats is stats
    assert torch.equal(torch.get_rng_state(), random)
    np.testing.assert_array_equal(estimator.predict_proba(frame), before)


@pytest.mark.parametrize("other", [LogisticRegression(), make_pipeline(NODEClassifier()), None])
def test_only_the_estimators_of_sknode_are_exported(other, path):
    with pytest.raises(TypeError, match="writes NODEClassifier, NODERegressor, ResNetClassifier"):
        export_onnx(other, path)


def test_an_estimator_must_be_fitted(path):
    with pytest.raises(NotFittedError):
        export_onnx(NODEClassifier(), path)


def test_where_no_file_can_be_nothing_is_done(path):
    with pytest.raises(ValueError, match="is a folder"):
        export_onnx(classifier(), path.parent)
    with pytest.raises(ValueError, match="does not exist"):
        export_onnx(classifier(), path / "estimator.onnx")


def test_without_onnx_the_message_says_how_to_get_it(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'sknode\[onnx\]'"):
        export_onnx(classifier(), path)
    assert not path.exists()

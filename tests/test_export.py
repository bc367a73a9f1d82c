"""A graph predicts in onnxruntime what its estimator does."""

import json
import math
import os
import sys

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sknode import NODEClassifier, NODERegressor, ResNetClassifier, ResNetRegressor, export, preset
from sknode.export import export_onnx
from sknode.modules.activations import ACTIVATIONS
from tests.problems import CLASSICAL

onnx = pytest.importorskip("onnx")

QUICK = {**CLASSICAL, "hidden_layer_sizes": (8,), "max_epochs": 1, "random_state": 0}
X, Y = load_iris(return_X_y=True)
SEVERAL = make_multilabel_classification(100, 4, n_classes=3, random_state=0)
TASKS = {"binary": (X[:100], Y[:100]), "multiclass": (X, Y), "multilabel": SEVERAL}


def stirred(estimator):
    """Give a fitted estimator weights that move its states about."""
    # On the CPU, so that they are the same on every device.
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in estimator.net_.module_.parameters():
            drawn = torch.empty(parameter.shape, dtype=parameter.dtype)
            parameter.copy_(drawn.normal_(0, 0.4, generator=generator))
    return estimator


def classifier(rows=X, labels=Y, **settings):
    settings = {"dtype": np.asarray(rows).dtype.name, **settings}
    return stirred(NODEClassifier(**QUICK | settings).fit(rows, labels))


def regressor(rows, targets, **settings):
    settings = {"dtype": np.asarray(rows).dtype.name, **settings}
    return stirred(NODERegressor(**QUICK | settings).fit(rows, targets))


def session_of(path):
    return pytest.importorskip("onnxruntime").InferenceSession(path)


def run(path, rows):
    """Run a graph in onnxruntime."""
    (values,) = session_of(path).run(None, {"X": rows})
    return values


@pytest.fixture
def path(tmp_path):
    return tmp_path / "estimator.onnx"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("binary", {"solver": "euler"}),
        ("multiclass", {"solver": "midpoint", "activation": "silu", "augment_dim": 2}),
        ("multilabel", {"solver": "heun2", "activation": "softplus", "lift": "linear"}),
        (
            "binary",
            {"solver": "rk4", "n_steps": 3, "activation": "relu", "time_dependent": False},
        ),
        ("multiclass", {"solver": "bosh3", "n_steps": 4, "hidden_layer_sizes": ()}),
        ("multilabel", {"solver": "dopri5", "n_steps": 1, "time_dependent": False}),
        (
            "multiclass",
            {
                "solver": "tsit5",
                "n_steps": 3,
                "lift": "linear",
                "lift_dim": 5,
                "augment_dim": 1,
                "hidden_layer_sizes": (8, 6),
            },
        ),
    ],
)
def test_probabilities_equal_predict_proba(task, settings, dtype, path):
    rows, labels = TASKS[task]
    rows = rows.astype(dtype)
    estimator = classifier(rows, labels, **settings)
    export_onnx(estimator, path)
    expected, found = estimator.predict_proba(rows), run(path, rows)
    assert found.dtype == expected.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-9)


@pytest.mark.parametrize("settings", [{}, {"shared_weights": True}, {"n_members": 2}])
def test_residual_blocks_are_exported_as_they_are(settings, path):
    quick = {
        **preset("classical", ResNetClassifier),
        "max_epochs": 1,
        "n_blocks": 3,
        "dtype": "float64",
    }
    estimator = stirred(ResNetClassifier(**quick | settings, random_state=0).fit(X, Y))
    assert export_onnx(estimator, path).n_steps == 3
    np.testing.assert_allclose(run(path, X), estimator.predict_proba(X), rtol=0, atol=1e-9)
    regressor = stirred(ResNetRegressor(**quick | settings, random_state=0).fit(X, X[:, 0]))
    assert export_onnx(regressor, path, n_steps=3).deviation < 1e-9
    with pytest.raises(ValueError, match="steps is fixed, n_steps=3; leave n_steps out, got 4"):
        export_onnx(regressor, path, n_steps=4)


def test_a_head_that_reads_off_dimensions_is_exported(path):
    estimator = regressor(
        X, X[:, :2], head="identity", augment_dim=1, dtype="float64", solver="rk4"
    )
    export_onnx(estimator, path)
    np.testing.assert_allclose(run(path, X), estimator.predict(X), rtol=1e-9)


def test_every_activation_can_be_exported():
    assert set(export.ACTIVATIONS) == set(ACTIVATIONS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("targets", "settings"),
    [
        (1e4 + 50 * X[:, 0], {}),
        (X[:, :2] * [1e3, 1e-3], {"augment_dim": 1}),
        (np.floor(10 * X[:, 0]), {"loss": "poisson"}),
    ],
    ids=["single", "several", "poisson"],
)
def test_predictions_equal_predict(targets, settings, dtype, path):
    rows = X[:, 2:].astype(dtype)
    estimator = regressor(rows, targets, solver="rk4", n_steps=2, **settings)
    export_onnx(estimator, path)
    expected, found = estimator.predict(rows), run(path, rows)
    assert found.dtype == expected.dtype
    assert found.shape == (len(rows), targets.size // len(targets))
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-5)


@pytest.mark.parametrize("n_rows", [1, 7, 150])
def test_a_graph_takes_any_number_of_rows(n_rows, path):
    estimator = classifier(solver="rk4", n_steps=2)
    export_onnx(estimator, path)
    np.testing.assert_allclose(run(path, X[:n_rows]), estimator.predict_proba(X[:n_rows]))


def test_float32_networks_standardise_in_float64(path):
    rows = (1000 + X).astype(np.float32)
    estimator = classifier(rows, solver="rk4", n_steps=2)
    export_onnx(estimator, path)
    np.testing.assert_allclose(run(path, rows), estimator.predict_proba(rows), atol=1e-6)


@pytest.mark.parametrize("solver", ["bosh3", "dopri5", "tsit5"])
def test_the_deviation_is_what_onnxruntime_shows(solver, path):
    estimator = classifier(solver=solver)
    deviation = export_onnx(estimator, path, n_steps=1, X=X).deviation
    shown = np.abs(run(path, X) - estimator.predict_proba(X)).max()
    assert deviation > 1e-5
    assert deviation == pytest.approx(shown, rel=1e-6)


def test_the_deviation_of_a_regressor_is_in_units_of_the_target(path):
    estimator = regressor(X, 1e4 * X[:, 0])
    deviation = export_onnx(estimator, path, n_steps=1, X=X).deviation
    shown = np.abs(run(path, X)[:, 0] - estimator.predict(X)).max()
    assert deviation == pytest.approx(shown, rel=1e-6)


@pytest.mark.parametrize(("solver", "order"), [("bosh3", 3), ("dopri5", 5), ("tsit5", 5)])
def test_the_deviation_falls_with_the_steps_at_the_order_of_the_method(solver, order, path):
    estimator = classifier(solver=solver, tolerance=1e-10)
    coarse, fine = (export_onnx(estimator, path, n_steps=n).deviation for n in (4, 16))
    assert order - 1 < math.log(coarse / fine, 4) < order + 2


def test_an_adaptive_solver_gets_ten_steps_unless_told(path):
    estimator = classifier()
    assert export_onnx(estimator, path) == export_onnx(estimator, path, n_steps=np.int64(10))


def test_the_number_of_a_fixed_grid_may_be_given(path):
    estimator = classifier(solver="dopri5", n_steps=3)
    assert export_onnx(estimator, path, n_steps=3).n_steps == 3
    assert export_onnx(estimator, path).n_steps == 3


def test_the_deviation_of_a_fixed_grid_is_rounding(path):
    assert 0 < export_onnx(classifier(solver="rk4"), path).deviation < 1e-13
    single = classifier(X.astype(np.float32), solver="rk4")
    assert 1e-8 < export_onnx(single, path).deviation < 1e-5


def test_what_rounding_the_rows_costs_is_part_of_the_deviation(path):
    rows = 1e6 + X
    estimator = classifier(rows, solver="rk4", dtype="float32")
    deviation = export_onnx(estimator, path, X=rows).deviation
    shown = np.abs(run(path, rows.astype(np.float32)) - estimator.predict_proba(rows)).max()
    assert deviation > 1e-4
    assert deviation == pytest.approx(shown, rel=1e-2)


def test_the_deviation_is_the_same_for_rows_in_parts(path, monkeypatch):
    estimator = classifier()
    whole = export_onnx(estimator, path, n_steps=2).deviation
    monkeypatch.setattr(export, "RESULTS_AT_A_TIME", 1000)
    assert export_onnx(estimator, path, n_steps=2).deviation == pytest.approx(whole, rel=1e-9)


def test_the_deviation_of_a_graph_that_overflows_is_infinite(path):
    estimator = regressor(X.astype(np.float32), X[:, 0], hidden_layer_sizes=())
    stiff = estimator.net_.module_.block.field.layers[0].weight
    with torch.no_grad():
        stiff.copy_(-1000 * torch.eye(4, 5))
    assert export_onnx(estimator, path, n_steps=30).deviation == math.inf


def test_rows_may_be_sparse(path):
    estimator = classifier()
    given = [export_onnx(estimator, path, X=rows) for rows in (X, sparse.csr_matrix(X))]
    assert given[0].deviation == pytest.approx(given[1].deviation)


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
        (given,), (answer,) = session.get_inputs(), session.get_outputs()
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
    attributes, random, stats = dict(vars(estimator)), torch.get_rng_state(), module.block.stats
    export_onnx(estimator, path, X=frame)
    assert vars(estimator) == attributes
    assert module.training
    assert module.block.stats is stats
    assert torch.equal(torch.get_rng_state(), random)
    np.testing.assert_array_equal(estimator.predict_proba(frame), before)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_network_on_cuda_is_exported_and_stays_there(path):
    rows = X.astype(np.float32)
    estimator = classifier(rows, solver="rk4", device="cuda")
    export_onnx(estimator, path)
    np.testing.assert_allclose(run(path, rows), estimator.predict_proba(rows), atol=1e-5)
    assert estimator.net_.module_.head.weight.is_cuda


@pytest.mark.parametrize("other", [LogisticRegression(), make_pipeline(NODEClassifier()), None])
def test_only_the_estimators_of_sknode_are_exported(other, path):
    with pytest.raises(TypeError, match="writes NODEClassifier, NODERegressor, ResNetClassifier"):
        export_onnx(other, path)


def test_an_estimator_must_be_fitted(path):
    with pytest.raises(NotFittedError):
        export_onnx(NODEClassifier(), path)


NO_COUNTS = [0, -1, 2.0, True, False, "4", [4], math.nan, 1001, 10**9, 2**63, 10**400]


@pytest.mark.parametrize("n_steps", NO_COUNTS)
def test_the_number_of_steps_must_be_a_positive_integer(n_steps, path):
    with pytest.raises(ValueError, match="n_steps must be a positive integer, and no more"):
        export_onnx(classifier(), path, n_steps=n_steps)
    assert not path.exists()


def test_a_fixed_grid_cannot_be_exported_with_another(path):
    with pytest.raises(ValueError, match="steps is fixed, n_steps=1; leave n_steps out, got 5"):
        export_onnx(classifier(solver="rk4"), path, n_steps=5)


@pytest.mark.parametrize("n_steps", [None, 1000])
def test_a_fixed_grid_of_too_many_steps_is_not_exported(n_steps, path):
    estimator = NODEClassifier(**{**QUICK, "solver": "euler"}, n_steps=1001).fit(X[::30], Y[::30])
    with pytest.raises(ValueError, match="1000 steps are exported, the estimator takes 1001"):
        export_onnx(estimator, path, n_steps=n_steps)
    assert not path.exists()


@pytest.mark.parametrize(
    "rows", [5, "rows", [], [[]], X[0], X[:0], X[None], [["a"] * 4], np.full((1, 4), np.nan), {}]
)
def test_what_are_no_rows_is_refused_before_anything_is_written(rows, path):
    with pytest.raises((ValueError, TypeError)):
        export_onnx(classifier(), path, X=rows)
    assert not path.exists()


def test_rows_must_have_the_features_of_the_fit(path):
    with pytest.raises(ValueError, match="4 features"):
        export_onnx(classifier(), path, X=X[:, :3])
    assert not path.exists()


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

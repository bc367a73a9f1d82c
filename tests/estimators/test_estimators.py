"""What the estimators do beyond scikit-learn's checks."""

import pickle

import joblib
import numpy as np
import pytest
import sklearn
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.model_selection import (
    GridSearchCV,
    RepeatedStratifiedKFold,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skorch.callbacks import EarlyStopping, LRScheduler

from sknode import NODEClassifier, NODERegressor, TrainingError
from sknode.estimators.recipes import batch_size_of
from sknode.modules import NODENetwork
from sknode.ode import TABLEAUS
from tests.problems import CLASSICAL

QUICK = {**CLASSICAL, "hidden_layer_sizes": (8,), "max_epochs": 3, "random_state": 0}
IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)


@pytest.fixture
def fitted():
    return NODEClassifier(**QUICK).fit(*IRIS)


def test_the_defaults_classify_iris_to_95_percent():
    folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=2, random_state=0)
    scores = cross_val_score(NODEClassifier(random_state=0), *IRIS, cv=folds)
    assert scores.mean() >= 0.95


def test_the_regressor_explains_diabetes():
    assert cross_val_score(NODERegressor(random_state=0), *DIABETES).mean() > 0.4


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_prediction_depends_on_its_row_alone(dtype):
    X, y = IRIS[0].astype(dtype), IRIS[1]
    model = NODEClassifier(**QUICK).fit(X, y)
    whole = model.decision_function(X)
    alone = np.concatenate([model.decision_function(X[i : i + 1]) for i in range(len(X))])
    shuffled = np.random.default_rng(0).permutation(len(X))
    tolerance = 1e-11 if dtype is np.float64 else 1e-5
    np.testing.assert_allclose(alone, whole, rtol=0, atol=tolerance)
    np.testing.assert_allclose(
        model.decision_function(X[shuffled]), whole[shuffled], rtol=0, atol=tolerance
    )


def test_a_prediction_depends_neither_on_history_nor_on_the_batch_inside(fitted, monkeypatch):
    X = IRIS[0]
    before = fitted.predict_proba(X)
    fitted.predict_proba(100 * X)
    np.testing.assert_array_equal(fitted.predict_proba(X), before)
    monkeypatch.setattr(NODENetwork, "rows_at_a_time", 7)
    np.testing.assert_allclose(fitted.predict_proba(X), before, rtol=0, atol=1e-12)


def test_random_state_fixes_everything():
    a, b = (NODEClassifier(**{**QUICK, "batch_size": 32}).fit(*IRIS) for _ in range(2))
    np.testing.assert_array_equal(a.predict_proba(IRIS[0]), b.predict_proba(IRIS[0]))


def test_fit_leaves_generators_threads_and_dtype_as_it_found_them():
    np.random.seed(3)  # noqa: NPY002 -- the global generator is what is tested
    torch.manual_seed(3)
    before = np.random.get_state()[1].copy(), torch.get_rng_state(), torch.get_num_threads()  # noqa: NPY002
    NODEClassifier(max_epochs=1).fit(*IRIS).predict(IRIS[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])
    assert torch.get_num_threads() == before[2]
    assert torch.get_default_dtype() is torch.float32


@pytest.mark.parametrize(
    ("given", "dtype", "expected"),
    [
        (np.float64, "auto", torch.float64),
        (np.float32, "auto", torch.float32),
        (np.float32, "float64", torch.float64),
        (np.float64, "float32", torch.float32),
    ],
)
def test_the_dtype_of_few_rows_is_kept_unless_asked(given, dtype, expected):
    model = NODEClassifier(**{**QUICK, "dtype": dtype})
    model.fit(IRIS[0][:128].astype(given), IRIS[1][:128])
    assert {p.dtype for p in model.net_.module_.parameters()} == {expected}


@pytest.mark.parametrize(
    ("given", "tolerance", "expected"),
    [
        (np.float64, 1e-5, torch.float32),
        (np.float64, 9e-6, torch.float64),
        (np.float64, (1e-3, 1e-8), torch.float64),
        (np.float32, 1e-8, torch.float32),
    ],
)
def test_many_rows_are_solved_in_single_precision_if_the_tolerance_allows(
    given, tolerance, expected
):
    model = NODEClassifier(**{**QUICK, "dtype": "auto", "solver": "rk4"}, tolerance=tolerance)
    model.fit(IRIS[0].astype(given), IRIS[1])
    assert {p.dtype for p in model.net_.module_.parameters()} == {expected}


@pytest.mark.parametrize(
    ("n_rows", "expected"),
    [(1, 1), (128, 128), (129, 16), (400, 16), (500, 32), (1000, 64), (4000, 256), (10**6, 256)],
)
def test_batches_grow_with_the_table(n_rows, expected):
    assert batch_size_of(NODEClassifier(), n_rows) == expected


@pytest.mark.parametrize(
    ("solver", "nfe"), [("euler", 4), ("midpoint", 4), ("heun2", 4), ("rk4", 4)]
)
def test_a_fixed_grid_takes_four_evaluations_where_nothing_is_said(solver, nfe):
    model = NODEClassifier(**{**QUICK, "solver": solver}).fit(*IRIS)
    assert {epoch["nfe_forward"] for epoch in model.history_} == {nfe}


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("tolerance", -1, "tolerance must be a positive number or a pair of them, got -1"),
        ("tolerance", (1e-3,), "tolerance must be a positive number or a pair"),
        ("solver", "rk5", "solver must be one of 'euler', .*got 'rk5'"),
        ("hidden_layer_sizes", 5, "hidden_layer_sizes must be a sequence of positive integers"),
        ("activation", "tan", "activation must be one of 'tanh'"),
        ("lift", "cubic", "lift must be one of 'identity', 'linear', 'periodic'"),
        ("scaling", "minmax", "scaling must be one of 'robust', 'standard', None"),
        ("dropout", 1.0, "dropout must be a number from 0 up to"),
        ("n_members", 0, "n_members must be a positive integer"),
        ("kinetic_penalty", -1.0, "kinetic_penalty must be a non-negative number"),
        ("ema_decay", 1.0, "ema_decay must be a number between 0 and 1, or None"),
        ("lift_dim", 0, "lift_dim must be a positive integer"),
        ("lift_frequency", 0, "lift_frequency must be a positive number"),
        ("augment_dim", -1, "augment_dim must be a non-negative integer"),
        ("time_dependent", "yes", "time_dependent must be a boolean"),
        ("n_steps", 0, "n_steps must be a positive integer or None"),
        ("max_steps", 0, "max_steps must be a positive integer"),
        ("adjoint", "none", "adjoint must be one of 'discrete', 'continuous', None"),
        ("optimizer", "lion", "optimizer must be one of 'adamw'"),
        ("learning_rate", 0.0, "learning_rate must be a positive number"),
        ("schedule", "linear", "schedule must be one of 'constant', 'cosine', 'one_cycle'"),
        ("weight_decay", -0.1, "weight_decay must be a non-negative number"),
        ("gradient_clip", 0, "gradient_clip must be a positive number or None"),
        ("early_stopping", "yes", "early_stopping must be 'auto' or a boolean"),
        ("validation_fraction", 1.0, "validation_fraction must be a number between 0 and 1"),
        ("n_iter_no_change", 0, "n_iter_no_change must be a positive integer"),
        ("tol", -1e-3, "tol must be a non-negative number"),
        ("label_smoothing", 1.0, "label_smoothing must be a number from 0 up to"),
        ("checkpoint", 3, "checkpoint must be a path or None"),
        ("checkpoint_interval", 0, "checkpoint_interval must be a positive integer"),
        ("max_epochs", 0, "max_epochs must be a positive integer"),
        ("batch_size", "big", "batch_size must be a positive integer or 'auto'"),
        ("class_weight", "even", "class_weight must be a dict, 'balanced' or None"),
        ("device", "gpu", "device must be 'auto' or a device that torch knows"),
        ("dtype", "float16", "dtype must be one of 'auto'"),
        ("callbacks", EarlyStopping(), "callbacks must be a list of skorch callbacks"),
        ("warm_start", 2, "warm_start must be a boolean"),
        ("random_state", "now", "random_state must be a non-negative integer"),
        ("verbose", -1, "verbose must be a non-negative integer"),
    ],
)
def test_a_wrong_hyperparameter_is_named_with_what_it_must_be(parameter, value, message):
    model = NODEClassifier(**{parameter: value})
    with pytest.raises(ValueError, match=message):
        model.fit(*IRIS)
    assert not hasattr(model, "n_features_in_")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="device='cuda' is not available"):
        NODEClassifier(device="cuda").fit(*IRIS)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_trained_on_cuda_predicts_as_one_trained_on_the_cpu():
    X = IRIS[0].astype(np.float32)
    cpu, cuda = (NODEClassifier(**QUICK, device=d).fit(X, IRIS[1]) for d in ("cpu", "cuda"))
    np.testing.assert_allclose(cuda.predict_proba(X), cpu.predict_proba(X), atol=1e-3)


def test_an_estimator_whose_fit_failed_is_as_it_was(fitted):
    before = dict(vars(fitted))
    expected = fitted.predict_proba(IRIS[0])
    fitted.set_params(max_steps=1, tolerance=1e-10)
    with pytest.raises(TrainingError, match=r"epoch 1, batch 1: .* raise `max_steps`"):
        fitted.fit(IRIS[0][:, :2], IRIS[1])
    assert {name for name in vars(fitted) if name.endswith("_")} == {
        name for name in before if name.endswith("_")
    }
    np.testing.assert_array_equal(fitted.predict_proba(IRIS[0]), expected)


def test_history_tells_what_each_epoch_cost(fitted):
    assert fitted.n_iter_ == len(fitted.history_) == 3
    assert fitted.loss_ == fitted.history_[-1]["loss"]
    for i, epoch in enumerate(fitted.history_, start=1):
        assert epoch["epoch"] == i
        assert epoch["nfe_forward"] >= 7
        assert epoch["nfe_backward"] >= 6
        assert epoch["accepted_steps"] >= 1
        assert epoch["rejected_steps"] >= 0
        assert epoch["seconds"] > 0
    assert fitted.n_parameters_ == (5 * 8 + 8) + (8 * 4 + 4) + (4 * 3 + 3)


def test_trajectories_lead_from_the_row_to_what_the_head_reads():
    X, y = IRIS
    model = NODEClassifier(**QUICK, augment_dim=2).fit(X, y)
    states = model.trajectory(X, [0.0, 0.25, 1.0])
    assert states.shape == (3, len(X), 6)
    scaled = (X - model.scaling_.center) / model.scaling_.scale
    np.testing.assert_allclose(states[0], np.pad(scaled, ((0, 0), (0, 2))), atol=1e-14)
    with torch.no_grad():
        outputs = model.net_.module_.head(torch.from_numpy(states[-1])).numpy()
    np.testing.assert_allclose(outputs, model.decision_function(X), atol=1e-12)
    np.testing.assert_array_equal(model.trajectory(X, [1.0])[0], states[-1])


@pytest.mark.parametrize("times", [[], [0.5, 0.5], [-1.0, 0.0], [[0.0, 1.0]], [0.0, np.nan]])
def test_times_that_do_not_increase_from_zero_are_refused(fitted, times):
    with pytest.raises(ValueError, match=r"times|minimum of 1 is required"):
        fitted.trajectory(IRIS[0], times)


def test_the_linear_lift_moves_rows_to_lift_dim_dimensions():
    model = NODEClassifier(**{**QUICK, "lift": "linear"}, lift_dim=9, augment_dim=1).fit(*IRIS)
    assert model.trajectory(IRIS[0], [0.0]).shape == (1, 150, 10)


@pytest.mark.parametrize("adjoint", ["discrete", "continuous", None])
@pytest.mark.parametrize("solver", TABLEAUS)
def test_every_solver_learns_with_every_adjoint(solver, adjoint):
    model = NODEClassifier(
        hidden_layer_sizes=(8,), max_epochs=15, solver=solver, adjoint=adjoint, random_state=0,
        learning_rate=0.05,
    ).fit(*IRIS)  # fmt: skip
    assert model.score(*IRIS) > 0.9


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", torch.optim.RMSprop])
def test_optimizers_come_by_name_or_as_a_class(optimizer):
    model = NODEClassifier(**QUICK, optimizer=optimizer).fit(*IRIS)
    assert model.history_[-1]["loss"] < model.history_[0]["loss"]


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix])
def test_sparse_rows_are_fitted_like_dense_ones(kind):
    X, y = IRIS
    dense = NODEClassifier(**{**QUICK, "batch_size": 40}).fit(X, y)
    thin = NODEClassifier(**{**QUICK, "batch_size": 40}).fit(kind(X), y)
    np.testing.assert_allclose(thin.predict_proba(kind(X)), dense.predict_proba(X), atol=1e-8)


def test_weights_count_as_repetitions_and_weight_zero_as_absence():
    X, y = DIABETES[0][:40], DIABETES[1][:40]
    weight = np.arange(40) % 3
    weighted = NODERegressor(**QUICK).fit(X, y, sample_weight=weight)
    repeated = NODERegressor(**QUICK).fit(X.repeat(weight, 0), y.repeat(weight))
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-8)


def test_weights_that_are_all_zero_are_refused():
    with pytest.raises(ValueError, match="weight"):
        NODEClassifier(**QUICK).fit(*IRIS, sample_weight=np.zeros(150))


def test_balanced_classes_weigh_the_same():
    X, y = IRIS[0][40:], IRIS[1][40:]
    weight = np.where(y == 0, 110 / 30, 110 / 150)
    named = NODEClassifier(**QUICK, class_weight="balanced").fit(X, y)
    given = NODEClassifier(**QUICK).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(named.predict_proba(X), given.predict_proba(X), atol=1e-10)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_bring_feature_names_and_wrong_ones_are_refused(library):
    frame = pytest.importorskip(library).DataFrame
    columns = ["a", "b", "c", "d"]
    data = dict(zip(columns, IRIS[0].T, strict=True))
    model = NODEClassifier(**QUICK).fit(frame(data), IRIS[1])
    assert list(model.feature_names_in_) == columns
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame({name.upper(): column for name, column in data.items()}))


def test_string_labels_come_back():
    names = np.array(["setosa", "versicolor", "virginica"])[IRIS[1]]
    assert set(NODEClassifier(**QUICK).fit(IRIS[0], names).predict(IRIS[0])) <= set(names)


def test_a_single_class_is_predicted():
    model = NODEClassifier(**QUICK).fit(IRIS[0][:20], np.full(20, 7))
    assert set(model.predict(IRIS[0])) == {7}


def test_binary_probabilities_are_those_of_the_decision_function():
    X, y = load_breast_cancer(return_X_y=True)
    model = NODEClassifier(**QUICK).fit(X, y)
    odds, probabilities = model.decision_function(X), model.predict_proba(X)
    np.testing.assert_allclose(probabilities[:, 1], 1 / (1 + np.exp(-odds)), atol=1e-14)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), probabilities, atol=1e-14)


def test_a_column_transformer_with_sparse_one_hot_output_feeds_it():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(IRIS[0], columns=list("abcd")).assign(
        colour=np.tile(["red", "green", "blue"], 50)
    )
    encode = make_column_transformer(
        (OneHotEncoder(), ["colour"]), (StandardScaler(), list("abcd")), sparse_threshold=1.0
    )
    pipeline = make_pipeline(encode, NODEClassifier(hidden_layer_sizes=(8,), random_state=0))
    assert sparse.issparse(encode.fit_transform(X))
    assert pipeline.fit(X, IRIS[1]).score(X, IRIS[1]) > 0.9


@pytest.mark.filterwarnings("ignore::UserWarning")  # joblib's workers warn as they please
def test_a_grid_search_in_two_processes_may_name_every_hyperparameter():
    alternatives = {
        "hidden_layer_sizes": (4,), "activation": "silu", "lift": "linear", "lift_dim": 3,
        "lift_frequency": 1.0, "augment_dim": 1, "head": "identity", "scaling": "robust",
        "time_dependent": False, "dropout": 0.1,
        "n_members": 2, "kinetic_penalty": 0.1, "ema_decay": 0.9, "solver": "bosh3",
        "tolerance": 1e-2,
        "n_steps": 2, "max_steps": 500, "adjoint": "continuous", "optimizer": "sgd",
        "learning_rate": 0.1, "schedule": "cosine", "weight_decay": 0.0, "gradient_clip": 1.0,
        "max_epochs": 2, "batch_size": 50, "early_stopping": True, "validation_fraction": 0.2,
        "n_iter_no_change": 2, "tol": 0.0, "label_smoothing": 0.1, "class_weight": "balanced",
        "device": "cpu", "dtype": "float32", "callbacks": [], "checkpoint": None,
        "checkpoint_interval": 3, "warm_start": True, "random_state": 1, "verbose": 0,
    }  # fmt: skip
    assert set(alternatives) == set(NODEClassifier().get_params())
    grid = [{name: [value]} for name, value in alternatives.items()]
    search = GridSearchCV(NODEClassifier(**QUICK), grid, cv=2, n_jobs=2, error_score="raise")
    search.fit(*IRIS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("copy", [clone, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_have_the_same_parameters(copy, fitted):
    assert copy(fitted).get_params() == fitted.get_params()


def test_pickle_and_joblib_keep_predictions(fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "model")
    for other in (pickle.loads(pickle.dumps(fitted)), joblib.load(tmp_path / "model")):
        np.testing.assert_array_equal(other.predict_proba(IRIS[0]), fitted.predict_proba(IRIS[0]))


def test_set_output_of_the_transformer_before_it_is_respected():
    pd = pytest.importorskip("pandas")
    pipeline = make_pipeline(StandardScaler(), NODEClassifier(**QUICK))
    pipeline.set_output(transform="pandas").fit(
        pd.DataFrame(IRIS[0], columns=list("abcd")), IRIS[1]
    )
    assert list(pipeline[-1].feature_names_in_) == list("abcd")


def test_sample_weight_is_routed():
    with sklearn.config_context(enable_metadata_routing=True):
        model = NODEClassifier(**QUICK).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        routed = {"sample_weight": np.ones(150)}
        result = cross_validate(model, *IRIS, cv=2, params=routed, error_score="raise")
    assert np.isfinite(result["test_score"]).all()


def test_the_html_representation_shows_the_estimator(fitted):
    assert "NODEClassifier" in fitted._repr_html_()


def test_warm_start_goes_on_from_where_it_was():
    once = NODERegressor(**QUICK, warm_start=True).fit(*DIABETES)
    first = once.loss_
    once.fit(*DIABETES)
    assert once.n_iter_ == 6
    assert [epoch["epoch"] for epoch in once.history_] == [1, 2, 3, 4, 5, 6]
    assert once.history_[3]["loss"] < first


def test_warm_start_refuses_another_network_or_other_classes():
    model = NODEClassifier(**QUICK, warm_start=True).fit(*IRIS)
    with pytest.raises(ValueError, match="classes of the fit before"):
        model.fit(IRIS[0][:100], IRIS[1][:100])
    with pytest.raises(ValueError, match="network of the same shape"):
        model.set_params(hidden_layer_sizes=(3,)).fit(*IRIS)


def test_skorch_callbacks_work_and_are_copied():
    stop = EarlyStopping(monitor="train_loss", patience=1, threshold=10.0, sink=lambda _: None)
    model = NODEClassifier(
        max_epochs=20, callbacks=[("stop", stop), LRScheduler()], random_state=0
    ).fit(*IRIS)
    assert model.n_iter_ < 20
    assert stop.dynamic_threshold_ is None


@pytest.mark.parametrize("estimator", [NODEClassifier, NODERegressor])
def test_the_docstring_says_which_node_and_lists_every_hyperparameter(estimator):
    first = estimator.__doc__.splitlines()[0]
    assert "Neural Ordinary Differential Equation" in first
    assert "not an oblivious decision ensemble" in first
    for name in estimator().get_params():
        assert f"    {name} : " in estimator.__doc__
    assert "{" + "parameters}" not in estimator.__doc__
    assert "{" + "attributes}" not in estimator.__doc__


@pytest.mark.parametrize(
    ("estimator", "data", "later"),
    [
        (NODEClassifier, IRIS, {"label_smoothing": "much", "class_weight": "none"}),
        (NODERegressor, DIABETES, {"loss": "none", "quantile": "half"}),
    ],
)
def test_what_only_a_training_reads_may_be_anything_afterwards(estimator, data, later):
    model = estimator(**{**QUICK, "max_epochs": 1}).fit(*data)
    before = model.predict(data[0])
    np.testing.assert_array_equal(model.set_params(**later).predict(data[0]), before)

"""Whatever the hyperparameters, the data and the order of calls: a sound result or a clear error.

By default the examples are few and always the same; `SKNODE_FUZZ=2000` asks for so many new ones.
"""

import os
import signal
import tempfile
import warnings
from contextlib import contextmanager, redirect_stdout
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.exceptions import DataConversionWarning, UndefinedMetricWarning

from sknode import NODEClassifier, NODERegressor, SolverError, TrainingError, TrainingWarning
from sknode.ode import TABLEAUS

hypothesis = pytest.importorskip("hypothesis")
HealthCheck, given, settings = hypothesis.HealthCheck, hypothesis.given, hypothesis.settings
st = hypothesis.strategies

N_EXAMPLES = int(os.environ.get("SKNODE_FUZZ", "100"))
FUZZ = settings(
    max_examples=-(-N_EXAMPLES // 2),  # for each of the two estimators
    derandomize="SKNODE_FUZZ" not in os.environ,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
DOCUMENTED_WARNINGS = (TrainingWarning, DataConversionWarning, UndefinedMetricWarning)
ERRORS = {
    "fit": (ValueError, TypeError, TrainingError),
    "partial_fit": (ValueError, TypeError, TrainingError),
}
ERRORS_OF_A_PREDICTION = (ValueError, SolverError)
A_FILE = "file"  # in a folder of the example's own


def log_uniform(least, greatest):
    return st.floats(np.log10(least), np.log10(greatest)).map(lambda exponent: 10.0**exponent)


def one_of(*values):
    return st.sampled_from(values)


def random_states():
    return st.builds(np.random.RandomState, st.integers(0, 2**32 - 1))


# Every hyperparameter: what it may be, and what is wrong with it in particular.
VALID = {
    "hidden_layer_sizes": st.lists(st.integers(1, 8), max_size=2).flatmap(
        lambda sizes: one_of(sizes, tuple(sizes), np.array(sizes, dtype=int))
    ),
    "activation": one_of("tanh", "silu", "softplus", "relu"),
    "lift": one_of("identity", "linear", "periodic"),
    "lift_dim": st.integers(1, 6),
    "augment_dim": st.integers(0, 3),
    "head": one_of("linear", "linear", "identity"),
    "lift_frequency": one_of(5e-324, 1e300) | log_uniform(1e-8, 1e8),
    "scaling": one_of("robust", "standard", None),
    "time_dependent": st.booleans(),
    "dropout": st.floats(0.0, 1.0, exclude_max=True) | one_of(0),
    "n_members": st.integers(1, 4),
    "solver": one_of(*TABLEAUS),
    "tolerance": log_uniform(1e-9, 1.0) | st.tuples(log_uniform(1e-9, 1.0), log_uniform(1e-9, 1.0)),
    "n_steps": one_of(None, 1, 2, 3),
    "max_steps": st.integers(1, 50) | one_of(2**31, 2**63, 10**40),
    "adjoint": one_of("discrete", "continuous", None),
    "kinetic_penalty": one_of(0.0, 0, 1e-300, 1e300) | log_uniform(1e-8, 1e8),
    "optimizer": one_of("adamw", "adam", "sgd", torch.optim.RMSprop, torch.optim.Adadelta),
    "learning_rate": log_uniform(1e-8, 1e8) | one_of(5e-324, 1e300, 10**30),
    "schedule": one_of("constant", "cosine", "one_cycle", "warmup_cosine"),
    "weight_decay": one_of(0.0, 0, 1e-300, 1e300) | log_uniform(1e-8, 1e8),
    "ema_decay": st.none() | st.floats(0.0, 1.0, exclude_min=True, exclude_max=True),
    "gradient_clip": st.none() | log_uniform(1e-8, 1e8) | one_of(5e-324, 1e300),
    "max_epochs": st.integers(1, 3),
    "batch_size": one_of("auto", 8, 13, 30, 2**63, 10**40),
    "early_stopping": one_of("auto", True, False),
    "validation_fraction": st.floats(0.0, 1.0, exclude_min=True, exclude_max=True),
    "n_iter_no_change": st.integers(1, 3) | one_of(10**40),
    "tol": one_of(0.0, 0, 1e300) | log_uniform(1e-8, 1e8),
    "device": one_of("cpu", "cpu:0", torch.device("cpu")),
    "dtype": one_of("auto", "float32", "float64"),
    "callbacks": one_of(None, [], ()),
    "checkpoint": one_of(None, None, A_FILE),
    "checkpoint_interval": st.integers(1, 3) | one_of(10**40),
    "warm_start": st.booleans(),
    "random_state": st.integers(0, 2**32 - 1) | random_states(),
    "verbose": one_of(0, 0, 1, 2, True),
    "label_smoothing": st.floats(0.0, 1.0, exclude_max=True) | one_of(0),
    "class_weight": one_of(
        None, "balanced", {0: 2.0}, {0: 0.0}, {0: 0.0, 1: 0.0}, {"a": 3, "b": 1e-300}, {1: 1e300}
    ),
    "loss": one_of("squared_error", "absolute_error", "huber", "quantile", "poisson"),
    "quantile": st.none() | st.floats(0.0, 1.0, exclude_min=True, exclude_max=True),
}
EXOTIC = [Fraction(1, 2), np.float32(0.5), np.float64(0.5), np.int8(1), np.uint64(1), np.True_]
WRONG: list[Any] = [
    "wrong", "", b"cpu", -1, 0, 1.5, -1.5, 1.0, np.nan, np.inf, -np.inf, 1j, None, (), (1,),
    (1e-3, -1.0), {}, {"a": "b"}, {None: 1.0}, {0: None}, {0: np.nan}, {0: -1.0}, [0], [1.5],
    ["a"], [None], [("a", 1)], [[1, 2]], np.array(2), np.array([1.5, 2.5]), np.array([]),
    np.array([["a"]]), object(), int, torch.tensor(0.5), torch.optim.LBFGS, torch.optim.Optimizer,
    torch.optim.SparseAdam, np.random.default_rng(0),
]  # fmt: skip
# As numbers they may be right where they would make a network, or a training, without end.
HUGE = [2**63, 2**64, 10**400, -(10**400)]
TAKES_HUGE = set(VALID) - {
    "hidden_layer_sizes", "lift_dim", "augment_dim", "n_members", "n_steps", "max_epochs"
}  # fmt: skip
DEVICES = ["cuda", "cuda:99", "mps", "meta", "xpu", "cpu:99", "gpu", "cpu:-1", torch.device("meta")]


@st.composite
def hyperparameters(draw, estimator):
    names = estimator().get_params()
    quick = {"hidden_layer_sizes": st.just((4,)), "max_epochs": st.just(2)}
    quick |= {"random_state": st.just(0), "max_steps": st.just(50)}
    changed = draw(st.sets(one_of(*names)))
    params = {
        name: draw(VALID[name] if name in changed else quick[name])
        for name in names
        if name in changed or name in quick
    }
    if draw(st.integers(0, 4)) == 4:
        name = draw(one_of(*names))
        values = EXOTIC + WRONG + (HUGE if name in TAKES_HUGE else [])
        params[name] = draw(st.sampled_from(values + DEVICES * (name == "device")))
    return params


class Data(NamedTuple):
    """What `fit` is given."""

    X: Any
    y: Any
    sample_weight: Any
    validation: dict[str, Any]


def mostly(kinds, refused):
    """Draw one of the kinds, seldom one that fit is known to refuse."""
    accepted = [make for name, make in kinds.items() if name not in refused]
    return st.integers(0, 15).flatmap(
        lambda luck: one_of(*kinds.values()) if luck == 15 else one_of(*accepted)
    )


@st.composite
def rows(draw, n_rows, n_features):
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    X = generator.normal(size=(n_rows, n_features))
    X = draw(mostly(ROWS, REFUSED_ROWS))(X)
    if draw(st.integers(0, 39)) == 39:
        X = np.array(X, dtype=np.float64)
        X[-1, -1] = draw(one_of(np.nan, np.inf, -np.inf, 1e300))
    if draw(st.integers(0, 4)) == 4:
        X = draw(one_of(sparse.csr_array, sparse.csc_matrix))(X)
    return X


def scaled_columns(X):
    return X * 10.0 ** np.linspace(-30, 30, X.shape[1])


ROWS = {
    "normal": lambda X: X,
    "float32": lambda X: X.astype(np.float32),
    "huge": lambda X: 1e30 * X,
    "huge float32": lambda X: (1e30 * X).astype(np.float32),
    "tiny": lambda X: 1e-30 * X,
    "tiny float32": lambda X: (1e-30 * X).astype(np.float32),
    "overflowing": lambda X: 1e200 * X,
    "underflowing": lambda X: 1e-200 * X,
    "scaled columns": scaled_columns,
    "constant": lambda X: np.full(X.shape, 0.1),
    "zero": np.zeros_like,
    "huge constant": lambda X: np.full(X.shape, 1e30),
    "nearly constant": lambda X: 1e15 + X,
    "duplicated": lambda X: np.repeat(X[:1], len(X), axis=0),
    "outlier": lambda X: np.where(np.arange(len(X))[:, None] == 0, 1e30, X),
    "integer": lambda X: (10 * X).astype(int),
    "beyond floats": lambda X: 2**53 + (10 * X).astype(int),
    "boolean": lambda X: X > 0,
    "reversed": lambda X: X[::-1, ::-1],
    "list": lambda X: X.tolist(),
}
LABELS = {
    "binary": lambda n: np.arange(n) % 2,
    "multiclass": lambda n: np.arange(n) % 3,
    "all different": np.arange,
    "strings": lambda n: np.array(["a", "b"])[np.arange(n) % 2],
    "objects": lambda n: np.array(["a", "b", "c"], dtype=object)[np.arange(n) % 3],
    "booleans": lambda n: np.arange(n) % 3 == 0,
    "floats": lambda n: 1.0 - 2.0 * (np.arange(n) % 2),
    "single": lambda n: np.full(n, 7),
    "rare": lambda n: (np.arange(n) == 0).astype(int),
    "several": lambda n: (np.arange(n)[:, None] >> np.arange(3)) % 2,
    "several sparse": lambda n: sparse.csr_array((np.arange(n)[:, None] >> np.arange(2)) % 2),
    "one column": lambda n: np.arange(n)[:, None] % 2,
    "never": lambda n: np.column_stack((np.arange(n) % 2, np.zeros(n, int))),
    "several classes": lambda n: np.arange(2 * n).reshape(n, 2) % 3,
    "mixed": lambda n: np.array([1, "b"], dtype=object)[np.arange(n) % 2],
    "fractions": lambda n: np.arange(n) / 2,
}
TARGETS = {
    "real": lambda n: np.sin(np.arange(n)),
    "not negative": lambda n: np.abs(np.sin(np.arange(n))),
    "counts": lambda n: np.arange(n) % 4,
    "several": lambda n: np.sin(np.arange(2.0 * n).reshape(n, 2)),
    "several not negative": lambda n: np.arange(2.0 * n).reshape(n, 2),
    "one column": lambda n: np.sin(np.arange(n))[:, None],
    "float32": lambda n: np.sin(np.arange(n)).astype(np.float32),
    "constant": lambda n: np.full(n, 0.1),
    "zero": np.zeros,
    "huge": lambda n: 1e30 * np.cos(np.arange(n)),
    "tiny": lambda n: 1e-30 * np.cos(np.arange(n)),
    "overflowing": lambda n: 1e200 * np.cos(np.arange(n)),
    "largest": lambda n: np.full(n, 1.7e308),
    "outlier": lambda n: np.where(np.arange(n) == 0, 1e30, np.sin(np.arange(n))),
    "strings": lambda n: np.array(["a"] * n),
    "not a number": lambda n: np.where(np.arange(n) == 0, np.nan, 1.0),
}
WEIGHTS = {
    "none": lambda n: None,
    "ones": np.ones,
    "random": lambda n: 0.1 + np.abs(np.sin(np.arange(n))),
    "some zero": lambda n: np.arange(n) % 2,
    "all zero": np.zeros,
    "huge": lambda n: np.full(n, 1e300),
    "tiny": lambda n: np.full(n, 1e-300),
    "of all sizes": lambda n: 10.0 ** np.linspace(-200, 100, n),
    "negative": lambda n: -np.ones(n),
    "not finite": lambda n: np.full(n, np.inf),
    "too few": lambda n: np.ones(max(n - 1, 0)),
}


REFUSED_ROWS = {"overflowing"}
REFUSED_TARGETS = {
    "overflowing", "largest", "strings", "not a number", "several classes", "mixed", "fractions"
}  # fmt: skip
REFUSED_WEIGHTS = {"all zero", "negative", "not finite", "too few"}


@st.composite
def datasets(draw, targets, n_features):
    n_rows, make_target = draw(st.integers(1, 30)), draw(mostly(targets, REFUSED_TARGETS))
    n_features = draw(st.integers(1, 4)) if draw(st.integers(0, 19)) == 19 else n_features
    make_weight = draw(mostly(WEIGHTS, REFUSED_WEIGHTS))
    validation = {}
    if draw(st.integers(0, 3)) == 3:
        n_more = draw(st.integers(0, 6) | st.just(n_rows))
        make_more = draw(st.just(make_target) | mostly(targets, REFUSED_TARGETS))
        validation["X_val"] = draw(rows(n_more, n_features) if n_more else st.just([]))
        validation["y_val"] = make_more(n_more)
        validation["sample_weight_val"] = draw(mostly(WEIGHTS, REFUSED_WEIGHTS))(n_more)
    X = draw(rows(n_rows, n_features))
    return Data(X, make_target(n_rows), make_weight(n_rows), validation)


class Case(NamedTuple):
    """All of an example; its text is what hypothesis shows when the example fails."""

    params: dict[str, Any]
    data: Data
    other: Data
    calls: list[str]


@st.composite
def cases(draw, estimator, targets, further_calls):
    n_features = draw(st.integers(1, 4))
    data = draw(datasets(targets, n_features))
    other = draw(st.just(data) | datasets(targets, n_features))
    starts = ["fit"], ["fit", "fit"], ["partial_fit"], ["partial_fit", "partial_fit"]
    calls = draw(one_of(*starts)) + draw(st.lists(one_of("fit", "partial_fit", *further_calls)))
    return Case(draw(hyperparameters(estimator)), data, other, calls[:5])


# What must hold.


@contextmanager
def documented_warnings_only():
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("error")
        for category in DOCUMENTED_WARNINGS:
            warnings.simplefilter("ignore", category)
        # scikit-learn's, for labels that look like targets of a regression.
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%")
        yield


def global_state():
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 -- the global generator is tested
    return (
        (kind, keys.tobytes(), *rest),
        torch.get_rng_state().numpy().tobytes(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        tuple(np.geterr().items()),
        signal.getsignal(signal.SIGINT),
        os.getcwd(),
    )


def attributes(model):
    """Return the names and identities of all attributes, and how long the history is."""
    identities = {name: id(value) for name, value in vars(model).items()}
    return identities, len(getattr(model, "history_", []))


def prediction(model, X):
    """Return what is predicted for X, or None if nothing is."""
    try:
        return model.predict(X)
    except ERRORS_OF_A_PREDICTION:
        return None


def classes_of(y):
    y = y.toarray() if sparse.issparse(y) else y
    return np.arange(y.shape[1]) if y.ndim == 2 else np.array(sorted(set(y.tolist()), key=str))


def train(model, call, data):
    before, expected = attributes(model), prediction(model, data.X)
    try:
        if call == "fit":
            model.fit(data.X, data.y, data.sample_weight, **data.validation)
        elif isinstance(model, NODEClassifier):
            classes = classes_of(data.y)
            model.partial_fit(data.X, data.y, classes=classes, sample_weight=data.sample_weight)
        else:
            model.partial_fit(data.X, data.y, sample_weight=data.sample_weight)
    except ERRORS[call] as error:
        assert str(error)  # noqa: PT017 -- it may fail or not
        assert attributes(model) == before
        if expected is not None:
            np.testing.assert_array_equal(model.predict(data.X), expected)
    except OSError:
        assert model.checkpoint is not None
    else:
        assert len(model.history_) == model.n_iter_ >= 1
        assert np.isfinite(model.loss_)
        assert 1 <= model.best_epoch_ <= model.n_iter_


def check_prediction(model, call, X):
    method = getattr(model, call)
    try:
        output = method(X, [0.0, 0.5, 1.5]) if call == "trajectory" else method(X)
    except ERRORS_OF_A_PREDICTION as error:
        assert str(error)  # noqa: PT017 -- it may fail or not
        return
    n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
    assert output.shape[1 if call == "trajectory" else 0] == n_rows
    if isinstance(model, NODEClassifier) and call == "predict":
        known = {0, 1} if output.ndim == 2 else set(model.classes_.tolist())
        assert set(output.ravel().tolist()) <= known
        return
    assert np.isfinite(output).all()
    if call == "predict_proba":
        assert ((output >= 0) & (output <= 1)).all()
        if model.target_type_ != "multilabel-indicator":
            np.testing.assert_allclose(output.sum(axis=1), 1.0, rtol=1e-5)


def a_sound_result_or_a_clear_error(estimator, case):
    with tempfile.TemporaryDirectory() as folder:
        params = dict(case.params)
        if isinstance(params.get("checkpoint"), str):
            params["checkpoint"] = str(Path(folder, params["checkpoint"]))
        model = estimator(**params)
        for i, call in enumerate(case.calls):
            before = global_state()
            with documented_warnings_only():
                if call in ERRORS:
                    train(model, call, case.data if i == 0 else case.other)
                else:
                    check_prediction(model, call, case.data.X)
                    check_prediction(model, call, case.other.X)
            assert global_state() == before


@pytest.mark.parametrize("estimator", [NODEClassifier, NODERegressor])
def test_every_hyperparameter_is_fuzzed(estimator):
    assert set(estimator().get_params()) <= set(VALID)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("name", VALID)
def test_every_odd_value_of_a_hyperparameter_works_or_is_named(name, early_stopping, tmp_path):
    estimator = NODERegressor if name in NODERegressor().get_params() else NODEClassifier
    X, y = np.random.default_rng(0).normal(size=(6, 2)), np.arange(6) % 2
    values = EXOTIC + WRONG + (HUGE if name in TAKES_HUGE else []) + DEVICES * (name == "device")
    wrong = []
    for value in values:
        if name == "checkpoint" and isinstance(value, str):
            value = tmp_path / "checkpoint" / value
        params = {"early_stopping": early_stopping, "loss": "quantile", "quantile": 0.5}
        params |= {"hidden_layer_sizes": (4,), "max_epochs": 1, "random_state": 0, name: value}
        known = estimator().get_params()
        model = estimator(**{key: params[key] for key in params if key in known})
        before = global_state(), attributes(model)
        try:
            with documented_warnings_only():
                model.fit(X, y)
        except (ValueError, TypeError) as error:
            if name not in str(error):
                wrong.append((value, error))
            assert attributes(model) == before[1]
        except TrainingError:
            assert attributes(model) == before[1]
        except Exception as error:
            wrong.append((value, error))
        assert global_state() == before[0]
    assert not wrong


@FUZZ
@given(
    cases(
        NODEClassifier,
        LABELS,
        ["predict", "predict_proba", "predict_log_proba", "decision_function", "trajectory"],
    )
)
def test_a_classifier_gives_a_sound_result_or_a_clear_error(case):
    a_sound_result_or_a_clear_error(NODEClassifier, case)


@FUZZ
@given(cases(NODERegressor, TARGETS, ["predict", "trajectory"]))
def test_a_regressor_gives_a_sound_result_or_a_clear_error(case):
    a_sound_result_or_a_clear_error(NODERegressor, case)

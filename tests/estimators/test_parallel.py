"""Threads, processes, and results that depend on neither."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score

from sknode import NODEClassifier, NODERegressor
from sknode.ode import native
from tests.problems import CLASSICAL

ROOT = Path(__file__).parents[2]
QUICK = {**CLASSICAL, "hidden_layer_sizes": (8,), "max_epochs": 5, "batch_size": 40}
IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
# The workers of joblib import whatever they need, and some of it warns.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:joblib")


def weights(model):
    return b"".join(p.detach().numpy().tobytes() for p in model.net_.module_.parameters())


def fitted_weights(seed, estimator=NODEClassifier, data=IRIS, **parameters):
    model = estimator(**{**QUICK, "random_state": seed, **parameters}).fit(*data)
    return weights(model), model.predict(data[0]).tobytes()


def test_eight_threads_that_fit_at_once_do_as_one_after_another():
    jobs = [
        {"seed": 0},
        {"seed": 1, "early_stopping": True},
        {"seed": 2, "adjoint": "continuous"},
        {"seed": 3, "adjoint": None, "max_epochs": 2},
        {"seed": 4, "solver": "rk4", "n_steps": 2},
        {"seed": 5, "estimator": NODERegressor, "data": DIABETES},
        {"seed": 6, "lift": "linear", "schedule": "cosine"},
        {"seed": 7, "dtype": "float32"},
    ]
    one_by_one = [fitted_weights(**job) for job in jobs]
    for _ in range(3):
        with ThreadPoolExecutor(8) as pool:
            at_once = list(pool.map(lambda job: fitted_weights(**job), jobs))
        assert at_once == one_by_one


def test_threads_that_predict_with_one_estimator_do_not_disturb_each_other():
    model = NODEClassifier(**{**QUICK, "random_state": 0}).fit(*IRIS)
    expected = model.predict_proba(IRIS[0])
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: model.predict_proba(IRIS[0]), range(64)):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_search_finds_the_same_in_any_number_of_jobs(backend):
    grid = {"augment_dim": [0, 1], "learning_rate": [0.01, 0.1]}
    scores = []
    for n_jobs in (1, 2):
        search = GridSearchCV(
            NODEClassifier(**{**QUICK, "random_state": 0}), grid, cv=2, n_jobs=n_jobs
        )
        with joblib.parallel_backend(backend):
            search.fit(*IRIS)
        scores.append(search.cv_results_["mean_test_score"])
        scores.append(weights(search.best_estimator_))
    np.testing.assert_array_equal(scores[0], scores[2])
    assert scores[1] == scores[3]


def test_predictions_of_folds_are_bit_for_bit_those_of_one_job():
    model = NODEClassifier(**{**QUICK, "random_state": 0})
    alone, together = (
        cross_val_predict(model, *IRIS, n_jobs=n, method="predict_proba") for n in (None, 2)
    )
    np.testing.assert_array_equal(alone, together)


def threads_of_a_worker():
    NODEClassifier(**{**QUICK, "random_state": 0}).fit(*IRIS)
    return torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")


@pytest.mark.parametrize("inner", [1, 2])
def test_a_worker_uses_as_many_threads_as_joblib_allows_it(inner, monkeypatch):
    # A variable that is set would be respected by joblib.
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=inner):
        found = joblib.Parallel()(joblib.delayed(threads_of_a_worker)() for _ in range(2))
    assert found == [(inner, str(inner))] * 2


@pytest.mark.skipif(native.ENGINE is None, reason="the native engine was not built")
def test_the_engine_starts_no_more_threads_than_torch_has(monkeypatch):
    asked = []
    real = torch.get_num_threads
    monkeypatch.setattr(torch, "get_num_threads", lambda: asked.append(1) or real())
    NODEClassifier(**{**QUICK, "random_state": 0}).fit(*IRIS)
    assert asked


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **environment},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


PRINT = """
import hashlib, sys
import numpy as np, torch
from tests.estimators.test_parallel import fitted_weights, DIABETES, NODERegressor
{before}
digest = hashlib.sha256()
for part in (*fitted_weights(0), *fitted_weights(1, NODERegressor, DIABETES, batch_size=1000)):
    digest.update(part)
print(digest.hexdigest())
"""


def test_the_same_seed_gives_the_same_bits_whatever_ran_before():
    before = (
        "torch.manual_seed(5); np.random.seed(5)\n"
        "torch.nn.Linear(3, 3)(torch.randn(7, 3)).sum().backward()\n"
        "fitted_weights(9, NODERegressor, DIABETES, augment_dim=2)\n"
        "fitted_weights(0)\n"
    )
    assert run(PRINT.format(before="")) == run(PRINT.format(before=before))


def test_the_same_seed_gives_the_same_bits_with_any_number_of_threads():
    one, two = (run(PRINT.format(before=""), OMP_NUM_THREADS=n) for n in "12")
    assert one == two


IMAGES = """
import hashlib
import numpy as np
from sknode import NODEImageClassifier
rng = np.random.default_rng(0)
X, y = rng.random((120, 28, 28)), rng.integers(10, size=120)
model = NODEImageClassifier(n_filters=16, max_epochs=1, random_state=0).fit(X, y)
print(hashlib.sha256(model.decision_function(X).tobytes()).hexdigest())
"""


def test_images_are_learned_to_the_same_bits_with_any_number_of_threads(monkeypatch):
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    one, two = (run(IMAGES, OMP_NUM_THREADS=n) for n in "12")
    assert one == two


THREADS = """
import threading
import torch
from skorch.callbacks import Callback
from sknode import NODEClassifier
from sknode.ode import native
from tests.estimators.test_parallel import IRIS, QUICK

class Watch(Callback):
    def on_batch_begin(self, net, **kwargs):
        seen.append((torch.get_num_threads(), native._n_threads()))
        # It asks torch for the first time, and keeps what it is told.
        thread = threading.Thread(target=lambda: elsewhere.append(torch.get_num_threads()))
        thread.start()
        thread.join()

def look():
    torch.get_num_threads()
    model = NODEClassifier(**QUICK, callbacks=[("watch", Watch())])
    model.fit(*IRIS).predict(IRIS[0])
    after.append((torch.get_num_threads(), native._n_threads()))

seen, elsewhere, after = [], [], []
look()
thread = threading.Thread(target=look)
thread.start()
thread.join()
print(set(seen) == {(1, 2)}, set(elsewhere) == {2}, set(after) == {(2, 2)})
"""


def test_a_fit_takes_one_of_torchs_threads_and_changes_none_but_its_own(monkeypatch):
    # torch takes no more threads than MKL.
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    found = run(THREADS, OMP_NUM_THREADS="2")
    assert found == "True True True\n"


FAILURES = """
import torch
from sknode import NODEClassifier, SolverError, TrainingError
from tests.estimators.test_parallel import IRIS, QUICK
try:
    NODEClassifier(**{**QUICK, "max_steps": 1, "tolerance": 1e-12}).fit(*IRIS)
except TrainingError:
    print(torch.get_num_threads())
model = NODEClassifier(**QUICK).fit(*IRIS)
model.net_.module_.head.weight.data.fill_(float("nan"))
try:
    model.predict(IRIS[0])
except SolverError:
    print(torch.get_num_threads())
"""


def test_a_failed_fit_or_prediction_gives_the_threads_back(monkeypatch):
    # torch takes no more threads than MKL.
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    assert run(FAILURES, OMP_NUM_THREADS="2") == "2\n2\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_fits_the_same():
    expected = fitted_weights(0)
    # In a process of its own, since the tests' may have threads that do not survive a fork.
    code = PRINT.format(before="") + (
        "import os, torch\n"
        "torch.set_num_threads(2)\n"
        "expected = fitted_weights(0)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if fitted_weights(0) == expected else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert run(code).splitlines()[-1] == "0"
    assert fitted_weights(0) == expected


def test_scores_do_not_depend_on_the_number_of_jobs_without_a_seed_in_the_estimator():
    scores = cross_val_score(NODEClassifier(**QUICK), *IRIS, n_jobs=2, error_score="raise")
    assert np.isfinite(scores).all()

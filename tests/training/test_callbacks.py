"""Callbacks of scikit-learn and of skorch."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback, EarlyStopping, EpochScoring, LRScheduler

from sknode import NODEClassifier
from tests.problems import CLASSICAL

QUICK = {
    **CLASSICAL,
    "hidden_layer_sizes": (8,),
    "max_epochs": 3,
    "early_stopping": False,
    "random_state": 0,
}
IRIS = load_iris(return_X_y=True)
callback = pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 brings callbacks")


class Recording:
    """A callback of scikit-learn that writes down what it is called with."""

    def __init__(self, stop_after=None):
        self.calls, self.stop_after = [], stop_after

    def setup(self, estimator, context):
        self.calls.append(("setup", context.task_name))

    def teardown(self, estimator, context):
        self.calls.append(("teardown", context.task_name))

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        assert X.shape == (150, 4)
        assert y.shape == (150,)
        self.calls.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None, metadata=None):
        score = fitted_estimator.score(*IRIS)
        self.calls.append(("end", context.task_name, context.task_id, score))
        return context.task_name == "epoch" and context.task_id + 1 == self.stop_after


def test_epochs_are_tasks_of_scikit_learn():
    recording = Recording()
    model = NODEClassifier(**QUICK).set_callbacks(recording).fit(*IRIS)
    tasks = [call[:3] for call in recording.calls]
    assert tasks == [
        ("setup", "fit"),
        ("begin", "fit", 0),
        *((what, "epoch", i) for i in range(3) for what in ("begin", "end")),
        ("end", "fit", 0),
        ("teardown", "fit"),
    ]
    assert recording.calls[-2][3] == model.score(*IRIS)


def test_the_estimator_of_a_task_predicts_as_if_training_had_ended_there():
    recording = Recording()
    NODEClassifier(**QUICK).set_callbacks(recording).fit(*IRIS)
    scores = [call[3] for call in recording.calls if call[:2] == ("end", "epoch")]
    lengths = [NODEClassifier(**{**QUICK, "max_epochs": n}).fit(*IRIS) for n in (1, 2, 3)]
    assert scores == [model.score(*IRIS) for model in lengths]


def test_watching_changes_nothing():
    watched = NODEClassifier(**{**QUICK, "batch_size": 40}).set_callbacks(Recording()).fit(*IRIS)
    plain = NODEClassifier(**{**QUICK, "batch_size": 40}).fit(*IRIS)
    np.testing.assert_array_equal(watched.predict_proba(IRIS[0]), plain.predict_proba(IRIS[0]))


def test_a_callback_of_scikit_learn_may_end_the_training():
    model = NODEClassifier(**QUICK).set_callbacks(Recording(stop_after=2)).fit(*IRIS)
    assert model.n_iter_ == 2


def test_callbacks_are_torn_down_after_a_failure_too():
    recording = Recording()
    model = NODEClassifier(**QUICK, callbacks=[Failing()]).set_callbacks(recording)
    with pytest.raises(ZeroDivisionError):
        model.fit(*IRIS)
    assert recording.calls[-1] == ("teardown", "fit")
    assert not [name for name in vars(model) if name.endswith("_ctx") or name == "net_"]


class Failing(Callback):
    """Fails at the end of an epoch."""

    def on_epoch_end(self, net, **kwargs):
        raise ZeroDivisionError


def test_the_scoring_monitor_logs_a_score_for_every_epoch():
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = NODEClassifier(**QUICK).set_callbacks(monitor).fit(*IRIS)
    log = monitor.get_logs()
    scores = [row["accuracy"] for row in log.data if row["task_name"] == "epoch"]
    assert len(scores) == 3
    assert scores[-1] == model.score(*IRIS)


def test_the_progress_bar_of_scikit_learn_counts_epochs_in_a_search(capsys):
    search = GridSearchCV(NODEClassifier(**QUICK), {"augment_dim": [0, 1]}, cv=2)
    search.set_callbacks(callback.ProgressBar()).fit(*IRIS)
    assert "NODEClassifier" in capsys.readouterr().out


def test_callbacks_of_scikit_learn_reach_the_last_step_of_a_pipeline():
    recording = callback.ScoringMonitor(scoring="accuracy")
    pipeline = make_pipeline(StandardScaler(), NODEClassifier(**QUICK).set_callbacks(recording))
    assert pipeline.fit(*IRIS).score(*IRIS) > 0.3


def test_sknode_works_where_scikit_learn_has_no_callbacks():
    code = (
        "import sys; sys.modules['sklearn.callback'] = None\n"
        "from sknode import NODEClassifier\n"
        "model = NODEClassifier(max_epochs=1).fit([[0.0], [1.0]], [0, 1])\n"
        "print(hasattr(model, 'set_callbacks'))"
    )
    # scikit-learn itself imports its callbacks; it is loaded before they are taken away.
    code = "import sklearn.compose, sklearn.impute, sklearn.model_selection\n" + code
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_skorch_callbacks_see_what_skorch_shows_them():
    seen = {}

    class See(Callback):
        def on_train_begin(self, net, X, y, **kwargs):
            seen["rows"] = len(X)

        def on_batch_end(self, net, training, batch, loss, y_pred, **kwargs):
            seen["batch"] = len(batch[0]), loss.ndim, y_pred.shape

        def on_grad_computed(self, net, named_parameters, **kwargs):
            seen["names"] = [name for name, _ in named_parameters]

        def on_epoch_end(self, net, dataset_train, dataset_valid, **kwargs):
            seen["history"] = set(net.history[-1])

    NODEClassifier(**QUICK, callbacks=[See()]).fit(*IRIS, X_val=IRIS[0], y_val=IRIS[1])
    assert seen["rows"] == 150
    assert seen["batch"] == (75, 0, (75, 3))
    assert "head.weight" in seen["names"]
    assert {"train_loss", "valid_loss", "valid_score", "dur", "batches"} <= seen["history"]


def test_skorch_schedulers_and_monitors_work():
    model = NODEClassifier(
        **{**QUICK, "max_epochs": 20},
        callbacks=[
            LRScheduler("StepLR", step_size=1, gamma=0.5),
            ("stop", EarlyStopping(monitor="valid_loss", patience=2, threshold=10.0,
                                   sink=lambda _: None)),
        ],
    ).fit(*IRIS, X_val=IRIS[0], y_val=IRIS[1])  # fmt: skip
    assert [epoch["learning_rate"] for epoch in model.history_] == pytest.approx(
        [1e-2, 5e-3, 25e-4]
    )
    assert model.n_iter_ == model.best_epoch_ == 3


def test_names_of_callbacks_that_are_taken_are_given_another(capsys):
    class Recorder(Callback):
        """Has the name of one that is there already."""

    model = NODEClassifier(
        **QUICK, callbacks=[Recorder(), EpochScoring(lambda *_: 0.0, name="mine")]
    )
    model.fit(*IRIS)
    assert model.n_iter_ == 3


def test_a_fitted_estimator_can_be_cloned_with_its_callbacks():
    model = NODEClassifier(**QUICK).set_callbacks(Recording()).fit(*IRIS)
    assert not hasattr(clone(model), "net_")

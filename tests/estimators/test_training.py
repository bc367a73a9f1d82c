"""Stopping early, going on, going back, and being interrupted."""

import math
import os
import re
import signal
import threading
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_classification
from sklearn.metrics import log_loss
from skorch.callbacks import Callback, EarlyStopping

from sknode import NODEClassifier, NODERegressor, SolverError, TrainingError, TrainingWarning
from sknode.modules import NODENetwork
from sknode.training.scaling import SCALINGS, Scaling
from sknode.training.schedule import SCHEDULES
from tests.problems import CLASSICAL

QUICK = {**CLASSICAL, "hidden_layer_sizes": (8,), "max_epochs": 3, "random_state": 0}
# The absolute error of a linear field grows with the row, and so does the number of steps.
LINEAR = {**QUICK, "hidden_layer_sizes": (), "tolerance": (1e-15, 1e-3), "max_steps": 5}
IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)


def weights(model):
    return [parameter.detach().clone() for parameter in model.net_.module_.parameters()]


def same_weights(a, b):
    return all(map(torch.equal, weights(a), weights(b)))


class AtBatch(Callback):
    """Does something at the end of a batch, counted from one over all epochs."""

    def __init__(self, number, action):
        self.number, self.action, self.count = number, action, 0

    def on_batch_end(self, net, **kwargs):
        self.count += 1
        if self.count == self.number:
            self.action(net)


def spoil(net):
    """Do to the weights what a step into the blue does."""
    with torch.no_grad():
        for parameter in net.module_.parameters():
            parameter.fill_(math.nan)


def raise_interrupt(net):
    raise KeyboardInterrupt


# Early stopping.


def noisy_classes():
    return make_classification(200, 20, flip_y=0.3, class_sep=0.5, random_state=0)


def test_early_stopping_ends_the_training_and_keeps_the_best_weights():
    X, y = noisy_classes()
    settings = {**CLASSICAL, "learning_rate": 0.05, "max_epochs": 200, "random_state": 0}
    model = NODEClassifier(**settings, early_stopping=True, validation_fraction=0.3).fit(X, y)
    losses = [epoch["validation_loss"] for epoch in model.history_]
    assert model.best_epoch_ == 1 + int(np.argmin(losses))
    assert model.n_iter_ < 200
    assert model.loss_ == model.history_[model.best_epoch_ - 1]["loss"]


def test_the_weights_kept_are_those_of_the_best_epoch():
    X, y = noisy_classes()
    X_val, y_val = X[150:], y[150:]
    settings = {**CLASSICAL, "learning_rate": 0.05, "max_epochs": 200, "random_state": 0}
    stopped = NODEClassifier(**settings)
    stopped.fit(X[:150], y[:150], X_val=X_val, y_val=y_val)
    settings = {**settings, "max_epochs": stopped.best_epoch_, "early_stopping": False}
    straight = NODEClassifier(**settings)
    straight.fit(X[:150], y[:150])
    assert 1 < stopped.best_epoch_ < stopped.n_iter_
    assert same_weights(stopped, straight)
    best = stopped.history_[stopped.best_epoch_ - 1]
    assert best["validation_loss"] == pytest.approx(log_loss(y_val, stopped.predict_proba(X_val)))
    assert best["validation_score"] == pytest.approx(stopped.score(X_val, y_val))


@pytest.mark.parametrize("patience", [1, 4])
def test_patience_is_counted_from_the_last_improvement_by_tol(patience):
    X, y = noisy_classes()
    model = NODEClassifier(
        learning_rate=0.05, max_epochs=200, n_iter_no_change=patience, tol=1e-2, random_state=0,
        early_stopping=True,
    ).fit(X, y)  # fmt: skip
    losses = [epoch["validation_loss"] for epoch in model.history_]
    best, misses, stop = math.inf, 0, None
    for epoch, loss in enumerate(losses, start=1):
        misses = 0 if loss < best - 1e-2 else misses + 1
        best = min(best, loss)
        if misses == patience:
            stop = epoch
            break
    assert model.n_iter_ == stop


def test_the_validation_loss_of_members_is_that_of_their_mean():
    X, y = noisy_classes()
    three = {**QUICK, "n_members": 3}
    classifier = NODEClassifier(**three, early_stopping=False)
    classifier.fit(X[:150], y[:150], X_val=X[150:], y_val=y[150:])
    found = classifier.history_[-1]["validation_loss"]
    assert found == pytest.approx(log_loss(y[150:], classifier.predict_proba(X[150:])))
    members = [log_loss(y[150:], p) for p in classifier.predict_proba_members(X[150:])]
    assert found < np.mean(members)

    target = X @ np.arange(20.0)
    regressor = NODERegressor(**three, early_stopping=False)
    regressor.fit(X[:150], target[:150], X_val=X[150:], y_val=target[150:])
    residual = (regressor.predict(X[150:]) - target[150:]) / regressor.target_scaling_.scale
    found = regressor.history_[-1]["validation_loss"]
    assert found == pytest.approx(np.square(residual).mean(), rel=1e-5)


@pytest.mark.parametrize("estimator", [NODEClassifier, NODERegressor])
def test_auto_stops_early_above_some_number_of_rows_or_with_rows_to_validate_by(estimator):
    X = np.random.default_rng(0).normal(size=(129, 2))
    y = (X[:, 0] > 0).astype(float)
    assert "validation_loss" not in estimator(**QUICK).fit(X[1:], y[1:]).history_[0]
    assert "validation_loss" in estimator(**QUICK).fit(X, y).history_[0]
    given = estimator(**QUICK, n_iter_no_change=1, tol=10.0)
    given.fit(X[1:], y[1:], X_val=X, y_val=y)
    assert given.n_iter_ == 2
    off = estimator(**QUICK, early_stopping=False).fit(X, y)
    assert "validation_loss" not in off.history_[0]


def test_without_early_stopping_given_rows_are_only_reported_on():
    X, y = IRIS
    plain = NODEClassifier(**QUICK, early_stopping=False).fit(X, y)
    watched = NODEClassifier(**QUICK, early_stopping=False).fit(X, y, X_val=X, y_val=y)
    assert same_weights(plain, watched)
    assert watched.best_epoch_ == watched.n_iter_ == 3
    assert watched.history_[-1]["validation_score"] == watched.score(X, y)


def test_validation_weighs_the_rows():
    X, y = DIABETES
    weight = np.arange(len(y)) % 3
    weighted = NODERegressor(**QUICK).fit(X, y, X_val=X, y_val=y, sample_weight_val=weight)
    repeated = NODERegressor(**QUICK).fit(
        X, y, X_val=X.repeat(weight, 0), y_val=y.repeat(weight)
    )  # fmt: skip
    for name in ("validation_loss", "validation_score"):
        values = [epoch[name] for epoch in weighted.history_]
        assert values == pytest.approx([epoch[name] for epoch in repeated.history_], rel=1e-9)
    score = weighted.score(X, y, sample_weight=weight)
    assert weighted.history_[weighted.best_epoch_ - 1]["validation_score"] == pytest.approx(score)


def test_rows_that_cannot_be_solved_have_an_infinite_validation_loss():
    X, y = DIABETES
    model = NODERegressor(**LINEAR, early_stopping=False)
    model.fit(X, y, X_val=np.full((2, 10), 1e6), y_val=[0.0, 1.0])
    last = model.history_[-1]
    assert last["validation_loss"] == math.inf
    assert math.isnan(last["validation_score"])


# The learning rate.


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_stay_between_zero_and_one(name):
    factors = np.array([SCHEDULES[name](p) for p in np.linspace(0, 1, 1001)[:-1]])
    assert (factors > 0).all()
    assert factors.max() == pytest.approx(1)


def test_the_cosine_falls_along_half_a_period():
    assert SCHEDULES["cosine"](0.0) == 1
    assert SCHEDULES["cosine"](0.5) == pytest.approx(0.5)
    assert SCHEDULES["cosine"](1.0) == pytest.approx(0)


def test_one_cycle_is_that_of_torch():
    n = 1000
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1.0, total_steps=n, cycle_momentum=False
    )
    theirs = []
    for _ in range(n):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(theirs) < n:
            scheduler.step()
    ours = [SCHEDULES["one_cycle"](i / n) for i in range(n)]
    # torch's phases end one step earlier.
    np.testing.assert_allclose(ours, theirs, atol=1.5 * np.pi / 2 / (0.3 * n))


def test_the_schedule_runs_over_all_batches():
    X, y = IRIS
    settings = {**QUICK, "max_epochs": 4, "schedule": "cosine", "batch_size": 75}
    model = NODEClassifier(**settings).fit(X, y)
    rates = [epoch["learning_rate"] for epoch in model.history_]
    expected = [1e-2 * (1 + math.cos(math.pi * i / 8)) / 2 for i in (1, 3, 5, 7)]
    np.testing.assert_allclose(rates, expected)
    constant = NODEClassifier(**QUICK).fit(X, y)
    assert {epoch["learning_rate"] for epoch in constant.history_} == {1e-2}


def test_clipping_bounds_the_length_of_a_step_of_gradient_descent():
    X, y = DIABETES
    settings = {**QUICK, "optimizer": "sgd", "weight_decay": 0.0, "learning_rate": 1.0}
    settings.update(max_epochs=1, batch_size=len(y))
    start = NODERegressor(**{**settings, "learning_rate": 1e-300}).fit(X, y)
    for clip, expected in ((1e-3, 1e-3), (1e9, None)):
        model = NODERegressor(**{**settings, "gradient_clip": clip}).fit(X, y)
        pairs = zip(weights(model), weights(start), strict=True)
        length = math.sqrt(sum(float(((a - b) ** 2).sum()) for a, b in pairs))
        assert length > 1e-2 if expected is None else length == pytest.approx(expected, rel=1e-4)


# Going back after a failure.


def test_a_ruined_step_is_taken_back_and_training_goes_on_with_half_the_rate():
    model = NODEClassifier(**{**QUICK, "batch_size": 50}, callbacks=[AtBatch(4, spoil)])
    with pytest.warns(TrainingWarning, match=r"in epoch 2 .*half the learning rate, 0\.005"):
        model.fit(*IRIS)
    assert [epoch["retries"] for epoch in model.history_] == [0, 1, 0]
    assert [epoch["learning_rate"] for epoch in model.history_] == [1e-2, 5e-3, 5e-3]
    assert np.isfinite(model.predict_proba(IRIS[0])).all()
    assert model.history_[-1]["loss"] < model.history_[0]["loss"]


def test_a_schedule_goes_on_from_half_its_height():
    model = NODEClassifier(
        **{**QUICK, "schedule": "cosine", "batch_size": 50}, callbacks=[AtBatch(4, spoil)]
    )
    with pytest.warns(TrainingWarning):
        model.fit(*IRIS)
    expected = 5e-3 * (1 + math.cos(math.pi * 8 / 9)) / 2
    assert model.history_[-1]["learning_rate"] == pytest.approx(expected)


def test_going_back_restores_weights_and_optimizer_exactly():
    kept = {}

    def note(net):
        kept["snapshot"] = [tensor.clone() for tensor in net.last_good.kept]

    def check(net):
        spoil(net)
        net.last_good.restore()
        for tensor, expected in zip(net.last_good.live(), kept["snapshot"], strict=True):
            assert torch.equal(tensor, expected)
        kept["checked"] = True

    both = AtBatch(4, lambda net: (note(net), check(net)))
    NODEClassifier(**{**QUICK, "batch_size": 50}, callbacks=[both]).fit(*IRIS)
    assert kept["checked"]


def test_a_backward_solve_that_fails_is_taken_back_too(monkeypatch):
    from sknode.training.net import Net

    real, calls = Net.get_loss, []

    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            raise SolverError("the backward solve failed")

    def get_loss(net, *args, **kwargs):
        calls.append([parameter.detach().clone() for parameter in net.module_.parameters()])
        loss = real(net, *args, **kwargs)
        return Fails.apply(loss) if len(calls) == 5 else loss

    monkeypatch.setattr(Net, "get_loss", get_loss)
    with pytest.warns(TrainingWarning, match="the backward solve failed; going on"):
        NODEClassifier(**{**QUICK, "batch_size": 50}).fit(*IRIS)
    # The sixth call is the second try, with the weights that the fourth batch was solved with.
    assert all(map(torch.equal, calls[5], calls[3]))
    assert not all(map(torch.equal, calls[4], calls[3]))


def test_weights_ruined_by_the_very_last_step_are_taken_back():
    model = NODEClassifier(**{**QUICK, "batch_size": 50}, callbacks=[AtBatch(9, spoil)])
    with pytest.warns(
        TrainingWarning, match="the loss was nan after the last step|stopped|smallest"
    ):
        model.fit(*IRIS)
    assert np.isfinite(model.predict_proba(IRIS[0])).all()


class Spoiler(Callback):
    """Ruins every step from the fourth on."""

    def on_batch_end(self, net, **kwargs):
        if len(net.history) > 1:
            spoil(net)


def test_a_second_failure_in_a_row_is_an_error_that_says_what_happened(recwarn):
    model = NODEClassifier(**{**QUICK, "batch_size": 50}, callbacks=[Spoiler()])
    message = (
        r"training failed in epoch 2, batch 3, again after going back .*"
        r"The last losses: [\d., ]+\. "
        r"Lower `learning_rate` \(it began with 0\.01\), set `gradient_clip`"
    )
    with pytest.raises(TrainingError, match=message):
        model.fit(*IRIS)
    assert [str(w.message)[:10] for w in recwarn.list] == ["in epoch 2"]
    assert not [name for name in vars(model) if name.endswith("_")]


def test_an_absurd_learning_rate_is_an_error_and_not_an_endless_retreat():
    y = np.array([0.0, 1.0] * 10)
    model = NODERegressor(solver="euler", optimizer="sgd", learning_rate=1e200, max_epochs=9)
    with (
        pytest.warns(TrainingWarning),
        pytest.raises(TrainingError, match=r"epoch 3, batch 1, again .*learning_rate"),
    ):
        model.fit(np.linspace(0, 1, 20)[:, None], y)


def test_a_solve_that_fails_at_once_names_the_solver_parameter():
    model = NODEClassifier(**QUICK, max_steps=1, tolerance=1e-10)
    with pytest.raises(TrainingError, match=r"epoch 1, batch 1: stopped at .*`max_steps`") as error:
        model.fit(*IRIS)
    assert isinstance(error.value.__cause__, SolverError)
    assert "The last losses: none" in str(error.value)


# Failing predictions.


def test_a_failed_solve_in_a_prediction_names_the_rows():
    X, y = DIABETES
    model = NODERegressor(**LINEAR).fit(X, y)
    far = X.copy()
    far[[17, 301]] = 1e6
    assert np.isfinite(model.predict(X)).all()
    with pytest.raises(SolverError, match=r"no prediction for the rows 17, 301 of X: .*steps in"):
        model.predict(far)
    with pytest.raises(SolverError, match=r"rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, \.\.\. of X"):
        model.predict(far[[17] * 40])


def test_rows_are_named_by_their_place_in_the_whole_table(monkeypatch):
    monkeypatch.setattr(NODENetwork, "rows_at_a_time", 100)
    test_a_failed_solve_in_a_prediction_names_the_rows()


# Ctrl-C.


def press_ctrl_c(net):
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_ends_the_training_after_the_batch_with_a_fitted_estimator():
    model = NODEClassifier(**{**QUICK, "batch_size": 50}, callbacks=[AtBatch(5, press_ctrl_c)])
    with pytest.warns(TrainingWarning, match=r"interrupted in epoch 2 of 3, after batch 2"):
        model.fit(*IRIS)
    assert model.n_iter_ == 2
    assert np.isfinite(model.predict_proba(IRIS[0])).all()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_ends_it_at_once_and_leaves_the_estimator_as_it_was():
    twice = AtBatch(2, lambda net: (press_ctrl_c(net), press_ctrl_c(net)))
    model = NODEClassifier(**{**QUICK, "batch_size": 50}, callbacks=[twice])
    with pytest.raises(KeyboardInterrupt):
        model.fit(*IRIS)
    assert not hasattr(model, "net_")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_program_that_handles_the_signal_itself_goes_on_doing_so():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append("mine"))
    try:
        press = AtBatch(2, press_ctrl_c)
        model = NODEClassifier(**{**QUICK, "batch_size": 50}, callbacks=[press]).fit(*IRIS)
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == ["mine"]
    assert model.n_iter_ == 3


def test_an_interrupt_within_a_batch_goes_back_to_the_last_good_weights(monkeypatch):
    from sknode.training.net import Net

    real, calls = Net.train_step_single, []

    def interrupted(net, batch, **kwargs):
        calls.append(batch)
        step = real(net, batch, **kwargs)
        if len(calls) == 5:
            spoil(net)
            raise KeyboardInterrupt
        return step

    monkeypatch.setattr(Net, "train_step_single", interrupted)
    model = NODEClassifier(**{**QUICK, "batch_size": 50})
    with pytest.warns(TrainingWarning, match=r"epoch 2 of 3, after batch 1"):
        model.fit(*IRIS)
    assert np.isfinite(model.predict_proba(IRIS[0])).all()
    assert len(model.history_) == 2


def test_an_interrupt_between_batches_keeps_the_last_step():
    interrupted = NODEClassifier(
        **{**QUICK, "batch_size": 50}, callbacks=[AtBatch(5, raise_interrupt)]
    )
    with pytest.warns(TrainingWarning, match="in epoch 2 of 3, after batch 2"):
        interrupted.fit(*IRIS)
    pressed = NODEClassifier(**{**QUICK, "batch_size": 50}, callbacks=[AtBatch(5, press_ctrl_c)])
    with pytest.warns(TrainingWarning):
        pressed.fit(*IRIS)
    assert same_weights(interrupted, pressed)


@pytest.mark.parametrize("call", [1, 4])
def test_an_interrupt_in_the_first_batch_of_an_epoch(monkeypatch, call):
    from sknode.training.net import Net

    real, calls = Net.train_step_single, []

    def interrupted(net, batch, **kwargs):
        calls.append(batch)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(net, batch, **kwargs)

    monkeypatch.setattr(Net, "train_step_single", interrupted)
    model = NODEClassifier(**{**QUICK, "batch_size": 50})
    if call == 1:
        with pytest.raises(KeyboardInterrupt):
            model.fit(*IRIS)
        assert not hasattr(model, "net_")
    else:
        with pytest.warns(TrainingWarning, match="interrupted in epoch 1 of 3, after batch 3"):
            model.fit(*IRIS)
        assert model.n_iter_ == 1


def test_a_crash_leaves_the_estimator_as_it_was():
    model = NODEClassifier(**QUICK).fit(*IRIS)
    expected = model.predict_proba(IRIS[0])

    def crash(net):
        raise RuntimeError("out of the blue")

    model.set_params(callbacks=[AtBatch(2, crash)])
    with pytest.raises(RuntimeError, match="out of the blue"):
        model.fit(IRIS[0][:, :2], IRIS[1] + 5)
    np.testing.assert_array_equal(model.predict_proba(IRIS[0]), expected)
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])


def test_skorch_callbacks_that_stop_the_training_do_not_count_as_interruptions():
    stop = EarlyStopping(monitor="train_loss", patience=1, threshold=10.0, sink=lambda _: None)
    model = NODEClassifier(**QUICK, callbacks=[stop])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(*IRIS)
    assert model.n_iter_ < 3


# Going on.


def test_partial_fit_is_one_pass_and_fit_is_many():
    X, y = IRIS
    options = {**QUICK, "batch_size": 40, "early_stopping": False}
    passes = NODEClassifier(**options)
    for _ in range(3):
        assert passes.partial_fit(X, y, classes=[0, 1, 2]) is passes
    whole = NODEClassifier(**options).fit(X, y)
    assert passes.n_iter_ == 3
    assert [epoch["epoch"] for epoch in passes.history_] == [1, 2, 3]
    # The same batches, weights and optimizer; the first step size alone is sought anew.
    np.testing.assert_allclose(passes.predict_proba(X), whole.predict_proba(X), atol=1e-4)


def test_partial_fit_keeps_the_standardisation_of_the_first_call():
    X, y = DIABETES
    model = NODERegressor(**QUICK).partial_fit(X[:100], y[:100])
    first = model.scaling_, model.target_scaling_
    model.partial_fit(3 * X[100:] + 1, 5 * y[100:])
    assert (model.scaling_, model.target_scaling_) == first
    assert isinstance(first[0], Scaling)
    np.testing.assert_array_equal(first[0].center, SCALINGS["standard"](X[:100], None, "X").center)


def test_partial_fit_learns_from_a_stream():
    X, y = load_breast_cancer(return_X_y=True)
    model = NODEClassifier(random_state=0)
    for _ in range(5):
        for start in range(0, len(X), 100):
            rows = slice(start, start + 100)
            model.partial_fit(X[rows], y[rows], classes=[0, 1])
    assert model.score(X, y) > 0.95


def test_partial_fit_wants_the_classes_first_and_the_same_ones_later():
    X, y = IRIS
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        NODEClassifier(**QUICK).partial_fit(X, y)
    model = NODEClassifier(**QUICK).partial_fit(X[:50], y[:50], classes=[2, 0, 1])
    model.partial_fit(X, y)
    with pytest.raises(ValueError, match="not those of the call before"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"classes \[0 1 2\], got also \[7\]"):
        model.partial_fit(X[:2], [7, 0])
    with pytest.raises(ValueError, match="'balanced' cannot be used with partial_fit"):
        model.set_params(class_weight="balanced").partial_fit(X, y)


def test_a_failed_partial_fit_leaves_the_estimator_as_it_was():
    X, y = IRIS
    model = NODEClassifier(**QUICK).fit(X, y)
    expected = model.predict_proba(X)
    with pytest.raises(ValueError, match="4 features"):
        model.partial_fit(X[:, :2], y)
    np.testing.assert_array_equal(model.predict_proba(X), expected)
    model.partial_fit(X, y)
    assert model.n_iter_ == 4


def test_a_changed_learning_rate_is_taken_up_by_partial_fit():
    X, y = IRIS
    model = NODEClassifier(**QUICK).partial_fit(X, y, classes=[0, 1, 2])
    model.set_params(learning_rate=1e-4).partial_fit(X, y)
    assert [epoch["learning_rate"] for epoch in model.history_] == pytest.approx([1e-2, 1e-4])
    model.set_params(weight_decay=0.5).partial_fit(X, y)
    groups = model.net_.optimizer_.param_groups
    assert [group["weight_decay"] for group in groups] == [0.0, 0.5]


def test_warm_start_counts_on_and_finds_the_best_epoch_of_the_last_fit():
    X, y = IRIS
    model = NODEClassifier(**QUICK, warm_start=True).fit(X, y)
    model.set_params(early_stopping=True, max_epochs=5).fit(X, y)
    assert model.n_iter_ == 8
    assert 4 <= model.best_epoch_ <= 8


# Weights and threads.


def test_initial_weights_do_not_depend_on_what_other_threads_draw():
    stop = threading.Event()

    def draw():
        while not stop.is_set():
            torch.randn(1000)

    settings = {**QUICK, "max_epochs": 1}
    quiet = NODEClassifier(**settings).fit(*IRIS)
    thread = threading.Thread(target=draw)
    thread.start()
    try:
        for _ in range(5):
            assert same_weights(NODEClassifier(**settings).fit(*IRIS), quiet)
    finally:
        stop.set()
        thread.join()


def test_errors_and_warnings_name_hyperparameters_that_exist():
    names = set(NODERegressor().get_params()) | set(NODEClassifier().get_params())
    with pytest.raises(TrainingError) as error:
        NODEClassifier(**QUICK, max_steps=1, tolerance=1e-10).fit(*IRIS)
    assert set(re.findall(r"`(\w+)`", str(error.value))) <= names

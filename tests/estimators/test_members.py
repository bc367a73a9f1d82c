"""Ensembles: members are trained side by side, and their predictions averaged."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.metrics import log_loss, mean_squared_error, r2_score
from skorch.callbacks import Callback

import sknode
from sknode import NODEClassifier, NODERegressor
from sknode.modules import NODENetwork
from sknode.training.average import WeightAverage
from sknode.training.data import Rows, TrainingSet
from sknode.training.net import Net
from sknode.training.split import held_back
from tests.problems import CLASSICAL

QUICK = {**CLASSICAL, "hidden_layer_sizes": (8,), "max_epochs": 3, "random_state": 0}
THREE = {**QUICK, "n_members": 3, "lift": "periodic", "lift_dim": 6}
IRIS = load_iris(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
LABELS = IRIS[0], np.column_stack([IRIS[1] > 0, IRIS[1] == 1]).astype(int)


class Begin(Callback):
    """Begins a training with given weights."""

    def __init__(self, weights):
        self.weights = weights

    def on_train_begin(self, net, **kwargs):
        net.module_.load_state_dict(self.weights)


@pytest.mark.parametrize("data", [IRIS, CANCER, LABELS])
def test_probabilities_are_the_mean_of_the_members(data):
    model = NODEClassifier(**THREE).fit(*data)
    members = model.predict_proba_members(data[0])
    found = model.predict_proba(data[0])
    assert members.shape == (3, *found.shape)
    assert np.abs(members[0] - members[1]).max() > 1e-3
    np.testing.assert_allclose(found, members.mean(axis=0), atol=1e-13)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(data[0])), found, atol=1e-13)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("n_targets", [1, 2])
def test_predictions_and_their_spread_are_those_of_the_members(loss, n_targets):
    X, y = DIABETES
    y = y if n_targets == 1 else np.column_stack([y, y[::-1]])
    model = NODERegressor(**THREE, loss=loss).fit(X, y)
    members = model.predict_members(X)
    found, std = model.predict(X, return_std=True)
    assert members.shape == (3, *y.shape)
    np.testing.assert_array_equal(model.predict(X), found)
    np.testing.assert_allclose(found, members.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(std, members.std(axis=0), rtol=1e-10)
    assert std.min() > 0


def test_a_single_member_has_no_spread():
    model = NODERegressor(**QUICK).fit(*DIABETES)
    assert model.predict_members(DIABETES[0]).shape == (1, len(DIABETES[1]))
    with pytest.raises(ValueError, match="return_std=True needs several members"):
        model.predict(DIABETES[0], return_std=True)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_member_learns_what_it_would_learn_alone(optimizer):
    X, y = DIABETES
    # A step size that suits all members is the first of the next batch where steps are adaptive.
    options = {**QUICK, "solver": "rk4", "optimizer": optimizer, "batch_size": 100}
    options["early_stopping"] = False
    several = NODERegressor(**{**options, "n_members": 3}).fit(X, y)
    begun = Net(several.net_.recipe, torch.device("cpu")).module_.state_dict()
    for i in range(3):
        alone = NODERegressor(**options, callbacks=[Begin({n: w[i] for n, w in begun.items()})])
        alone.fit(X, y)
        found = several.predict_members(X)[i]
        np.testing.assert_allclose(found, alone.predict(X), rtol=1e-6)


def test_the_states_of_a_member_lead_to_its_outputs():
    X, y = IRIS
    model = NODEClassifier(**THREE).fit(X, y)
    head = model.net_.module_.head
    for i in range(3):
        z = torch.from_numpy(model.trajectory(X, [1.0], member=i)[0])
        outputs = z @ head.weight[i].T + head.bias[i]
        expected = torch.softmax(outputs, 1).detach().numpy()
        np.testing.assert_allclose(model.predict_proba_members(X)[i], expected, atol=1e-12)
    for wrong in (3, -1, 0.5):
        with pytest.raises(ValueError, match="member must be an integer from 0 to 2"):
            model.trajectory(X, [1.0], member=wrong)


def out_of_bag(members, held):
    """Return for each row the mean of what the members say that were not trained on it."""
    held = held.T[:, :, np.newaxis]
    return (members.reshape(*held.shape[:2], -1) * held).sum(axis=0) / held.sum(axis=0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_members", [3, 12])
def test_a_regressor_is_validated_by_rows_that_a_member_was_not_trained_on(n_members, weighted):
    X, y = DIABETES
    weight = 1.0 + np.arange(len(y)) % 3 if weighted else np.ones(len(y))
    options = {**THREE, "n_members": n_members, "early_stopping": True, "dtype": "float64"}
    model = NODERegressor(**options).fit(X, y, weight if weighted else None)
    held = held_back(X, y, None, 0.1, 0, n_members)
    judges = held.any(axis=1)
    found = out_of_bag(model.predict_members(X)[:, judges], held[judges])[:, 0]
    best = model.history_[model.best_epoch_ - 1]
    scale = model.target_scaling_.scale
    loss = mean_squared_error(y[judges] / scale, found / scale, sample_weight=weight[judges])
    score = r2_score(y[judges], found, sample_weight=weight[judges])
    assert best["validation_loss"] == pytest.approx(loss)
    assert best["validation_score"] == pytest.approx(score)


@pytest.mark.parametrize("data", [IRIS, CANCER, LABELS])
def test_a_classifier_is_validated_by_rows_that_a_member_was_not_trained_on(data):
    X, y = data
    options = {**THREE, "n_members": 12, "early_stopping": True, "dtype": "float64"}
    model = NODEClassifier(**options).fit(X, y)
    held = held_back(X, y, model._target.strata(y), 0.1, 0, 12)
    judges = held.any(axis=1)
    found = out_of_bag(model.predict_proba_members(X)[:, judges], held[judges])
    if y.ndim == 2:
        loss = -np.where(y[judges] == 1, np.log(found), np.log(1 - found)).mean()
    else:
        loss = log_loss(y[judges], found)
    best = model.history_[model.best_epoch_ - 1]
    assert best["validation_loss"] == pytest.approx(loss)


def test_a_member_is_not_run_on_rows_that_it_is_not_judged_by(monkeypatch):
    forward, n_run = NODENetwork.forward, []

    def counted(network, x, *args):
        outputs = forward(network, x, *args)
        if not network.training:
            n_run.append(len(outputs))
        return outputs

    monkeypatch.setattr(NODENetwork, "forward", counted)
    X, y = DIABETES
    model = NODERegressor(**THREE, early_stopping=True).fit(X, y)
    # The last is the look back at the last batch, in which all members have the rows.
    *validation, _ = n_run
    assert validation == [held_back(X, y, None, 0.1, 0, 3).sum()] * model.n_iter_


def test_a_member_learns_nothing_from_the_rows_it_does_without():
    X, y = DIABETES
    model = NODERegressor(**THREE).fit(X, y)
    net = Net(model.net_.recipe, torch.device("cpu"))
    learners = ~held_back(X, y, None, 0.1, 0, 3)
    rows = Rows(X, model.scaling_, torch.device("cpu"), torch.float64)
    weight = 1.0 + np.arange(len(y)) % 3
    everything = slice(None)
    batch, target = TrainingSet(rows, model._target.encode(y), weight, learners).take(everything)
    outputs = net.module_(batch).detach().requires_grad_()
    net.get_loss(outputs, target).backward()
    found = 3 * outputs.grad.view(3, len(y))
    for learned, gradient, own in zip(learners.T, found, outputs.detach().chunk(3), strict=True):
        assert not gradient[~learned].any()
        left = TrainingSet(rows, model._target.encode(y), weight * learned).take(everything)[1]
        own.requires_grad_()
        net.get_loss(own, left).backward()
        np.testing.assert_allclose(gradient, own.grad[:, 0], rtol=1e-12)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_ensembles_are_saved_pickled_and_resumed(early_stopping, tmp_path):
    X, y = IRIS
    options = {**THREE, "max_epochs": 6, "ema_decay": 0.9, "dropout": 0.2}
    whole = NODEClassifier(**options, early_stopping=early_stopping).fit(X, y)
    sknode.save(whole, tmp_path / "model")
    loaded = sknode.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(X), whole.predict_proba(X))
    path = tmp_path / "checkpoint"
    cut = NODEClassifier(
        **options,
        early_stopping=early_stopping,
        checkpoint=path,
        checkpoint_interval=2,
        callbacks=[Stop(3)],
    )
    with pytest.raises(RuntimeError, match="power cut"):
        cut.fit(X, y)
    resumed = cut.set_params(callbacks=None).fit(X, y)
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))


class Stop(Begin):
    """Stands for a power cut in the n-th epoch."""

    def __init__(self, n):
        self.n = n

    def on_train_begin(self, net, **kwargs):
        pass

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.n:
            raise RuntimeError("power cut")


def test_row_weights_count_for_every_member():
    X, y = IRIS
    weight = np.random.default_rng(0).integers(1, 4, len(y))
    options = {**THREE, "batch_size": 1000, "kinetic_penalty": 0.5}
    weighted = NODEClassifier(**options).fit(X, y, sample_weight=weight)
    repeated = NODEClassifier(**options).fit(np.repeat(X, weight, 0), np.repeat(y, weight))
    np.testing.assert_allclose(
        weighted.predict_proba_members(X), repeated.predict_proba_members(X), atol=1e-7
    )


# The moving average of the weights.


def test_the_average_is_that_of_the_weights_that_were_shown():
    module = torch.nn.Linear(1, 1, bias=False)
    average = WeightAverage(module, 0.5)
    expected = module.weight.item()
    for n, value in enumerate([1.0, 2.0, 4.0, 8.0]):
        with torch.no_grad():
            module.weight.fill_(value)
        average.update()
        kept = min(0.5, (1 + n) / (10 + n))
        expected = kept * expected + (1 - kept) * value
    assert average.weights[0].item() == pytest.approx(expected)
    with average.applied():
        assert module.weight.item() == pytest.approx(expected)
    assert module.weight.item() == 8.0
    average.settle()
    assert module.weight.item() == pytest.approx(expected)


def test_what_is_fitted_is_the_average():
    X, y = DIABETES
    seen = []

    class Weights(Begin):
        def __init__(self):
            pass

        def on_train_begin(self, net, **kwargs):
            self.start = [p.detach().clone() for p in net.module_.parameters()]

        def on_grad_computed(self, net, named_parameters, **kwargs):
            seen.append([p.detach().clone() for p in net.module_.parameters()])

    options = {**QUICK, "ema_decay": 0.7, "batch_size": 100}
    model = NODERegressor(**options, callbacks=[Weights]).fit(X, y)
    kept = [min(0.7, (1 + n) / (10 + n)) for n in range(len(seen))]
    for i, found in enumerate(model.net_.module_.parameters()):
        expected = seen[0][i]
        for d, weights in zip(kept, seen, strict=True):
            expected = d * expected + (1 - d) * weights[i]
        torch.testing.assert_close(found.detach(), expected, rtol=1e-10, atol=1e-12)


def test_validation_judges_the_average():
    X, y = DIABETES
    options = {**QUICK, "ema_decay": 0.99, "early_stopping": True, "max_epochs": 8}
    model = NODERegressor(**options).fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    scores = [epoch["validation_score"] for epoch in model.history_]
    assert model.score(X[300:], y[300:]) == pytest.approx(scores[model.best_epoch_ - 1])

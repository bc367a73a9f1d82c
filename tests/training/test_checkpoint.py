"""Trainings that are cut off and gone on with."""

import errno
import os
import random
import time

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_iris
from skorch.callbacks import Callback, EpochScoring, LRScheduler
from torch.optim.lr_scheduler import OneCycleLR

from sknode import NODEClassifier, NODERegressor, TrainingWarning, _files
from sknode._files import read
from tests.faults import CONTEXT, INTERVAL, SETTINGS, train
from tests.problems import CLASSICAL

IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
QUICK = {
    **CLASSICAL,
    "hidden_layer_sizes": (8,),
    "max_epochs": 8,
    "random_state": 0,
    "batch_size": 40,
}
N_KILLS = int(os.environ.get("SKNODE_KILLS", 4))


class CutOffError(Exception):
    """What stands for a power cut."""


class CutOff(Callback):
    """Ends a training in the middle of an epoch as nothing that is caught would."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise CutOffError


def numbers(model):
    """Return all of a fitted model that must not depend on interruptions."""
    weights = [
        parameter.detach().numpy().tobytes() for parameter in model.net_.module_.parameters()
    ]
    history = [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in model.history_]
    return weights, history, model.best_epoch_, model.n_iter_


def cut_off_and_resumed(estimator, data, path, epoch, **more):
    cut = estimator(**more, checkpoint=path, callbacks=[CutOff(epoch)])
    with pytest.raises(CutOffError):
        cut.fit(*data)
    assert not hasattr(cut, "net_")
    return estimator(**more, checkpoint=path).fit(*data)


@pytest.mark.parametrize("epoch", [1, 2, 3, 4, 6, 7, 8])
def test_a_resumed_training_ends_where_an_uninterrupted_one_does(tmp_path, epoch):
    straight = NODEClassifier(**QUICK).fit(*IRIS)
    path = tmp_path / "state"
    settings = {**QUICK, "checkpoint_interval": 3}
    resumed = cut_off_and_resumed(NODEClassifier, IRIS, path, epoch, **settings)
    assert numbers(resumed) == numbers(straight)


@pytest.mark.parametrize(
    "more",
    [
        {"schedule": "cosine", "gradient_clip": 0.1},
        {"early_stopping": True, "n_iter_no_change": 2, "tol": 1.0},
        {"early_stopping": True, "random_state": None},
        {"optimizer": "sgd"},
        {"optimizer": torch.optim.RMSprop},
        {"optimizer": torch.optim.NAdam},
        {"optimizer": torch.optim.Adafactor},
        {"solver": "bosh3", "adjoint": "continuous", "augment_dim": 2},
        {"adjoint": None, "dtype": "float32"},
        {"solver": "rk4", "lift": "linear"},
        {"batch_size": 200},
        {"device": "auto"},
    ],
)
def test_nothing_that_training_depends_on_is_missing_from_a_checkpoint(tmp_path, more):
    settings = {**QUICK, "checkpoint_interval": 1, **more}
    if settings["random_state"] is None:
        # The seed is drawn by the first fit, whose checkpoint then is all there is to compare by.
        path = tmp_path / "first"
        straight = NODEClassifier(**settings, checkpoint=path)
        straight.fit(*IRIS)
        resumed = NODEClassifier(**settings, checkpoint=path).fit(*IRIS)
    else:
        straight = NODEClassifier(**settings).fit(*IRIS)
        cut = 2 if "tol" in more else 5
        resumed = cut_off_and_resumed(NODEClassifier, IRIS, tmp_path / "x", cut, **settings)
    assert numbers(resumed) == numbers(straight)


def test_a_regressor_with_weights_and_validation_rows_is_resumed(tmp_path):
    X, y = DIABETES
    weight = np.linspace(0, 2, len(y))
    given = {"sample_weight": weight, "X_val": X[:50], "y_val": y[:50]}
    straight = NODERegressor(**QUICK).fit(X, y, **given)
    settings = {**QUICK, "checkpoint": tmp_path / "x", "checkpoint_interval": 2}
    with pytest.raises(CutOffError):
        NODERegressor(**settings, callbacks=[CutOff(6)]).fit(X, y, **given)
    assert numbers(NODERegressor(**settings).fit(X, y, **given)) == numbers(straight)


def test_sparse_rows_are_resumed(tmp_path):
    from scipy import sparse

    data = sparse.csr_array(IRIS[0]), IRIS[1]
    straight = NODEClassifier(**QUICK).fit(*data)
    settings = {**QUICK, "checkpoint_interval": 2}
    resumed = cut_off_and_resumed(NODEClassifier, data, tmp_path / "x", 4, **settings)
    assert numbers(resumed) == numbers(straight)


@pytest.mark.parametrize(
    "policy",
    [
        LRScheduler(OneCycleLR, max_lr=0.1, total_steps=99, step_every="batch"),
        LRScheduler("StepLR", step_size=2),
        EpochScoring(lambda net, *_: 0.5, name="score", use_caching=False),
    ],
)
def test_what_callbacks_write_down_is_no_hindrance(tmp_path, policy):
    settings = {**QUICK, "schedule": "constant", "checkpoint": tmp_path / "x"}
    with pytest.raises(CutOffError):
        NODEClassifier(**settings, checkpoint_interval=2, callbacks=[policy, CutOff(5)]).fit(*IRIS)
    assert NODEClassifier(**settings, callbacks=[policy]).fit(*IRIS).n_iter_ == 8


class SpoilOnce(Callback):
    """Ruins the weights at the end of an epoch, as a step into the blue would."""

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == 3 and len(net.history[-1]["batches"]) == 4:
            with torch.no_grad():
                net.module_.head.weight.fill_(float("nan"))


@pytest.mark.filterwarnings("ignore::sknode.TrainingWarning")
def test_weights_to_go_back_to_are_in_the_checkpoint(tmp_path):
    options = {**QUICK, "early_stopping": False}
    settings = {**options, "checkpoint_interval": 3, "checkpoint": tmp_path / "x"}
    straight = NODEClassifier(**options, callbacks=[SpoilOnce()]).fit(*IRIS)
    with pytest.raises(CutOffError):
        NODEClassifier(**settings, callbacks=[SpoilOnce(), CutOff(4)]).fit(*IRIS)
    resumed = NODEClassifier(**settings, callbacks=[SpoilOnce()]).fit(*IRIS)
    assert straight.history_[3]["retries"] == 1
    assert numbers(resumed) == numbers(straight)


def test_a_finished_training_is_not_trained_again(tmp_path):
    settings = {**QUICK, "checkpoint": tmp_path / "x", "early_stopping": True}
    first = NODEClassifier(**settings).fit(*IRIS)
    started = time.perf_counter()
    again = NODEClassifier(**settings, callbacks=[CutOff(1)]).fit(*IRIS)
    assert time.perf_counter() - started < 5
    assert numbers(again) == numbers(first)


def test_a_finished_training_is_read_where_nothing_can_be_written(tmp_path, monkeypatch):
    settings = {**QUICK, "checkpoint": tmp_path / "x", "checkpoint_interval": 2}
    with pytest.raises(CutOffError):
        NODEClassifier(**settings, callbacks=[CutOff(5)]).fit(*IRIS)
    monkeypatch.setattr(_files.os, "access", lambda *args: False)
    with pytest.raises(ValueError, match="cannot be written to"):
        NODEClassifier(**settings).fit(*IRIS)
    monkeypatch.undo()
    first = NODEClassifier(**settings).fit(*IRIS)
    monkeypatch.setattr(_files.os, "access", lambda *args: False)
    monkeypatch.setattr(_files, "write_bytes", None)
    assert numbers(NODEClassifier(**settings).fit(*IRIS)) == numbers(first)


def test_a_warm_start_has_a_checkpoint_of_its_own_kind(tmp_path):
    model = NODEClassifier(**QUICK, warm_start=True, checkpoint=tmp_path / "x").fit(*IRIS)
    with pytest.raises(ValueError, match="differs in the weights it began with"):
        model.fit(*IRIS)


@pytest.mark.filterwarnings("ignore::sknode.TrainingWarning")
def test_an_interrupted_training_leaves_the_last_whole_checkpoint(tmp_path):
    class Interrupt(Callback):
        def on_batch_end(self, net, **kwargs):
            if len(net.history) == 6:
                raise KeyboardInterrupt

    settings = {**QUICK, "checkpoint": tmp_path / "x", "checkpoint_interval": 2}
    with pytest.warns(TrainingWarning, match="interrupted in epoch 6"):
        interrupted = NODEClassifier(**settings, callbacks=[Interrupt()]).fit(*IRIS)
    assert interrupted.n_iter_ == 6
    assert len(read(tmp_path / "x", "checkpoint").header["history"]) == 4
    assert numbers(NODEClassifier(**settings).fit(*IRIS)) == numbers(
        NODEClassifier(**QUICK).fit(*IRIS)
    )


# What is not the same training.


@pytest.mark.parametrize(
    ("more", "what"),
    [({"learning_rate": 1e-3}, "learning_rate"), ({"max_epochs": 9}, "max_epochs")],
)
def test_other_hyperparameters_are_another_training(tmp_path, more, what):
    path = tmp_path / "x"
    NODEClassifier(**QUICK, checkpoint=path).fit(*IRIS)
    before = path.read_bytes()
    model = NODEClassifier(**{**QUICK, **more}, checkpoint=path)
    with pytest.raises(ValueError, match=rf"another training, which differs in {what}; delete it"):
        model.fit(*IRIS)
    assert path.read_bytes() == before
    assert not hasattr(model, "classes_")


def test_other_data_are_another_training(tmp_path):
    X, y = IRIS[0][::2], IRIS[1][::2]
    path = tmp_path / "x"
    NODEClassifier(**QUICK, checkpoint=path).fit(X, y)
    changed = X.copy()
    changed[0, 0] += 1
    for data in ((changed, y), (X, y[::-1]), (X[:-1], y[:-1])):
        with pytest.raises(ValueError, match=r"differs in .*the data"):
            NODEClassifier(**QUICK, checkpoint=path).fit(*data)
    with pytest.raises(ValueError, match="differs in the data"):
        NODEClassifier(**QUICK, checkpoint=path).fit(X, y, sample_weight=np.arange(1, 76))
    with pytest.raises(ValueError, match="differs in the validation data"):
        NODEClassifier(**QUICK, checkpoint=path).fit(X, y, X_val=X, y_val=y)
    with pytest.raises(ValueError, match="another training"):
        NODERegressor(**QUICK, checkpoint=path).fit(X, y)


def test_what_only_shows_or_stores_does_not_make_another_training(tmp_path, capsys):
    path = str(tmp_path / "x")
    model = NODEClassifier(**QUICK, checkpoint=path).fit(*IRIS)
    again = NODEClassifier(**QUICK, checkpoint=path, checkpoint_interval=1, verbose=1).fit(*IRIS)
    assert numbers(again) == numbers(model)


def test_a_file_that_is_no_checkpoint_is_not_touched(tmp_path):
    import sknode

    path = tmp_path / "x"
    model = NODEClassifier(**QUICK)
    path.write_text("my thesis")
    with pytest.raises(ValueError, match="is not a file of sknode"):
        model.set_params(checkpoint=path).fit(*IRIS)
    assert path.read_text() == "my thesis"
    sknode.save(NODEClassifier(**QUICK).fit(*IRIS), path)
    with pytest.raises(ValueError, match="is a model, not a checkpoint"):
        model.fit(*IRIS)


def test_a_checkpoint_with_a_right_checksum_and_wrong_contents_is_refused(tmp_path):
    path = tmp_path / "x"
    model = NODEClassifier(**QUICK, checkpoint=path).fit(*IRIS)
    tensors, header = read(path, "checkpoint")
    del header["kind"], header["format"]
    for name in ("module.head.bias", "optimizer.0.step", "generator"):
        fewer = {key: value for key, value in tensors.items() if key != name}
        _files.write(path, "checkpoint", fewer, header)
        with pytest.raises(ValueError, match="cannot be gone on from"):
            model.fit(*IRIS)
    for name in header:
        less = {key: value for key, value in header.items() if key != name}
        _files.write(path, "checkpoint", tensors, less)
        with pytest.raises(ValueError, match=r"delete it"):
            model.fit(*IRIS)
    assert model.n_iter_ == QUICK["max_epochs"]


def set_group(header, tensors, **values):
    header["optimizer"]["groups"][0].update(values)


def test_a_torch_with_fewer_settings_may_have_written_a_checkpoint(tmp_path):
    settings = {**QUICK, "checkpoint": tmp_path / "x", "checkpoint_interval": 2}
    with pytest.raises(CutOffError):
        NODEClassifier(**settings, callbacks=[CutOff(5)]).fit(*IRIS)
    tensors, header = read(tmp_path / "x", "checkpoint")
    del header["kind"], header["format"]
    for group in header["optimizer"]["groups"]:
        del group["maximize"]
    _files.write(tmp_path / "x", "checkpoint", tensors, header)
    resumed = NODEClassifier(**settings).fit(*IRIS)
    assert numbers(resumed) == numbers(NODEClassifier(**QUICK).fit(*IRIS))


# Of a training with early stopping that was cut off.
FORGERIES = {
    "seed": lambda h, t: h.update(seed=float("inf")),
    "negative seed": lambda h, t: h.update(seed=-1),
    "end": lambda h, t: h.update(ended=1),
    "identity": lambda h, t: h.update(identity=[]),
    "rate": lambda h, t: set_group(h, t, lr=float("nan")),
    "text": lambda h, t: set_group(h, t, lr="0.1"),
    "switch": lambda h, t: set_group(h, t, capturable=True),
    "params": lambda h, t: set_group(h, t, params=3),
    "group": lambda h, t: h["optimizer"]["groups"].pop(),
    "state": lambda h, t: h["optimizer"].update(state={"0.more": 1}),
    "method": lambda h, t: h["early_stopping"].update(on_epoch_end=None),
    "class": lambda h, t: h["early_stopping"].update(__class__="os.system"),
    "best epoch": lambda h, t: h["early_stopping"].update(best_epoch=10**9),
    "best loss": lambda h, t: h["early_stopping"].update(best_loss=float("nan")),
    "misses": lambda h, t: h["early_stopping"].update(n_misses=-1),
    "retries": lambda h, t: h.update(n_retries="0"),
    "updates": lambda h, t: h.update(n_updates=-1),
    "probation": lambda h, t: h.update(on_probation=1),
    "first step": lambda h, t: h.update(first_step=-0.1),
    "no history": lambda h, t: h.update(history=[]),
    "long history": lambda h, t: h["history"].extend(h["history"] * 10),
    "batches": lambda h, t: h["history"][0].update(batches=1),
    "list": lambda h, t: h["history"][0].update(more=[1]),
    "epoch": lambda h, t: h["history"][0].pop("train_loss"),
    "validation": lambda h, t: h["history"][0].update(valid_loss=None),
    "generator": lambda h, t: t.update(generator=torch.zeros(5, dtype=torch.uint8)),
    "generator's state": lambda h, t: t["generator"].fill_(255),
    "step": lambda h, t: t["optimizer.0.step"].fill_(-1),
    "mean": lambda h, t: t.update({"optimizer.0.exp_avg": torch.zeros(1)}),
    "precision": lambda h, t: t.update({"module.head.bias": torch.zeros(3).half()}),
    "last good": lambda h, t: t.update({"last_good.99": torch.zeros(1)}),
    "average": lambda h, t: t.update({"average.0": torch.zeros(1)}),
    "best": lambda h, t: t.update({"best.more": torch.zeros(1)}),
    "step size": lambda h, t: t.update(first_step=torch.tensor(float("nan"))),
    "more": lambda h, t: t.update(more=torch.zeros(1)),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_checkpoint_is_refused_and_leaves_no_trace(tmp_path, name):
    path = tmp_path / "x"
    settings = {**QUICK, "checkpoint": path, "checkpoint_interval": 2, "early_stopping": True}
    with pytest.raises(CutOffError):
        NODEClassifier(**settings, callbacks=[CutOff(5)]).fit(*IRIS)
    tensors, header = read(path, "checkpoint")
    del header["kind"], header["format"]
    FORGERIES[name](header, tensors)
    _files.write(path, "checkpoint", tensors, header)
    before, model = path.read_bytes(), NODEClassifier(**settings)
    with pytest.raises(ValueError, match="delete it"):
        model.fit(*IRIS)
    assert vars(model) == vars(NODEClassifier(**settings))
    assert path.read_bytes() == before


@pytest.mark.parametrize("n", [240, 255])
def test_a_long_name_is_good_for_a_checkpoint(tmp_path, n):
    path = tmp_path / ("n" * n)
    assert NODEClassifier(**QUICK, checkpoint=path).fit(*IRIS).n_iter_ == 8
    assert os.listdir(tmp_path) == ["n" * n]


@pytest.mark.parametrize("name", ["n" * 256, "a\0b"], ids=["long", "NUL"])
def test_an_impossible_name_is_refused_before_training(tmp_path, name):
    with pytest.raises(ValueError, match="cannot be a file"):
        NODEClassifier(**QUICK, checkpoint=tmp_path / name, callbacks=[CutOff(1)]).fit(*IRIS)


def test_a_checkpoint_is_written_to_where_a_link_leads(tmp_path):
    (tmp_path / "link").symlink_to("state")
    model = NODEClassifier(**QUICK, checkpoint=tmp_path / "link").fit(*IRIS)
    assert (tmp_path / "link").is_symlink()
    assert numbers(NODEClassifier(**QUICK, checkpoint=tmp_path / "state").fit(*IRIS)) == numbers(
        model
    )


def test_a_place_where_no_checkpoint_can_be_is_refused_before_training(tmp_path):
    for path, message in ((tmp_path, "is a folder"), (tmp_path / "no" / "x", "does not exist")):
        with pytest.raises(ValueError, match=message):
            NODEClassifier(**QUICK, checkpoint=path, callbacks=[CutOff(1)]).fit(*IRIS)


def test_a_disk_that_fills_up_is_an_error_and_the_earlier_checkpoint_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "x"
    settings = {**QUICK, "checkpoint": path, "checkpoint_interval": 2}
    real, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        # Each file is flushed, and then its folder.
        if len(calls) > 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(_files.os, "fsync", full)
    model = NODEClassifier(**settings)
    with pytest.raises(OSError, match=r"x could not be written \(No space .*before is intact"):
        model.fit(*IRIS)
    assert not hasattr(model, "net_")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["x"]
    assert len(read(path, "checkpoint").header["history"]) == 4
    assert numbers(model.fit(*IRIS)) == numbers(NODEClassifier(**QUICK).fit(*IRIS))


# SIGKILL.


def start_training(checkpoint, result):
    # Without a lock, which a killed process would hold for ever.
    done = CONTEXT.RawValue("i", 0)
    process = CONTEXT.Process(target=train, args=(checkpoint, str(result), done))
    process.start()
    return process, done


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    result = tmp_path_factory.mktemp("straight") / "result"
    process, done = start_training(None, result)
    process.join()
    assert done.value == SETTINGS["max_epochs"]
    return result.read_bytes()


@pytest.mark.parametrize("number", range(N_KILLS))
def test_a_killed_training_loses_at_most_one_interval(tmp_path, uninterrupted, number):
    path, result = tmp_path / "state", tmp_path / "result"
    moments = random.Random(number)
    for _ in range(3):
        process, done = start_training(str(path), result)
        epoch = moments.randrange(SETTINGS["max_epochs"])
        while process.is_alive() and done.value < epoch:
            time.sleep(1e-3)
        time.sleep(moments.uniform(0, 0.02))
        process.kill()
        process.join()
        if path.exists():
            kept = len(read(path, "checkpoint").header["history"])
            assert kept % INTERVAL == 0
            assert kept >= done.value - INTERVAL
        else:
            assert done.value <= INTERVAL
    process, _done = start_training(str(path), result)
    process.join()
    assert process.exitcode == 0
    assert result.read_bytes() == uninterrupted


def test_the_killed_training_has_all_that_a_state_can_have():
    assert SETTINGS["early_stopping"]
    assert SETTINGS["schedule"] != "constant"

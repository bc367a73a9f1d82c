"""Estimators that are saved, pickled, copied and moved."""

import copy
import io
import json
import os
import pickle
import random
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

import sknode
from sknode import (
    NODEClassifier,
    NODEImageClassifier,
    NODERegressor,
    ResNetClassifier,
    ResNetImageClassifier,
    ResNetRegressor,
)
from sknode._files import read, write
from sknode.training.net import Net
from tests.problems import CLASSICAL

QUICK = {**CLASSICAL, "hidden_layer_sizes": (8,), "max_epochs": 3, "random_state": 0}
IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[IRIS[1]]


def classifier(**parameters):
    return NODEClassifier(**{**QUICK, **parameters})


def frame(rows, columns):
    return pytest.importorskip("pandas").DataFrame(rows, columns=columns)


MODELS = {
    "classes": lambda: classifier().fit(*IRIS),
    "names": lambda: classifier(class_weight={"setosa": 2.0}).fit(IRIS[0], NAMES),
    "objects": lambda: classifier().fit(IRIS[0], NAMES.astype(object)),
    "two classes": lambda: classifier(early_stopping=True).fit(IRIS[0], IRIS[1] == 1),
    "labels": lambda: classifier().fit(IRIS[0], np.eye(3, dtype=int)[IRIS[1]]),
    "frame": lambda: classifier().fit(frame(IRIS[0], list("abcd")), NAMES),
    "float32": lambda: classifier(dtype="float32", solver="rk4", n_steps=3).fit(*IRIS),
    "lifted": lambda: classifier(lift="linear", augment_dim=2, time_dependent=False).fit(*IRIS),
    "pair": lambda: classifier(tolerance=(1e-2, 1e-4), hidden_layer_sizes=[4, 4]).fit(*IRIS),
    "numpy": lambda: classifier(learning_rate=np.float32(0.01), max_epochs=np.int64(2)).fit(*IRIS),
    "regressor": lambda: NODERegressor(**QUICK).fit(*DIABETES),
    "targets": lambda: NODERegressor(**QUICK).fit(DIABETES[0], np.tile(DIABETES[1], (2, 1)).T),
    "poisson": lambda: NODERegressor(**QUICK, loss="poisson").fit(*DIABETES),
    "residual": lambda: ResNetClassifier(max_epochs=3, random_state=0).fit(*IRIS),
    "shared": lambda: ResNetClassifier(
        shared_weights=True, lift="identity", head="identity", max_epochs=3, random_state=0
    ).fit(*IRIS),
    "quantile": lambda: NODERegressor(**QUICK, loss="quantile", quantile=0.3).fit(*DIABETES),
    "wide names": lambda: classifier().fit(IRIS[0], NAMES.astype("<U200")),
    "one class": lambda: classifier().fit(IRIS[0], np.full(150, 7)),
    "sparse": lambda: NODEClassifier(max_epochs=1).fit(sparse.csr_array(IRIS[0]), IRIS[1]),
    "in parts": lambda: classifier().partial_fit(*IRIS, classes=[0, 1, 2]).partial_fit(*IRIS),
    "images": lambda: NODEImageClassifier(image_shape=(2, 2), max_epochs=1).fit(*IRIS),
    "residual images": lambda: ResNetImageClassifier(
        image_shape=(2, 2), n_downsamplings=1, max_epochs=1
    ).fit(*IRIS),
    "residual regressor": lambda: ResNetRegressor(max_epochs=1).fit(*DIABETES),
}


def outputs(model):
    X = IRIS[0] if isinstance(model, ClassifierMixin) else DIABETES[0]
    if hasattr(model, "feature_names_in_"):
        X = frame(X, model.feature_names_in_)
    last = model.predict_proba(X) if isinstance(model, ClassifierMixin) else model.predict(X)
    return model.predict(X).tolist(), last.tobytes()


def plain(value):
    """Return fitted attributes in a form that can be compared."""
    if isinstance(value, np.ndarray):
        return value.dtype, value.tolist()
    return [plain(part) for part in value] if isinstance(value, tuple) else value


def fitted(model):
    names = [n for n in vars(model) if n.endswith("_") and n != "net_"]
    return {name: plain(getattr(model, name)) for name in names}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_estimator_is_the_saved_one(name, path):
    model = MODELS[name]()
    sknode.save(model, path)
    loaded = sknode.load(path)
    assert type(loaded) is type(model)
    assert loaded.get_params() == model.get_params()
    assert fitted(loaded) == fitted(model)
    assert outputs(loaded) == outputs(model)


WAYS = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "joblib": lambda model: joblib_copy(model),
    "cloudpickle": lambda model: pickle.loads(pytest.importorskip("cloudpickle").dumps(model)),
    "deepcopy": copy.deepcopy,
}


def joblib_copy(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MODELS)
def test_a_copy_is_the_estimator(name, way):
    model = MODELS[name]()
    again = WAYS[way](model)
    assert fitted(again) == fitted(model)
    assert outputs(again) == outputs(model)


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_goes_on_learning_where_the_estimator_would(way):
    model = classifier(batch_size=40).partial_fit(*IRIS, classes=[0, 1, 2])
    again = WAYS[way](model)
    for m in (model, again):
        m.partial_fit(*IRIS)
    assert outputs(again) == outputs(model)


@pytest.mark.parametrize("go_on", [WAYS["pickle"], lambda model: model.partial_fit(*IRIS)])
def test_the_state_of_an_optimizer_keeps_its_precision(go_on):
    # NAdam keeps a product in single precision whatever that of the weights.
    model = classifier(optimizer=torch.optim.NAdam).partial_fit(*IRIS, classes=[0, 1, 2])
    kept = next(iter(go_on(model).net_.optimizer_.state.values()))
    assert kept["mu_product"].dtype == torch.float32
    assert kept["exp_avg"].dtype == torch.float64


LATER = {
    "residual": {"shared_weights": True, "n_blocks": 7, "hidden_layer_sizes": (3, 3)},
    "shared": {"shared_weights": False, "n_blocks": 2, "kinetic_penalty": 0.0},
    "classes": {"solver": "rk4", "n_steps": 5, "kinetic_penalty": 1.0, "tolerance": 0.1},
    "lifted": {"lift": "periodic", "augment_dim": 0, "time_dependent": True, "n_members": 3},
    "images": {"n_filters": 3, "n_downsamplings": 1, "augment_dim": 1, "image_shape": (1, 4)},
    "poisson": {"loss": "squared_error", "scaling": None, "dtype": "float32"},
}


@pytest.mark.parametrize("name", LATER)
def test_hyperparameters_that_were_set_after_the_fit_are_kept_and_change_no_prediction(name, path):
    model = MODELS[name]().set_params(**LATER[name])
    sknode.save(model, path)
    loaded = sknode.load(path)
    assert loaded.get_params() == model.get_params()
    assert outputs(loaded) == outputs(model)


def test_a_loaded_estimator_can_go_on_learning(path):
    sknode.save(classifier(warm_start=True).fit(*IRIS), path)
    loaded = sknode.load(path).fit(*IRIS)
    assert loaded.n_iter_ == 6
    assert loaded.history_[3]["loss"] < loaded.history_[0]["loss"]


def test_what_is_saved_twice_is_the_same_file(path, tmp_path):
    model = MODELS["classes"]()
    sknode.save(model, path)
    sknode.save(sknode.load(path), tmp_path / "again")
    first, second = read(path, "model"), read(tmp_path / "again", "model")
    assert first.header == second.header


# Size.


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_pickle_holds_the_weights_once_and_the_optimizer_once(optimizer):
    model = NODEClassifier(
        **{**CLASSICAL, "hidden_layer_sizes": (300, 300), "max_epochs": 1},
        optimizer=optimizer,
        random_state=0,
    ).fit(*IRIS)
    weights = 8 * model.n_parameters_
    times = 3 if optimizer == "adamw" else 1
    assert times * weights < len(pickle.dumps(model)) < times * weights + 10_000


def test_the_size_of_a_pickle_does_not_depend_on_the_number_of_rows():
    X, y = IRIS
    small = classifier(batch_size=10_000).fit(X, y)
    large = classifier(batch_size=10_000).fit(np.tile(X, (60, 1)), np.tile(y, 60))
    large.predict(np.tile(X, (60, 1)))
    assert abs(len(pickle.dumps(large)) - len(pickle.dumps(small))) < 200


def test_a_file_holds_little_but_the_weights(path):
    settings = {**CLASSICAL, "hidden_layer_sizes": (300, 300), "max_epochs": 1}
    model = NODEClassifier(**settings, random_state=0).fit(*IRIS)
    sknode.save(model, path)
    assert 8 * model.n_parameters_ < path.stat().st_size < 8 * model.n_parameters_ + 6_000


def test_a_fitted_estimator_holds_no_training_data_and_no_callbacks():
    import gc

    from sknode.training.data import Rows, TrainingSet

    model = classifier(early_stopping=True, callbacks=[Callback()]).fit(*IRIS)
    gc.collect()
    assert not [o for o in gc.get_objects() if type(o) in (Rows, TrainingSet)]
    assert model.net_.callbacks_ == []


# Devices.


def test_a_pickle_of_a_device_that_is_not_here_is_loaded_on_the_cpu(monkeypatch):
    model = MODELS["classes"]()
    make, (recipe, device, state) = model.net_.__reduce__()
    assert device == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    net = make(recipe, "cuda:3", state)
    assert {p.device.type for p in net.module_.parameters()} == {"cpu"}
    model.net_ = net
    assert outputs(model) == outputs(MODELS["classes"]())


def test_a_pickle_holds_no_tensors_at_all():
    """Only arrays, which any machine can read."""
    import pickletools

    data = pickle.dumps(MODELS["classes"]())
    named = {arg for _, arg, _ in pickletools.genops(data) if isinstance(arg, str)}
    assert not {name for name in named if "rebuild_tensor" in name or "storage" in name.lower()}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_model_of_another_device_is_loaded_where_it_can_be(path):
    model = MODELS["classes"]()
    sknode.save(model.set_params(device="cuda"), path)
    loaded = sknode.load(path)
    assert loaded.device == "cuda"
    assert outputs(loaded) == outputs(model)
    assert sknode.load(path, device="cpu").fit(*IRIS).device == "cpu"
    with pytest.raises(ValueError, match="device='cuda' is not available here"):
        sknode.load(path, device="cuda")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_models_move_between_cuda_and_the_cpu(path):
    X = IRIS[0].astype(np.float32)
    model = NODEClassifier(**QUICK, device="cuda").fit(X, IRIS[1])
    sknode.save(model, path)
    for loaded in (sknode.load(path, device="cpu"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_allclose(loaded.predict_proba(X), model.predict_proba(X), atol=1e-4)
    assert next(sknode.load(path).net_.module_.parameters()).device.type == "cuda"


# What cannot be saved.


def test_only_fitted_estimators_of_sknode_can_be_saved(path):
    with pytest.raises(NotFittedError):
        sknode.save(NODEClassifier(), path)
    with pytest.raises(TypeError, match=r"got Pipeline; of a pipeline, save the step"):
        sknode.save(make_pipeline(StandardScaler(), NODEClassifier()), path)

    class Mine(NODEClassifier):
        pass

    with pytest.raises(TypeError, match="got Mine"):
        sknode.save(Mine(**QUICK).fit(*IRIS), path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("callbacks", [Callback()]),
        ("optimizer", torch.optim.RMSprop),
        ("random_state", np.random.RandomState(0)),
    ],
)
def test_hyperparameters_that_only_code_could_bring_back_are_named(path, name, value):
    model = classifier(**{name: value}).fit(*IRIS)
    with pytest.raises(ValueError, match=rf"{name} holds .*set_params\({name}=None\)"):
        sknode.save(model, path)
    assert not path.exists()


def test_a_device_is_saved_by_its_name(path):
    sknode.save(classifier(device=torch.device("cpu")).fit(*IRIS), path)
    assert sknode.load(path).device == "cpu"


def test_a_loaded_estimator_writes_no_checkpoint(path, tmp_path):
    model = classifier(checkpoint=tmp_path / "state").fit(*IRIS)
    sknode.save(model, path)
    assert "checkpoint" not in read(path, "model").header["parameters"]
    altered(path, lambda h, t: h["parameters"].update(checkpoint=str(tmp_path / "elsewhere")))
    loaded = sknode.load(path)
    assert loaded.get_params() == {**model.get_params(), "checkpoint": None}
    loaded.fit(*IRIS)
    assert sorted(os.listdir(tmp_path)) == ["model.safetensors", "state"]


def test_what_could_not_be_loaded_is_not_saved(path):
    padded = MODELS["names"]()
    padded.classes_ = padded.classes_.astype("<U2000000")
    with pytest.raises(ValueError, match=r"cannot be saved: an array of texts takes more than"):
        sknode.save(padded, path)
    wrong = MODELS["classes"]().set_params(max_epochs=-1)
    with pytest.raises(ValueError, match="cannot be saved: max_epochs must be a positive integer"):
        sknode.save(wrong, path)
    assert not path.exists()


@pytest.mark.parametrize("where", ["folder", "missing/model"])
def test_a_bad_path_is_an_error(tmp_path, where):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=r"is a folder|does not exist"):
        sknode.save(MODELS["classes"](), tmp_path / where)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        sknode.load(tmp_path / "none")


# What is refused.


def altered(path, change):
    """Write the file anew, with a right checksum, after a change to its contents."""
    tensors, header = read(path, "model")
    change(header, tensors)
    del header["kind"]
    header.pop("format")
    write(path, "model", tensors, header)


def set_network(header, name, value):
    pairs = header["network"]["dict"]
    header["network"]["dict"] = [pair if pair[0] != name else [name, value] for pair in pairs]


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


CHANGES = {
    "class": (lambda h, t: h.update({"class": "MLPClassifier"}), "is not one of"),
    "no class": (lambda h, t: h.pop("class"), "class"),
    "parameter": (lambda h, t: h["parameters"].update(depth=3), "not known.*depth"),
    "value": (lambda h, t: h["parameters"].update(solver="rk5"), "solver must be one of"),
    "attribute": (lambda h, t: h["attributes"].update(predict=1), "not known.*predict"),
    "private": (lambda h, t: h["attributes"].update(__class__=1), "not known.*__class__"),
    "setting": (lambda h, t: h["network"]["dict"].append(["depth", 3]), "not known.*depth"),
    "huge": (
        lambda h, t: [
            pair.__setitem__(1, [10**9]) for pair in h["network"]["dict"]
            if pair[0] == "hidden_layer_sizes"
        ],
        "weights are not those",
    ),
    "activation": (
        lambda h, t: [
            pair.__setitem__(1, "sin") for pair in h["network"]["dict"] if pair[0] == "activation"
        ],
        "activation must be one of .*, got 'sin'",
    ),
    "features": (lambda h, t: h["attributes"].update(n_features_in_=3), "its scaling_ must be"),
    "classes": (
        lambda h, t: h["attributes"]["classes_"].update(array=[0, 1, 2, 3]), "n_outputs=3"
    ),
    "scaling": (
        lambda h, t: h["attributes"]["scaling_"]["scaling"][0].update(array=[1.0]), "scaling_"
    ),
    "pickle": (
        lambda h, t: h["attributes"]["classes_"].update(dtype="V8"), "not among what can be saved"
    ),
    "dtype": (lambda h, t: h.update(dtype="float16"), "cannot be loaded"),
    "steps": (lambda h, t: set_network(h, "n_steps", 10**9), "n_steps must be a positive"),
    "limit": (lambda h, t: set_network(h, "max_steps", 2**31), "max_steps must be a positive"),
    "energy": (lambda h, t: set_network(h, "kinetic_energy", "os.system"), "os.system"),
    "number": (lambda h, t: set_network(h, "kinetic_energy", 1), "kinetic_energy=1, where True"),
    "layers": (lambda h, t: set_network(h, "hidden_layer_sizes", [1] * 500_000), "weights are not"),
    "room": (
        lambda h, t: h["attributes"]["classes_"].update(array=list("abc"), dtype="<U500000000"),
        "an array of texts takes more",
    ),
    "room of a weight": (
        lambda h, t: h["parameters"].update(
            class_weight={"dict": [[{"array": "a", "dtype": "<U500000000", "scalar": True}, 1.0]]}
        ),
        "an array of texts takes more",
    ),
    "rounded": (
        lambda h, t: h["attributes"]["classes_"].update(array=[0, 0.5, 1]), "does not hold"
    ),
    "missing": (lambda h, t: h["attributes"].pop("loss_"), "lacks some.*loss_"),
    "of another": (lambda h, t: h["attributes"].update(link_="log"), "not known.*link_"),
    "epochs": (lambda h, t: h["attributes"].update(n_iter_=2), "its n_iter_ must be the number"),
    "history": (
        lambda h, t: h["attributes"]["history_"][1]["dict"].pop(), "its history_ must be"
    ),
    "loss": (lambda h, t: h["attributes"].update(loss_=float("nan")), "its loss_ must be"),
    "best": (lambda h, t: h["attributes"].update(best_epoch_=4), "its best_epoch_ must be one"),
    "number of weights": (
        lambda h, t: h["attributes"].update(n_parameters_=1), "not the number of its weights"
    ),
    "order": (
        lambda h, t: h["attributes"]["classes_"].update(array=[2, 1, 0]), "its classes_ must be"
    ),
    "target": (
        lambda h, t: h["attributes"].update(target_type_="binary"), "its target_type_ must be"
    ),
    "scale": (
        lambda h, t: h["attributes"]["scaling_"]["scaling"][1].update(array=[1.0, 1.0, 1.0, 0.0]),
        "its scaling_ must be",
    ),
    "infinite seed": (lambda h, t: h.update(seed=float("inf")), "its seed must be"),
    "unhashable": (lambda h, t: h.update({"class": ["NODEClassifier"]}), "cannot be loaded"),
    "deep": (
        lambda h, t: h["parameters"].update(callbacks=nested(900)), "recursion|callbacks must be"
    ),
    "precision": (lambda h, t: h.update(dtype="float32"), "weights are not those"),
    "missing weight": (lambda h, t: t.pop("head.bias"), "weights are not those"),
    "more weights": (lambda h, t: t.update(extra=torch.ones(1)), "weights are not those"),
    "shape": (lambda h, t: t.update({"head.bias": torch.ones(4).double()}), "weights are not"),
    "seed": (lambda h, t: h.update(seed="x"), "cannot be loaded"),
    "nothing": (lambda h, t: h.update(attributes=[]), "cannot be loaded"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_contents_that_do_not_fit_are_refused(name, path):
    change, message = CHANGES[name]
    sknode.save(MODELS["classes"](), path)
    altered(path, change)
    with pytest.raises(ValueError, match=message):
        sknode.load(path)


def test_blocks_are_not_built_before_they_are_counted(path, monkeypatch):
    sknode.save(MODELS["residual"](), path)
    altered(path, lambda h, t: set_network(h, "n_blocks", 20_000))
    monkeypatch.setattr("sknode.persistence.Net", None)
    monkeypatch.setattr("sknode.modules.NODENetwork.__init__", None)
    with pytest.raises(ValueError, match="its weights are not those of the network"):
        sknode.load(path)


def test_an_older_file_takes_the_defaults_of_what_it_does_not_name(path):
    model = MODELS["classes"]()
    sknode.save(model, path)
    altered(path, lambda h, t: h["parameters"].pop("label_smoothing"))
    loaded = sknode.load(path)
    assert loaded.label_smoothing == NODEClassifier().label_smoothing
    assert outputs(loaded) == outputs(model)


@pytest.mark.parametrize("seed", range(5))
def test_no_altered_file_is_loaded(path, seed):
    """A hundred files a seed: bits, blocks, cuts and additions all over the file."""
    sknode.save(MODELS["names"](), path)
    data = path.read_bytes()
    rng = random.Random(seed)
    for i in range(100):
        # Every region of the file has its turn.
        at = min(len(data) - 1, (i * len(data) + rng.randrange(len(data))) // 100)
        damage = rng.choice(["bit", "block", "cut", "insert", "zeros", "swap"])
        broken = bytearray(data)
        if damage == "bit":
            broken[at] ^= 1 << rng.randrange(8)
        elif damage == "block":
            broken[at : at + 16] = rng.randbytes(len(broken[at : at + 16]))
        elif damage == "cut":
            del broken[at:]
        elif damage == "insert":
            broken[at:at] = rng.randbytes(8)
        elif damage == "zeros":
            broken[at : at + 64] = bytes(len(broken[at : at + 64]))
        else:
            broken[at:] = broken[at:][::-1]
        if bytes(broken) == data:
            broken[at] ^= 1
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"truncated|altered|not a file of sknode"):
            sknode.load(path)


def test_loading_runs_no_code(path, monkeypatch):
    sknode.save(MODELS["classes"](), path)

    def forbidden(*args, **kwargs):
        raise AssertionError("something was unpickled or evaluated")

    for module, names in ((pickle, ("load", "loads", "Unpickler")), (torch, ("load",))):
        for name in names:
            monkeypatch.setattr(module, name, forbidden)
    monkeypatch.setattr("builtins.eval", forbidden)
    monkeypatch.setattr("builtins.exec", forbidden)
    sknode.load(path)


def test_a_full_disk_keeps_the_earlier_model(path, monkeypatch):
    model = MODELS["classes"]()
    sknode.save(model, path)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sknode._files.os.fsync", full)
    with pytest.raises(OSError, match="what it held before is intact"):
        sknode.save(MODELS["regressor"](), path)
    assert outputs(sknode.load(path)) == outputs(model)
    assert os.listdir(path.parent) == [path.name]


def test_the_header_can_be_read_by_anyone(path):
    sknode.save(MODELS["names"](), path)
    data = Path(path).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["sknode"])
    assert header["class"] == "NODEClassifier"
    assert header["versions"]["torch"] == torch.__version__
    assert header["attributes"]["classes_"]["array"] == ["setosa", "versicolor", "virginica"]


def test_a_net_is_remade_with_its_recipe():
    model = MODELS["classes"]()
    net = pickle.loads(pickle.dumps(model.net_))
    assert isinstance(net, Net)
    assert net.recipe == model.net_.recipe or net.recipe.network == model.net_.recipe.network

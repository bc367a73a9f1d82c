"""Images as they are, and as rows of a matrix."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import sknode
from sknode import NODEImageClassifier, ResNetImageClassifier
from sknode.inspection import solver_consistency

DIGITS = load_digits()
IMAGES, LABELS = DIGITS.images, DIGITS.target
QUICK = {"n_filters": 4, "max_epochs": 2, "random_state": 0}


def fitted(X=IMAGES[:300], y=LABELS[:300], **settings):
    return NODEImageClassifier(**{**QUICK, **settings}).fit(X, y)


def residual(X=IMAGES[:300], y=LABELS[:300], **settings):
    return ResNetImageClassifier(**{**QUICK, **settings}).fit(X, y)


@pytest.mark.parametrize("fit", [fitted, residual])
def test_digits_are_told_apart(fit):
    model = fit(IMAGES[:1200], LABELS[:1200], n_filters=16, max_epochs=20)
    assert model.score(IMAGES[1200:], LABELS[1200:]) > 0.92


def test_rows_with_a_shape_are_learned_as_images_are():
    expected = fitted().predict_proba(IMAGES)
    for X, shape in (
        (IMAGES.reshape(-1, 64), (8, 8)),
        (IMAGES.reshape(-1, 64), (1, 8, 8)),
        (IMAGES[:, None], None),
        (IMAGES.astype(np.uint8), None),
    ):
        model = fitted(X[:300], image_shape=shape)
        assert model.image_shape_ == (1, 8, 8)
        np.testing.assert_array_equal(model.predict_proba(X), expected)
    np.testing.assert_array_equal(model.predict_proba(IMAGES.reshape(-1, 64)), expected)


def test_channels_are_scaled_each_by_its_own_pixels():
    colours = np.stack([IMAGES[:300], 5 + 100 * IMAGES[:300]], axis=1)
    model = fitted(colours)
    assert model.image_shape_ == (2, 8, 8)
    values = colours.swapaxes(0, 1).reshape(2, -1)
    np.testing.assert_allclose(model.scaling_.center.reshape(2, 64).T, [values.mean(1)] * 64)
    np.testing.assert_allclose(model.scaling_.scale.reshape(2, 64).T, [values.std(1)] * 64)


def test_without_a_shape_a_row_is_an_image_of_one_line():
    model = fitted(DIGITS.data[:300])
    assert model.image_shape_ == (1, 1, 64)
    assert fitted(IMAGES[:300]).image_shape_ == (1, 8, 8)
    assert model.fit(IMAGES[:300], LABELS[:300]).image_shape_ == (1, 8, 8)
    assert model.fit(DIGITS.data[:300], LABELS[:300]).image_shape_ == (1, 1, 64)


def test_images_of_another_shape_are_refused():
    model = fitted()
    with pytest.raises(ValueError, match=r"images of \(1, 8, 8\) channels, rows and columns, got"):
        model.predict(IMAGES[:, :4])
    with pytest.raises(ValueError, match="X has 32 features"):
        model.predict(IMAGES[:, :4].reshape(-1, 32))
    with pytest.raises(ValueError, match=r"images of \(1, 4, 4\) channels"):
        fitted(image_shape=(4, 4))
    with pytest.raises(ValueError, match=r"image_shape=\(4, 4\) does not fit the 64 columns of X"):
        fitted(DIGITS.data[:300], image_shape=(4, 4))
    with pytest.raises(ValueError, match="8×8 pixels cannot be halved n_downsamplings=4 times"):
        fitted(n_downsamplings=4)


@pytest.mark.parametrize("shape", [(8,), (8, 0), "28x28", 64, (1, 1, 8, 8)])
def test_what_is_no_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"image_shape must be None, or a tuple \(height, width\)"):
        fitted(image_shape=shape)


def test_a_fit_that_fails_leaves_the_shape_as_it_was():
    model = fitted()
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(DIGITS.data[:300], LABELS[:299])
    assert model.image_shape_ == (1, 8, 8)


def test_states_on_the_way_are_images():
    states = fitted(augment_dim=2).trajectory(IMAGES[:5], [0.0, 0.5, 1.0])
    assert states.shape == (3, 5, 3, 8, 8)
    model = fitted(augment_dim=2)
    scaled = model.scaling_.apply(DIGITS.data[:5]).reshape(5, 8, 8)
    np.testing.assert_allclose(states[0, :, 0], scaled, rtol=1e-5, atol=1e-6)
    assert not states[0, :, 1:].any()


@pytest.mark.parametrize(
    "settings",
    [
        {"adjoint": "continuous", "solver": "dopri5"},
        {"adjoint": None, "solver": "bosh3"},
        {"activation": "tanh", "time_dependent": False, "augment_dim": 0},
        {"n_downsamplings": 2, "early_stopping": False, "kinetic_penalty": 0.0},
    ],
)
def test_every_setting_learns(settings):
    model = fitted(**settings, max_epochs=4)
    assert model.history_[-1]["loss"] < 0.8 * model.history_[0]["loss"]


def test_a_prediction_does_not_depend_on_the_images_beside_it():
    model = fitted(solver="dopri5", dtype="float64")
    together = model.predict_proba(IMAGES[:20])
    alone = np.concatenate([model.predict_proba(IMAGES[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(alone, together, rtol=1e-9)


def test_it_lives_in_pipelines_and_searches():
    pipeline = make_pipeline(MinMaxScaler(), NODEImageClassifier(**QUICK, image_shape=(8, 8)))
    search = GridSearchCV(pipeline, {"nodeimageclassifier__augment_dim": [0, 3]}, cv=2)
    search.fit(DIGITS.data[:200], LABELS[:200])
    assert search.predict(DIGITS.data[200:210]).shape == (10,)


def test_shared_blocks_learn_what_an_ode_learns_with_eulers_method():
    blocks = residual(n_blocks=3, shared_weights=True, n_downsamplings=1)
    euler = fitted(solver="euler", n_steps=3, n_downsamplings=1)
    assert blocks.n_parameters_ == euler.n_parameters_
    np.testing.assert_array_equal(blocks.predict_proba(IMAGES), euler.predict_proba(IMAGES))


def test_blocks_have_the_hyperparameters_of_the_ode_but_the_solvers():
    solver = {"solver", "tolerance", "n_steps", "max_steps", "adjoint"}
    own, theirs = ResNetImageClassifier().get_params(), NODEImageClassifier().get_params()
    assert set(own) == set(theirs) - solver | {"n_blocks", "shared_weights"}
    assert all(own[name] == theirs[name] for name in set(own) & set(theirs))


def test_blocks_have_weights_of_their_own_and_move_the_image_one_after_the_other():
    sizes = [residual(n_blocks=n, augment_dim=2).n_parameters_ for n in (1, 2, 3)]
    # Convolutions of 3 to 4, 4 to 4 and 4 to 3 channels, of 1, 9 and 1 pixels, with their biases.
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] == 16 + 148 + 15
    model = residual(n_blocks=2, augment_dim=2)
    assert model.history_[-1]["nfe_forward"] == 2
    states = model.trajectory(IMAGES[:5], [0.0, 0.25, 0.5, 1.0])
    np.testing.assert_allclose(states[1], (states[0] + states[2]) / 2, rtol=1e-5, atol=1e-6)
    assert np.abs(states[2] - states[0]).max() > 1e-3 < np.abs(states[3] - states[2]).max()


@pytest.mark.parametrize("fit", [fitted, residual])
def test_it_is_saved_and_loaded(fit, tmp_path):
    model = fit(n_downsamplings=1)
    sknode.save(model, tmp_path / "model")
    loaded = sknode.load(tmp_path / "model")
    assert loaded.image_shape_ == (1, 8, 8)
    np.testing.assert_array_equal(loaded.predict_proba(IMAGES), model.predict_proba(IMAGES))


def test_its_solver_can_be_refined():
    found = solver_consistency(fitted(), IMAGES[300:350], LABELS[300:350])
    assert found.nfe == 4
    assert found.tight_nfe > 4


@pytest.mark.parametrize("fit", [fitted, residual])
def test_it_is_not_exported(fit, tmp_path):
    with pytest.raises(TypeError, match=r"got (NODE|ResNet)ImageClassifier"):
        sknode.export_onnx(fit(), tmp_path / "model")

"""Residual networks beside Neural ODEs."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris

from sknode import NODEClassifier, NODERegressor, ResNetClassifier, ResNetRegressor, preset
from sknode.inspection import solver_consistency

IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
QUICK = {"max_epochs": 5, "random_state": 0}
PAIRS = [(ResNetClassifier, NODEClassifier, IRIS), (ResNetRegressor, NODERegressor, DIABETES)]


@pytest.mark.parametrize(("resnet", "node", "data"), PAIRS)
def test_shared_weights_learn_what_an_ode_learns_with_eulers_method(resnet, node, data):
    blocks = resnet(**QUICK, n_blocks=3, shared_weights=True).fit(*data)
    euler = node(**QUICK, solver="euler", n_steps=3).fit(*data)
    assert blocks.n_parameters_ == euler.n_parameters_
    np.testing.assert_array_equal(blocks.predict(data[0]), euler.predict(data[0]))
    for own, theirs in zip(blocks.history_, euler.history_, strict=True):
        assert own | {"seconds": 0} == theirs | {"seconds": 0}


@pytest.mark.parametrize(("resnet", "node", "data"), PAIRS)
def test_the_two_have_the_same_hyperparameters_but_the_solvers(resnet, node, data):
    solver = {"solver", "tolerance", "n_steps", "max_steps", "adjoint"}
    own, theirs = resnet().get_params(), node().get_params()
    assert set(own) == set(theirs) - solver | {"n_blocks", "shared_weights"}
    assert all(own[name] == theirs[name] for name in set(own) & set(theirs))


def test_blocks_with_weights_of_their_own_have_as_many_times_the_field():
    sizes = [ResNetClassifier(**QUICK, n_blocks=n).fit(*IRIS).n_parameters_ for n in (1, 2, 3)]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] == 4 * 3 * (64 * 64 + 64)


def test_every_block_counts_as_an_evaluation():
    model = ResNetClassifier(**QUICK, n_blocks=6).fit(*IRIS)
    assert model.history_[-1]["nfe_forward"] == model.history_[-1]["nfe_backward"] == 6


def test_the_trajectory_goes_from_block_to_block():
    model = ResNetRegressor(**QUICK, n_blocks=2).fit(*DIABETES)
    states = model.trajectory(DIABETES[0][:3], [0.0, 0.25, 0.5, 1.0])
    np.testing.assert_allclose(states[1], (states[0] + states[2]) / 2, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="must not be beyond 1"):
        model.trajectory(DIABETES[0][:3], [0.0, 2.0])


def test_a_flow_without_a_head_cannot_turn_a_line_around():
    x = np.repeat([[-1.0], [1.0]], 20, axis=0)
    flow = {"lift": "identity", "head": "identity", "solver": "dopri5", "kinetic_penalty": 0.0}
    flow |= {"max_epochs": 300, "random_state": 0}
    node = NODERegressor(**flow).fit(x, -x[:, 0])
    augmented = NODERegressor(**flow, augment_dim=1).fit(x, -x[:, 0])
    assert np.mean((node.predict(x) + x[:, 0]) ** 2) > 0.9
    assert np.mean((augmented.predict(x) + x[:, 0]) ** 2) < 1e-3


def test_a_head_without_room_for_the_outputs_is_refused():
    with pytest.raises(ValueError, match=r"3 outputs .* which has 1; raise augment_dim"):
        NODEClassifier(lift="identity", head="identity").fit(IRIS[0][:, :1], IRIS[1])


def test_a_preset_leaves_out_what_there_is_not():
    assert preset("classical", ResNetClassifier).items() <= preset("classical").items()
    assert "solver" not in preset("classical", ResNetClassifier)
    default = preset("default", ResNetClassifier)
    assert default == ResNetClassifier().get_params()
    ResNetRegressor(**preset("classical", ResNetRegressor))


def test_of_a_network_without_a_solver_no_consistency_is_asked():
    with pytest.raises(TypeError, match="takes NODEClassifier, NODEImageClassifier, N"):
        solver_consistency(ResNetClassifier(**QUICK).fit(*IRIS), *IRIS)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("n_blocks", 0, "n_blocks must be a positive integer"),
        ("shared_weights", "yes", "shared_weights must be a boolean"),
        ("head", "cubic", "head must be one of 'linear', 'identity'"),
    ],
)
def test_what_a_hyperparameter_may_not_be_is_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        ResNetClassifier(**{name: value}).fit(*IRIS)

import copy
import pickle

import pytest
import torch
from torch import nn

from sknode.modules import MLPField
from sknode.modules.activations import ACTIVATIONS
from sknode.ode import odeint
from tests.problems import times

MODULES = {"tanh": nn.Tanh, "silu": nn.SiLU, "softplus": nn.Softplus, "relu": nn.ReLU}
# Around zero, in the tails, and where softplus turns into the identity.
POINTS = torch.tensor([-800.0, -30.0, -1.0, -1e-3, 0.0, 0.5, 3.0, 19.9, 20.1, 800.0]).double()

all_activations = pytest.mark.parametrize("name", ACTIVATIONS)


@all_activations
def test_a_field_is_a_perceptron_of_state_and_time(name):
    field = MLPField(3, (4, 5), name).double()
    first, second, last = field.layers
    plain = nn.Sequential(first, MODULES[name](), second, MODULES[name](), last)
    z, t = torch.randn(6, 3, dtype=torch.float64), torch.rand(6, 1, dtype=torch.float64)
    expected = plain(torch.cat((z, t), 1))
    torch.testing.assert_close(field(t, z), expected, rtol=1e-14, atol=1e-14)
    same_time = field(t[:1].expand(6, 1), z)
    assert torch.equal(field(t[0, 0], z), same_time)


def test_a_field_without_time_takes_no_time():
    field = MLPField(3, (4,), time_dependent=False)
    assert field.layers[0].in_features == 3
    z = torch.randn(6, 3)
    assert torch.equal(field(torch.zeros(6, 1), z), field(torch.ones(6, 1), z))


def test_the_sizes_are_those_asked_for():
    shapes = [(layer.in_features, layer.out_features) for layer in MLPField(3, [5, 7]).layers]
    assert shapes == [(4, 5), (5, 7), (7, 3)]
    assert [layer.out_features for layer in MLPField(2).layers] == [64, 64, 2]


@all_activations
def test_an_activation_is_its_kernel_scaled(name):
    activation = ACTIVATIONS[name]
    out = torch.empty_like(POINTS)
    activation.kernel(activation.inner * POINTS, out)
    found = activation.outer * out + activation.shift
    torch.testing.assert_close(found, MODULES[name]()(POINTS), rtol=1e-15, atol=1e-15)
    assert torch.equal(activation.function(POINTS), MODULES[name]()(POINTS))


@all_activations
def test_the_derivative_of_an_activation_is_that_of_autograd(name):
    activation = ACTIVATIONS[name]
    u = POINTS.clone().requires_grad_()
    (expected,) = torch.autograd.grad(MODULES[name]()(u).sum(), u)
    scaled = activation.inner * POINTS
    kernel, found = torch.empty_like(u), torch.empty_like(u)
    activation.kernel(scaled, kernel)
    activation.slope(scaled if activation.saves_input else kernel, found)
    found = activation.outer * activation.inner * found
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("adjoint", ["discrete", "continuous", None])
def test_a_field_without_hidden_layers_is_solved_by_the_matrix_exponential(adjoint):
    field = MLPField(2, (), time_dependent=False).double()
    (layer,) = field.layers
    z0 = torch.randn(4, 2, dtype=torch.float64)
    z = odeint(field, z0, times(0.0, 1.5), tolerance=1e-10, adjoint=adjoint).z[-1]
    # z' = Wz + b is the linear system of (z, 1).
    system = torch.zeros(3, 3, dtype=torch.float64)
    system[:2, :2], system[:2, 2] = layer.weight.detach(), layer.bias.detach()
    ones = torch.ones(4, 1, dtype=torch.float64)
    exact = torch.cat((z0, ones), 1) @ torch.linalg.matrix_exp(1.5 * system).T
    torch.testing.assert_close(z.detach(), exact[:, :2], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_is_solved_alike(copied):
    field, z0 = MLPField(2), torch.randn(3, 2)
    assert torch.equal(odeint(copied(field), z0, times(0, 1)).z, odeint(field, z0, times(0, 1)).z)


WRONG = {
    "no dimensions": {"n_dims": 0},
    "fraction of a dimension": {"n_dims": 1.5},
    "empty layer": {"hidden_layer_sizes": (4, 0)},
    "negative layer": {"hidden_layer_sizes": (-4,)},
    "fraction of a unit": {"hidden_layer_sizes": (4.0,)},
    "a number in place of layers": {"hidden_layer_sizes": 4},
    "None in place of layers": {"hidden_layer_sizes": None},
    "text": {"hidden_layer_sizes": "44"},
    "a truth": {"n_dims": True},
    "no members": {"n_members": 0},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_sizes_must_be_positive_integers(changes):
    message = "n_dims, hidden_layer_sizes and n_members must be positive integers, got "
    with pytest.raises(ValueError, match=message):
        MLPField(**{"n_dims": 2} | changes)


@pytest.mark.parametrize("activation", ["gelu", None, ["tanh"], 1])
def test_an_unknown_activation_is_told_with_those_that_are_known(activation):
    message = r"is not known; choose from \['tanh', 'silu', 'softplus', 'relu'\]"
    with pytest.raises(ValueError, match=message):
        MLPField(2, activation=activation)


@pytest.mark.parametrize("shape", [(4, 3), (4, 2, 2), (4, 2, 1)])
def test_states_must_have_the_dimensions_of_the_field(shape):
    message = r"z0 must have shape \(rows, 2\), as the field has 2 dimensions, got \(4, "
    with pytest.raises(ValueError, match=message):
        odeint(MLPField(2), torch.ones(shape), times(0.0, 1.0))


@pytest.mark.parametrize("dropout", [-0.1, 1, "x", None, float("nan"), 10**400])
def test_dropout_must_be_a_part(dropout):
    with pytest.raises(ValueError, match="dropout must be at least 0 and less than 1, got "):
        MLPField(2, dropout=dropout)


@pytest.mark.parametrize("time_dependent", ["x", 1, None])
def test_time_dependence_must_be_a_truth(time_dependent):
    with pytest.raises(ValueError, match="time_dependent must be a boolean, got "):
        MLPField(2, time_dependent=time_dependent)

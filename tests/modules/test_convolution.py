import pytest
import torch

from sknode.modules import ConvField
from sknode.modules.activations import NONLINEARITIES
from sknode.ode import odeint

TIMES = torch.tensor([0.0, 0.7, 1.0])


def field(activation="tanh", time_dependent=True, n_channels=2):
    generator = torch.Generator().manual_seed(0)
    return ConvField(n_channels, 3, activation, time_dependent, generator).double()


def images(n_rows=3, n_channels=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n_rows, 5, 4, n_channels, dtype=torch.float64, generator=generator)


class Plain(torch.nn.Module):
    """The same field, whose closed form is not told."""

    def __init__(self, field):
        super().__init__()
        self.field = field

    def forward(self, t, z):
        return self.field(t, z)


def gradients(module, z0, **settings):
    z0 = z0.clone().requires_grad_()
    solution = odeint(module, z0, TIMES, **settings)
    loss = solution.z.square().mean()
    if solution.kinetic_energy is not None:
        loss = loss + solution.kinetic_energy.mean()
    return torch.autograd.grad(loss, [z0, *module.parameters()])


def test_it_is_three_convolutions_with_time_as_a_channel():
    module, z = field(), images()
    t = torch.tensor(0.3, dtype=torch.float64)

    def with_time(x):
        return torch.cat((x, t.expand(len(x), 1, 5, 4)), 1)

    first, middle, last = ((layer.weight, layer.bias) for layer in module.layers)
    y = torch.tanh(torch.conv2d(with_time(z.permute(0, 3, 1, 2)), *first))
    y = torch.tanh(torch.conv2d(with_time(y), *middle, padding=1))
    expected = torch.conv2d(with_time(y), *last).permute(0, 2, 3, 1)
    assert [layer.weight.shape[2:] for layer in module.layers] == [(1, 1), (3, 3), (1, 1)]
    torch.testing.assert_close(module(t, z), expected)


@pytest.mark.parametrize("activation", list(NONLINEARITIES))
@pytest.mark.parametrize("time_dependent", [True, False])
@pytest.mark.parametrize("solver", ["dopri5", "rk4"])
def test_gradients_are_those_of_autograd(activation, time_dependent, solver):
    module = field(activation, time_dependent)
    settings = {"solver": solver, "tolerance": 1e-4, "kinetic_energy": True}
    found = gradients(module, images(), **settings)
    expected = gradients(Plain(module), images(), **settings, adjoint=None)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("time_dependent", [True, False])
def test_the_continuous_adjoint_comes_to_the_same_gradients(time_dependent):
    module = field(time_dependent=time_dependent)
    settings = {"tolerance": 1e-8, "kinetic_energy": True}
    found = gradients(module, images(), **settings, adjoint="continuous")
    expected = gradients(module, images(), **settings)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


def test_an_image_is_solved_as_it_is_alone():
    module, z = field(), images()
    together = odeint(module, z, TIMES, tolerance=1e-3).z
    for i in range(len(z)):
        alone = odeint(module, z[i : i + 1], TIMES, tolerance=1e-3).z
        torch.testing.assert_close(alone, together[:, i : i + 1], rtol=1e-12, atol=1e-12)


def test_a_solve_after_rejected_steps_has_the_gradients_of_autograd():
    module = field()
    with torch.no_grad():
        module.layers[2].weight.mul_(8)
    settings = {"tolerance": 1e-5, "first_step": 0.5}
    z0 = images() * torch.tensor([0.0, 1.0, 4.0]).view(-1, 1, 1, 1)
    assert odeint(module, z0, TIMES, **settings).stats.rejected.unique().numel() > 1
    found = gradients(module, z0, **settings)
    expected = gradients(Plain(module), z0, **settings, adjoint=None)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-11)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("adjoint", ["discrete", "continuous"])
def test_gradients_on_cuda_are_those_of_the_cpu(adjoint):
    module, z0 = field(), images()
    settings = {"solver": "rk4", "n_steps": 3, "adjoint": adjoint}
    expected = gradients(module, z0, **settings)
    found = gradients(module.cuda(), z0.cuda(), **settings)
    torch.testing.assert_close([g.cpu() for g in found], expected, rtol=1e-9, atol=1e-11)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="n_filters must be a positive integer, got 0"):
        ConvField(1, 0)
    with pytest.raises(ValueError, match=r"activation='cubic' is not known; choose from \['relu'"):
        ConvField(1, activation="cubic")
    with pytest.raises(ValueError, match=r"z0 must have shape \(rows, height, width, 2\)"):
        odeint(field(), images(n_channels=3), TIMES)

"""What is computed on a CUDA device is what is computed on the CPU."""

import pytest
import torch

from sknode.exceptions import SolverError
from sknode.modules import MLPField, ODEBlock
from sknode.modules.activations import ACTIVATIONS
from sknode.ode import TABLEAUS, odeint
from tests.problems import ADAPTIVE, Blowup, ConvField, Counted, times

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
all_adjoints = pytest.mark.parametrize("adjoint", ["discrete", "continuous", None])
T = times(0.0, 0.3, 1.0)


def rows(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def mlp(activation="tanh"):
    torch.manual_seed(0)
    return MLPField(3, (8, 8), activation).double()


def conv():
    torch.manual_seed(0)
    return ConvField().double()


def solved(field, z0, device, **settings):
    """Return states and gradients, on the CPU, of a solve on the device."""
    field = field.to(device)
    z0 = z0.to(device).requires_grad_()
    z, stats, _ = odeint(field, z0, T.to(device), **settings)
    loss = (z * rows(*z.shape).to(z)).sum()
    g = torch.autograd.grad(loss, [z0, *(p for p in field.parameters() if p.requires_grad)])
    return [x.detach().cpu() for x in (z, *g)], stats


def assert_same(make, z0, rtol=1e-10, **settings):
    found, stats = solved(make(), z0.clone(), "cuda", **settings)
    expected, expected_stats = solved(make(), z0.clone(), "cpu", **settings)
    torch.testing.assert_close(found, expected, rtol=rtol, atol=rtol)
    assert torch.equal(stats.accepted.cpu(), expected_stats.accepted)
    assert torch.equal(stats.rejected.cpu(), expected_stats.rejected)


@pytest.mark.parametrize("solver", TABLEAUS)
@all_adjoints
@pytest.mark.parametrize("n_steps", [None, 4])
def test_states_and_gradients_are_those_of_the_cpu(solver, adjoint, n_steps):
    assert_same(mlp, rows(20, 3), solver=solver, adjoint=adjoint, n_steps=n_steps)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_that_of_the_cpu(activation):
    assert_same(lambda: mlp(activation), rows(20, 3))


@all_adjoints
@pytest.mark.parametrize("make", [conv, lambda: Counted(conv())], ids=["conv", "wrapped"])
def test_any_module_is_solved_as_on_the_cpu(make, adjoint):
    assert_same(make, rows(4, 2, 5, 5), adjoint=adjoint)


@all_adjoints
def test_rejected_rows_are_those_of_the_cpu(adjoint):
    z0 = rows(20, 3) * torch.logspace(-2, 2, 20, dtype=torch.float64).unsqueeze(1)
    assert_same(mlp, z0, adjoint=adjoint, first_step=1.0, tolerance=1e-8)


def test_single_precision_is_that_of_the_cpu():
    found, _ = solved(mlp().float(), rows(20, 3).float(), "cuda", n_steps=8)
    expected, _ = solved(mlp().float(), rows(20, 3).float(), "cpu", n_steps=8)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("solver", ADAPTIVE)
def test_a_row_alone_is_solved_as_in_any_batch(solver):
    field, z0 = mlp().cuda(), (10 * rows(50, 3)).cuda()
    together = odeint(field, z0, T, solver=solver)
    alone = odeint(field, z0[7:8], T, solver=solver)
    torch.testing.assert_close(alone.z[:, 0], together.z[:, 7], rtol=1e-12, atol=1e-12)
    assert alone.stats.accepted == together.stats.accepted[7]


@pytest.mark.parametrize("solver", ADAPTIVE)
def test_failures_are_told_on_a_device(solver):
    z0 = torch.tensor([[0.1], [1.0]], dtype=torch.float64, device="cuda")
    with pytest.raises(SolverError, match=r"in 1 of 2 rows; loosen `tolerance`"):
        odeint(Blowup(), z0, times(0.0, 2.0), solver=solver)


def test_a_field_on_another_device_is_an_error():
    with pytest.raises(ValueError, match="the field and z0 must agree in dtype and device"):
        odeint(mlp(), rows(2, 3).cuda(), T)


def test_a_block_trains_on_a_device():
    block = ODEBlock(mlp()).cuda()
    for _ in range(3):
        block(rows(20, 3).cuda()).sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in block.parameters())

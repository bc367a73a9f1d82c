"""The kinetic energy of a solve, ∫ mean(f²) |dt|."""

from functools import cache

import pytest
import torch
import torchdiffeq
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from sknode.modules import MLPField
from sknode.modules.activations import ACTIVATIONS
from sknode.ode import TABLEAUS, odeint
from tests.problems import (
    ADAPTIVE,
    ConvField,
    Counted,
    Exponential,
    Logistic,
    WalledDecay,
    slope,
    times,
    walled_field,
)

all_solvers = pytest.mark.parametrize("solver", TABLEAUS)
adaptive_solvers = pytest.mark.parametrize("solver", ADAPTIVE)
all_adjoints = pytest.mark.parametrize("adjoint", ["discrete", "continuous", None])
UNIT = times(0.0, 1.0)
TIMES = {"two": UNIT, "several": times(0.0, 0.3, 0.35, 1.0), "decreasing": times(1.0, 0.6, 0.0)}
all_times = pytest.mark.parametrize("t", TIMES.values(), ids=TIMES)


def mlp(activation="tanh", time_dependent=True, sizes=(3,), n_dims=2, scale=1.0):
    torch.manual_seed(0)
    field = MLPField(n_dims, sizes, activation, time_dependent).double()
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.mul_(scale)
    return field


def linear(matrix, bias):
    """Return the field z' = Az + b."""
    field = MLPField(len(bias), (), time_dependent=False).double()
    with torch.no_grad():
        field.layers[0].weight.copy_(torch.tensor(matrix))
        field.layers[0].bias.copy_(torch.tensor(bias))
    return field


def rows(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def energy_of(field, z0, t, **settings):
    return odeint(field, z0, t, kinetic_energy=True, **settings).kinetic_energy


LOSSES = {
    "states": lambda z, energy: (z * rows(*z.shape, seed=1).to(z)).sum(),
    "energy": lambda z, energy: (energy * rows(*energy.shape, seed=2).to(z)).sum(),
}
LOSSES["both"] = lambda z, energy: LOSSES["states"](z, energy) + LOSSES["energy"](z, energy)
all_losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def solved(field, z0, t, loss=LOSSES["both"], **settings):
    """Return the energy, and the gradients of a loss in z0 and the parameters."""
    z0 = z0.detach().clone().requires_grad_()
    z, _, energy = odeint(field, z0, t, kinetic_energy=True, **settings)
    wanted = [z0, *(p for p in field.parameters() if p.requires_grad)]
    gradients = torch.autograd.grad(loss(z, energy), wanted)
    return [energy.detach(), *gradients]


@pytest.mark.parametrize("t", [times(0.0, 1.3), times(0.5, 0.1, -0.4)], ids=["up", "down"])
@all_adjoints
def test_the_energy_of_an_exponential_is_known(adjoint, t):
    field, z0 = Exponential(), Exponential().initial()
    found = energy_of(field, z0, t, tolerance=1e-10, adjoint=adjoint)
    rates, span = field.rates, t[-1] - t[0]
    exact = rates * z0**2 * (torch.exp(2 * rates * span) - 1) / 2 * span.sign()
    assert found.shape == (3,)
    torch.testing.assert_close(found, exact.mean(1), rtol=1e-9, atol=0)


@adaptive_solvers
def test_the_energy_of_a_rotation_is_known(solver):
    field, z0 = linear([[0.0, 3.0], [-3.0, 0.0]], [0.0, 0.0]), rows(20, 2)
    found = energy_of(field, z0, times(0.0, 2.0), solver=solver, tolerance=1e-8)
    torch.testing.assert_close(found, 9 * z0.square().mean(1) * 2, rtol=1e-6, atol=0)


@all_solvers
@pytest.mark.parametrize("n_steps", [None, 3])
@pytest.mark.parametrize("t", [times(0.2, 1.7), times(1.0, 0.5, -0.5)], ids=["up", "down"])
def test_the_energy_of_a_constant_field_is_exact(solver, n_steps, t):
    field = linear([[0.0] * 3] * 3, [1.0, -2.0, 0.5])
    found = energy_of(field, rows(5, 3), t, solver=solver, n_steps=n_steps)
    expected = torch.full((5,), 5.25 * 1.5 / 3, dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)


@all_solvers
def test_the_energy_converges_with_the_order_of_the_method(solver):
    field, z0, order = mlp(scale=3.0), rows(5, 2), TABLEAUS[solver].order
    with torch.no_grad():
        exact = energy_of(field, z0, UNIT, n_steps=2000)
        grids = [n * {1: 4, 2: 2}.get(order, 1) for n in (16, 32, 64)]
        found = [energy_of(field, z0, UNIT, solver=solver, n_steps=n) for n in grids]
    errors = [float((energy - exact).abs().max()) for energy in found]
    assert slope([1 / n for n in grids], errors) == pytest.approx(order, abs=0.3)


@all_solvers
@pytest.mark.parametrize("n_steps", [None, 4])
@all_adjoints
def test_states_and_steps_are_the_same_with_the_energy_and_without(adjoint, n_steps, solver):
    field, z0, t = mlp(scale=3.0), rows(20, 2), TIMES["several"]
    settings = {"solver": solver, "n_steps": n_steps, "adjoint": adjoint, "first_step": 1.0}

    def pass_over(kinetic_energy):
        start = z0.clone().requires_grad_()
        z, stats, energy = odeint(field, start, t, kinetic_energy=kinetic_energy, **settings)
        assert (energy is not None) == kinetic_energy
        loss = LOSSES["states"](z, energy)
        return stats, [z, *torch.autograd.grad(loss, [start, *field.parameters()])]

    (stats, found), (expected_stats, expected) = pass_over(True), pass_over(False)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert torch.equal(stats.accepted, expected_stats.accepted)
    assert torch.equal(stats.rejected, expected_stats.rejected)
    assert stats.nfe_forward == expected_stats.nfe_forward
    assert stats.nfe_backward == expected_stats.nfe_backward


@all_solvers
def test_times_in_between_do_not_change_the_energy(solver):
    field, z0 = mlp(), rows(5, 2)
    settings = {"solver": solver, "n_steps": 4}
    found = energy_of(field, z0, TIMES["several"], **settings)
    assert torch.equal(found, energy_of(field, z0, UNIT, **settings))


def test_the_energy_of_a_row_is_the_same_alone(engine):
    field, z0 = mlp(sizes=(9, 6), scale=3.0), rows(40, 2)
    together = energy_of(field, z0, UNIT).detach()
    within = 0 if engine == "native" else 1e-12
    for i in (0, 15, 39):
        alone = energy_of(field, z0[i : i + 1], UNIT).detach()[0]
        torch.testing.assert_close(alone, together[i], rtol=within, atol=0)


@all_solvers
@pytest.mark.parametrize("adjoint", ["discrete", None])
@all_times
def test_gradients_on_a_grid_are_those_of_differences(solver, adjoint, t):
    field, z0 = mlp(), rows(2, 2).requires_grad_()
    settings = {"solver": solver, "adjoint": adjoint, "n_steps": 3}

    def outputs(z0, *parameters):
        z, _, energy = odeint(field, z0, t, kinetic_energy=True, **settings)
        return z, energy

    # They are exact here; central differences err by eps² and 1e-16/eps.
    assert gradcheck(outputs, (z0, *field.parameters()), eps=1e-6, atol=1e-8, rtol=1e-7)


def test_gradients_without_an_adjoint_can_be_differentiated_again():
    field, z0 = mlp(), rows(2, 2).requires_grad_()
    assert gradgradcheck(
        lambda z0, *parameters: energy_of(field, z0, UNIT, adjoint=None, n_steps=2),
        (z0, *field.parameters()),
    )


class WithEnergy(nn.Module):
    """The field of the flattened state together with its energy."""

    def __init__(self, field, shape, direction):
        super().__init__()
        self.field, self.shape, self.direction = field, shape, direction

    def forward(self, t, x):
        z = x[:, :-1].view(self.shape)
        dz = self.field(t.expand(len(z), *[1] * (z.ndim - 1)), z).flatten(1)
        return torch.cat((dz, self.direction * dz.square().mean(1, keepdim=True)), 1)


@cache
def solved_by_torchdiffeq(field, z0, t, loss):
    z0 = z0.clone().requires_grad_()
    extended = WithEnergy(field, z0.shape, (t[-1] - t[0]).sign())
    x0 = torch.cat((z0.flatten(1), z0.new_zeros(len(z0), 1)), 1)
    x = torchdiffeq.odeint(extended, x0, t, rtol=1e-10, atol=1e-10, method="dopri5")
    z, energy = x[..., :-1].view(-1, *z0.shape), x[-1, :, -1]
    wanted = [z0, *(p for p in field.parameters() if p.requires_grad)]
    return [energy.detach(), *torch.autograd.grad(loss(z, energy), wanted, materialize_grads=True)]


def conv_field():
    torch.manual_seed(0)
    return ConvField().double()


FIELDS = {
    "time": (mlp(), rows(5, 2)),
    "autonomous": (mlp(time_dependent=False, scale=3.0), rows(5, 2)),
    "module": (Counted(mlp()), rows(5, 2)),
    "conv": (conv_field(), rows(3, 2, 4, 4)),
}


@pytest.mark.parametrize(("field", "z0"), FIELDS.values(), ids=FIELDS)
@all_times
@all_adjoints
@all_losses
def test_energy_and_gradients_are_those_of_one_more_state(field, z0, t, adjoint, loss):
    found = solved(field, z0, t, loss, adjoint=adjoint, tolerance=1e-9)
    expected = solved_by_torchdiffeq(field, z0, t, loss)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@all_solvers
@all_times
def test_continuous_gradients_on_a_fine_grid_are_those_of_the_steps(solver, t):
    field, z0, order = mlp(), rows(5, 2), TABLEAUS[solver].order
    n_steps = {1: 400, 2: 50, 3: 40, 4: 20, 5: 12}[order]
    settings = {"solver": solver, "n_steps": n_steps}
    found = solved(field, z0, t, adjoint="continuous", **settings)
    expected = solved(field, z0, t, adjoint="discrete", **settings)
    # Both are O(h^p) from the exact ones, with a constant of some units.
    torch.testing.assert_close(found, expected, rtol=0, atol=5 * (1 / n_steps) ** order)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@all_solvers
@all_times
def test_the_discrete_adjoint_is_autograd_through_the_steps(activation, solver, t):
    field, z0, settings = mlp(activation), rows(5, 2), {"solver": solver, "n_steps": 4}
    expected = solved(field, z0, t, adjoint=None, **settings)
    found = solved(field, z0, t, adjoint="discrete", **settings)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@adaptive_solvers
@all_times
@all_losses
@pytest.mark.parametrize("wrap", [lambda x: x, Counted], ids=["closed form", "module"])
def test_the_discrete_adjoint_is_autograd_through_the_chosen_steps(wrap, solver, t, loss):
    # Rows of very different size, so that some are rejected or finished while others move.
    field, z0 = wrap(mlp(scale=4.0)), rows(6, 2) * torch.logspace(-3, 2, 6).double().view(-1, 1)
    settings = {"solver": solver, "first_step": 1.0, "tolerance": 1e-5}
    stats = odeint(field, z0, t, **settings).stats
    assert stats.rejected.max() > 0
    assert stats.accepted.unique().numel() > 1
    expected = solved(field, z0, t, loss, adjoint=None, **settings)
    found = solved(field, z0, t, loss, adjoint="discrete", **settings)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@adaptive_solvers
@all_adjoints
def test_trial_steps_that_overflow_do_not_poison_the_energy(solver, adjoint):
    field, z0 = WalledDecay(), WalledDecay().initial()
    settings = {"solver": solver, "tolerance": 1e-9, "max_steps": 3000}
    found = solved(field, z0, UNIT, adjoint=adjoint, first_step=1.0, **settings)
    assert field.overflowed
    expected = solved(field, z0, UNIT, adjoint=adjoint, **settings)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@adaptive_solvers
def test_trial_steps_that_overflow_do_not_poison_the_energy_in_closed_form(solver):
    field, t = walled_field(), times(0.0, 20.0, 50.0)
    z0 = torch.tensor([[0.2], [0.6], [0.9]], dtype=torch.float64)
    settings = {"solver": solver, "first_step": 50.0}
    assert odeint(field, z0, t, **settings).stats.rejected.min() > 0
    expected = solved(field, z0, t, adjoint=None, **settings)
    found = solved(field, z0, t, adjoint="discrete", **settings)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("size", [1e-6, 1e6])
@all_losses
def test_the_continuous_adjoint_is_as_exact_for_a_mean_loss_as_for_a_sum(size, loss):
    field, z0 = mlp(), rows(4, 2)
    _, *plain = solved(field, z0, UNIT, loss, adjoint="continuous")
    _, *scaled = solved(field, z0, UNIT, lambda *x: size * loss(*x), adjoint="continuous")
    torch.testing.assert_close([size * g for g in plain], scaled, rtol=1e-10, atol=0)


@pytest.mark.parametrize("speed", [1e-4, 1.0, 1e4])
def test_the_continuous_adjoint_is_as_exact_for_slow_fields_as_for_fast_ones(speed):
    # Logistic growth in a time of its own: the energy is `speed` times the same.
    t, settings = UNIT / speed, {"tolerance": 1e-6, "adjoint": "continuous", "max_steps": 3000}
    field, z0 = Logistic(speed), Logistic().initial()
    _, *found = solved(field, z0, t, LOSSES["energy"], **settings)
    _, *expected = solved(field, z0, t, LOSSES["energy"], tolerance=1e-10)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4 * float(b.abs().max()))


@all_adjoints
def test_a_field_that_stands_still_has_no_energy_and_no_gradient(adjoint):
    field = linear([[0.0, 0.0], [0.0, 0.0]], [0.0, 0.0])
    for result in solved(field, rows(3, 2), UNIT, LOSSES["energy"], adjoint=adjoint):
        assert torch.equal(result, torch.zeros_like(result))


@all_adjoints
@pytest.mark.parametrize("wrap", [lambda x: x, Counted], ids=["closed form", "module"])
def test_a_second_backward_pass_gives_the_same_gradient(adjoint, wrap):
    field, z0 = wrap(mlp()), rows(3, 2).requires_grad_()
    energy = energy_of(field, z0, UNIT, adjoint=adjoint)
    wanted = [z0, *field.parameters()]
    first = torch.autograd.grad(energy.sum(), wanted, retain_graph=True)
    second = torch.autograd.grad(energy.sum(), wanted)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@all_adjoints
def test_either_of_state_and_parameters_may_need_no_gradient(adjoint):
    field, z0 = mlp(), rows(3, 2)
    _, g, *expected = solved(field, z0, UNIT, LOSSES["energy"], adjoint=adjoint)
    energy = energy_of(field, z0, UNIT, adjoint=adjoint)
    found = torch.autograd.grad(LOSSES["energy"](z0, energy), list(field.parameters()))
    torch.testing.assert_close(list(found), expected, rtol=1e-14, atol=1e-14)
    energy = energy_of(field.requires_grad_(False), z0.requires_grad_(), UNIT, adjoint=adjoint)
    found = torch.autograd.grad(LOSSES["energy"](z0, energy), z0)
    torch.testing.assert_close(found[0], g, rtol=1e-14, atol=1e-14)


@all_adjoints
def test_the_energy_without_gradients_is_the_same(adjoint):
    field, z0 = mlp(), rows(5, 2)
    expected = energy_of(field, z0, UNIT, adjoint=adjoint)
    with torch.no_grad():
        found = energy_of(field, z0, UNIT, adjoint=adjoint)
    assert not found.requires_grad
    torch.testing.assert_close(found, expected.detach(), rtol=1e-14, atol=0)

import gc
from functools import cache

import pytest
import torch
import torchdiffeq
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from sknode.exceptions import SolverError
from sknode.modules import MLPField
from sknode.modules.activations import ACTIVATIONS
from sknode.ode import TABLEAUS, odeint
from tests.problems import (
    ADAPTIVE,
    ConvField,
    Counted,
    Driven,
    Exponential,
    Logistic,
    Oscillator,
    WalledDecay,
    Weighed,
    live_bytes,
    slope,
    times,
    walled_field,
)

all_solvers = pytest.mark.parametrize("solver", TABLEAUS)
adaptive_solvers = pytest.mark.parametrize("solver", ADAPTIVE)
all_adjoints = pytest.mark.parametrize("adjoint", ["discrete", "continuous", None])
written_by_hand = pytest.mark.parametrize("adjoint", ["discrete", "continuous"])
UNIT = times(0.0, 1.0)
# Several times within one step of a coarse grid, and backwards.
TIMES = {"two": UNIT, "several": times(0.0, 0.3, 0.35, 1.0), "decreasing": times(1.0, 0.6, 0.0)}
all_times = pytest.mark.parametrize("t", TIMES.values(), ids=TIMES)


def mlp(activation="tanh", time_dependent=True, n_dims=2, width=3):
    torch.manual_seed(0)
    return MLPField(n_dims, (width,), activation, time_dependent).double()


def rows(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def check(field, t, *, eps=1e-6, atol=1e-5, rtol=1e-3, fast_mode=False, **settings):
    """Compare the gradients in z0 and the parameters with differences."""
    z0 = rows(2, 2).requires_grad_()
    # The differences are taken in the parameters themselves.
    return gradcheck(
        lambda z0, *parameters: odeint(field, z0, t, **settings).z,
        (z0, *field.parameters()),
        eps=eps,
        atol=atol,
        rtol=rtol,
        fast_mode=fast_mode,
    )


def gradients(field, z0, t, **settings):
    """Return the gradients in z0 and the parameters of a loss that hears of every state."""
    z0 = z0.detach().clone().requires_grad_()
    z = odeint(field, z0, t, **settings).z
    wanted = [z0, *(p for p in field.parameters() if p.requires_grad)]
    return torch.autograd.grad((z * rows(*z.shape, seed=1).to(z)).sum(), wanted)


def exact_gradients(field, z0, t):
    z0 = z0.clone().requires_grad_()
    z = field.exact(z0, t)
    return torch.autograd.grad((z * rows(*z.shape, seed=1)).sum(), [z0, *field.parameters()])


@all_solvers
@pytest.mark.parametrize("adjoint", ["discrete", None])
@all_times
def test_gradients_on_a_grid_are_those_of_differences(solver, adjoint, t):
    # They are exact here; central differences err by eps² and 1e-16/eps.
    assert check(mlp(), t, solver=solver, adjoint=adjoint, n_steps=3, atol=1e-8, rtol=1e-7)


@all_solvers
@all_times
def test_continuous_gradients_on_a_fine_grid_are_those_of_differences(solver, t):
    order = TABLEAUS[solver].order
    n_steps = {1: 200, 2: 50, 3: 40, 4: 20, 5: 12}[order]
    # Both the states and the adjoint ODE are solved to O(h^p), and all derivatives of this field
    # are below one.
    atol = (1 / n_steps) ** order
    assert check(mlp(), t, solver=solver, adjoint="continuous", n_steps=n_steps, atol=atol, rtol=0)


@adaptive_solvers
@all_adjoints
def test_gradients_along_chosen_steps_are_those_of_differences(solver, adjoint):
    # Differences see the steps change; at eps=1e-4 a tolerance of 1e-9 makes that 1e-5, the
    # default atol.
    settings = {"solver": solver, "adjoint": adjoint, "tolerance": 1e-9}
    assert check(mlp(), TIMES["several"], eps=1e-4, fast_mode=True, **settings)


@pytest.mark.parametrize("field", [Driven(), Oscillator()], ids=["driven", "oscillator"])
@all_adjoints
def test_gradients_of_any_module_are_those_of_differences(field, adjoint):
    # At 20 steps of order 5 the continuous adjoint's error is below 1e-6, and so below atol.
    assert check(field, TIMES["several"], adjoint=adjoint, n_steps=20)


def test_gradients_without_an_adjoint_can_be_differentiated_again():
    field, z0 = mlp(), rows(2, 2).requires_grad_()
    assert gradgradcheck(
        lambda z0, *parameters: odeint(field, z0, UNIT, adjoint=None, n_steps=2).z[-1],
        (z0, *field.parameters()),
    )


@written_by_hand
def test_an_adjoint_refuses_to_be_differentiated_again(adjoint):
    z0 = rows(2, 2).requires_grad_()
    z = odeint(mlp(), z0, UNIT, adjoint=adjoint).z
    (g,) = torch.autograd.grad(z.square().sum(), z0, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        g.sum().backward()


@pytest.mark.parametrize("problem", [Exponential, Oscillator, Logistic, Driven])
@pytest.mark.parametrize("direction", [1.0, -1.0])
@all_adjoints
def test_gradients_are_those_of_the_exact_solution(problem, direction, adjoint):
    field = problem()
    z0, t = field.initial(), direction * torch.tensor(field.times, dtype=torch.float64)
    found = gradients(field, z0, t, adjoint=adjoint, tolerance=1e-10)
    torch.testing.assert_close(found, exact_gradients(field, z0, t), rtol=1e-7, atol=1e-7)


@all_solvers
def test_continuous_gradients_converge_with_the_order_of_the_method(solver):
    field, t, order = Oscillator(), times(0.0, 2.0), TABLEAUS[solver].order
    z0 = field.initial()
    exact = torch.cat([g.flatten() for g in exact_gradients(field, z0, t)])
    grids = [n * {1: 4, 2: 2}.get(order, 1) for n in (32, 64, 128)]
    errors = []
    for n in grids:
        found = gradients(field, z0, t, solver=solver, adjoint="continuous", n_steps=n)
        errors.append(float((torch.cat([g.flatten() for g in found]) - exact).abs().max()))
    assert slope([1 / n for n in grids], errors) == pytest.approx(order, abs=0.25)


@cache
def gradients_of_torchdiffeq(field, z0, t):
    z0 = z0.clone().requires_grad_()
    z = torchdiffeq.odeint(field, z0, t, rtol=1e-10, atol=1e-10, method="dopri5")
    wanted = [z0, *(p for p in field.parameters() if p.requires_grad)]
    return torch.autograd.grad((z * rows(*z.shape, seed=1)).sum(), wanted)


def conv_field():
    torch.manual_seed(0)
    return ConvField().double()


FIELDS = {
    f"{activation}-{time}": (mlp(activation, time == "time"), rows(5, 2))
    for activation in ("tanh", "silu", "softplus")
    for time in ("time", "autonomous")
} | {"conv": (conv_field(), rows(3, 2, 4, 4))}


@pytest.mark.parametrize(("field", "z0"), FIELDS.values(), ids=FIELDS)
@all_times
@all_adjoints
def test_gradients_are_those_of_torchdiffeq(field, z0, t, adjoint):
    found = gradients(field, z0, t, adjoint=adjoint, tolerance=1e-9)
    expected = gradients_of_torchdiffeq(field, z0, t)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@all_solvers
@all_times
def test_the_discrete_adjoint_is_autograd_through_the_steps(activation, solver, t):
    field, z0 = mlp(activation), rows(5, 2)
    settings = {"solver": solver, "n_steps": 4}
    expected = gradients(field, z0, t, adjoint=None, **settings)
    found = gradients(field, z0, t, adjoint="discrete", **settings)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@adaptive_solvers
@all_times
def test_the_discrete_adjoint_is_autograd_through_the_chosen_steps(solver, t):
    # Rows of very different size, so that some are rejected or finished while others move.
    field, z0, t = Logistic(), torch.tensor([[1e-3], [0.5], [0.95]], dtype=torch.float64), 8 * t
    stats = odeint(field, z0, t, solver=solver, first_step=8.0).stats
    assert stats.rejected.max() > 0
    assert stats.accepted.unique().numel() > 1
    expected = gradients(field, z0, t, solver=solver, adjoint=None, first_step=8.0)
    found = gradients(field, z0, t, solver=solver, adjoint="discrete", first_step=8.0)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@all_adjoints
def test_the_gradient_is_a_sum_over_rows_alone(adjoint):
    field, z0 = mlp(), rows(6, 2)
    z0[2] *= 50
    together = gradients(field, z0, UNIT, adjoint=adjoint)

    def alone(i):
        z_row = z0[i : i + 1].clone().requires_grad_()
        z = odeint(field, z_row, UNIT, adjoint=adjoint).z
        loss = (z * rows(2, 6, 2, seed=1)[:, i : i + 1]).sum()
        return torch.autograd.grad(loss, [z_row, *field.parameters()])

    singles = [alone(i) for i in range(6)]
    expected = [torch.cat([g[0] for g in singles])]
    expected += [sum(parts) for parts in zip(*(g[1:] for g in singles), strict=True)]
    torch.testing.assert_close(together, tuple(expected), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_the_continuous_adjoint_is_as_exact_for_a_mean_loss_as_for_a_sum(size):
    field, z0 = mlp(), rows(4, 2).requires_grad_()
    z = odeint(field, z0, UNIT, adjoint="continuous").z[-1]
    wanted = [z0, *field.parameters()]
    plain = torch.autograd.grad(z.sum(), wanted, retain_graph=True)
    scaled = torch.autograd.grad(size * z.sum(), wanted)
    torch.testing.assert_close(tuple(size * g for g in plain), scaled, rtol=1e-10, atol=0)


def test_the_tolerance_of_the_adjoint_is_its_own():
    field, z0, t = Driven(), Driven().initial(), times(0.0, 2.0)

    def error(**settings):
        found = gradients(field, z0, t, tolerance=1e-10, adjoint="continuous", **settings)
        return max(
            float((a - b).abs().max())
            for a, b in zip(found, exact_gradients(field, z0, t), strict=True)
        )

    assert error() < 1e-7 < error(adjoint_tolerance=1e-2)
    assert error(adjoint_tolerance=(1e-10, 1e-10)) == error()


STATE_BYTES = 4 * 1000 * 8
# The times of a grid are kept, as a handful of numbers a step.
GRID_BYTES = 300 * 8 * 8


def bytes_held(adjoint, n_steps, grad=True):
    """Return the bytes held between the passes, and the most while either runs."""
    field, z0 = Weighed(every=n_steps // 5), torch.ones(4, 1000, dtype=torch.float64)
    gc.collect()
    before = live_bytes()
    with torch.set_grad_enabled(grad):
        z = odeint(field, z0, UNIT, solver="euler", n_steps=n_steps, adjoint=adjoint).z
    held = live_bytes() - before
    if grad:
        z.sum().backward()
    return held, max(field.bytes) - before


def test_the_memory_of_the_continuous_adjoint_does_not_grow_with_the_steps():
    held_10, peak_10 = bytes_held("continuous", 10)
    held_300, peak_300 = bytes_held("continuous", 300)
    assert held_300 <= held_10 + GRID_BYTES
    assert peak_300 <= peak_10 + GRID_BYTES


def test_the_memory_of_the_discrete_adjoint_grows_with_the_steps():
    held_10, _ = bytes_held("discrete", 10)
    held_300, _ = bytes_held("discrete", 300)
    assert held_300 - held_10 >= 290 * STATE_BYTES


@all_adjoints
def test_without_gradients_no_memory_grows_with_the_steps(adjoint):
    _, peak_10 = bytes_held(adjoint, 10, grad=False)
    _, peak_300 = bytes_held(adjoint, 300, grad=False)
    assert peak_300 <= peak_10 + GRID_BYTES


@adaptive_solvers
@all_adjoints
def test_trial_steps_that_overflow_do_not_poison_gradients(solver, adjoint):
    field, t = WalledDecay(), times(0.0, 0.4, 1.0)
    z0 = field.initial()
    settings = {"solver": solver, "tolerance": 1e-9, "max_steps": 3000, "first_step": 1.0}
    stats = odeint(field, z0, t, **settings).stats
    assert field.overflowed
    assert stats.rejected.min() > 0
    found = gradients(field, z0, t, adjoint=adjoint, **settings)
    expected = exact_gradients(field, z0, t)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@adaptive_solvers
def test_trial_steps_that_overflow_do_not_poison_gradients_in_closed_form(solver):
    field, t = walled_field(), times(0.0, 20.0, 50.0)
    z0 = torch.tensor([[0.2], [0.6], [0.9]], dtype=torch.float64)
    with pytest.raises(SolverError):
        odeint(field, z0, times(0.0, 50.0), solver=solver, n_steps=1)
    settings = {"solver": solver, "first_step": 50.0}
    assert odeint(field, z0, t, **settings).stats.rejected.min() > 0
    expected = gradients(field, z0, t, adjoint=None, **settings)
    found = gradients(field, z0, t, adjoint="discrete", **settings)
    assert all(bool(torch.isfinite(g).all()) for g in found)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@all_adjoints
@pytest.mark.parametrize("field", [mlp(), Counted(mlp())], ids=["closed form", "module"])
def test_a_second_backward_pass_gives_the_same_gradient(adjoint, field):
    z0 = rows(3, 2).requires_grad_()
    z = odeint(field, z0, TIMES["several"], adjoint=adjoint).z
    wanted = [z0, *field.parameters()]
    first = torch.autograd.grad(z.square().sum(), wanted, retain_graph=True)
    kept = [g.clone() for g in first]
    second = torch.autograd.grad(z.square().sum(), wanted)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    # The first gradients are not buffers that the second pass has written into.
    assert all(torch.equal(a, b) for a, b in zip(first, kept, strict=True))


@all_adjoints
@pytest.mark.parametrize("field", [mlp(), Counted(mlp())], ids=["closed form", "module"])
def test_parameters_changed_in_between_are_an_error(adjoint, field):
    z = odeint(field, rows(3, 2).requires_grad_(), UNIT, adjoint=adjoint).z
    with torch.no_grad():
        next(field.parameters()).mul_(1.1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


@written_by_hand
def test_an_initial_state_changed_in_between_changes_no_gradient(adjoint):
    field, z0 = mlp(time_dependent=False), rows(3, 2)
    expected = gradients(field, z0, UNIT, adjoint=adjoint)
    z0.requires_grad_()
    z = odeint(field, z0, UNIT, adjoint=adjoint).z
    with torch.no_grad():
        z0.zero_()
    loss = (z * rows(*z.shape, seed=1)).sum()
    found = torch.autograd.grad(loss, [z0, *field.parameters()])
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@all_adjoints
def test_frozen_parameters_have_no_gradient_and_change_none(adjoint):
    z0 = rows(3, 2).requires_grad_()
    field = mlp()
    everything = gradients(field, z0, UNIT, adjoint=adjoint)
    field.layers[0].bias.requires_grad_(False)
    odeint(field, z0, UNIT, adjoint=adjoint).z.mul(rows(2, 3, 2, seed=1)).sum().backward()
    assert field.layers[0].bias.grad is None
    rest = [everything[i] for i in (0, 1, 3, 4)]
    found = [z0.grad, field.layers[0].weight.grad, *(p.grad for p in field.layers[1].parameters())]
    torch.testing.assert_close(found, rest, rtol=1e-14, atol=1e-14)


@all_adjoints
@pytest.mark.parametrize("field", [mlp(), Counted(mlp())], ids=["closed form", "module"])
def test_either_of_state_and_parameters_may_need_no_gradient(adjoint, field):
    z0 = rows(3, 2)
    odeint(field, z0, UNIT, adjoint=adjoint).z.sum().backward()
    assert z0.grad is None
    assert all(p.grad is not None for p in field.parameters())
    frozen = Counted(mlp()).requires_grad_(False)
    z0.requires_grad_()
    odeint(frozen, z0, UNIT, adjoint=adjoint).z.sum().backward()
    assert z0.grad is not None
    assert all(p.grad is None for p in frozen.parameters())
    field.zero_grad()


@pytest.mark.parametrize("adjoint", ["discrete", "continuous"])
def test_gradients_go_on_through_weights_that_are_computed(adjoint):
    field = mlp()
    nn.utils.parametrizations.weight_norm(field.layers[0])
    nn.utils.parametrizations.orthogonal(field.layers[1])
    loss = odeint(field, rows(5, 2), times(0.0, 1.0), solver="rk4", adjoint=adjoint, n_steps=40)
    found = torch.autograd.grad(loss.z[-1].sum(), list(field.parameters()))
    loss = odeint(field, rows(5, 2), times(0.0, 1.0), solver="rk4", adjoint=None, n_steps=40)
    expected = torch.autograd.grad(loss.z[-1].sum(), list(field.parameters()))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


class Shift(nn.Module):
    """z' = cos t, whatever z; and a parameter without a part in it."""

    def __init__(self, idle):
        super().__init__()
        self.idle = nn.Parameter(torch.ones(2, dtype=torch.float64)) if idle else None

    def forward(self, t, z):
        return torch.cos(t).expand_as(z)


@all_adjoints
@pytest.mark.parametrize("idle", [False, True])
def test_a_field_without_the_state_has_the_identity_for_a_gradient(adjoint, idle):
    z0 = rows(3, 2).requires_grad_()
    field = Shift(idle)
    z = odeint(field, z0, UNIT, adjoint=adjoint).z[-1]
    (g,) = torch.autograd.grad(z.sum(), z0)
    torch.testing.assert_close(g, torch.ones_like(g), rtol=1e-14, atol=1e-14)


class Idle(nn.Module):
    """Decay, and a parameter without a part in it."""

    def __init__(self):
        super().__init__()
        self.idle = nn.Parameter(torch.ones(2, dtype=torch.float64))

    def forward(self, t, z):
        return -z


@written_by_hand
def test_a_parameter_without_a_part_in_the_field_has_gradient_zero(adjoint):
    field, z0 = Idle(), rows(3, 2).requires_grad_()
    odeint(field, z0, UNIT, adjoint=adjoint, tolerance=1e-9).z[-1].sum().backward()
    torch.testing.assert_close(z0.grad, torch.full_like(z0, 1 / torch.e), rtol=1e-7, atol=0)
    assert torch.equal(field.idle.grad, torch.zeros(2, dtype=torch.float64))


@all_adjoints
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_have_the_dtype_and_shape_of_what_they_belong_to(adjoint, dtype):
    field, z0 = conv_field().to(dtype), rows(3, 2, 4, 4).to(dtype)
    found = gradients(field, z0, UNIT, adjoint=adjoint)
    assert {g.dtype for g in found} == {dtype}
    assert [g.shape for g in found] == [p.shape for p in (z0, *field.conv.parameters())]


@all_adjoints
def test_single_precision_gradients_are_those_of_double_precision(adjoint):
    field, z0 = mlp(), rows(5, 2)
    expected = [g.float() for g in gradients(field, z0, UNIT, adjoint=adjoint, n_steps=8)]
    found = gradients(field.float(), z0.float(), UNIT, adjoint=adjoint, n_steps=8)
    torch.testing.assert_close(list(found), expected, rtol=1e-5, atol=1e-5)


@all_solvers
@pytest.mark.parametrize("n_steps", [None, 5])
def test_the_discrete_adjoint_counts_its_evaluations_as_the_field_sees_them(solver, n_steps):
    field = Counted(mlp())
    z, stats, _ = odeint(field, rows(3, 2), UNIT, solver=solver, n_steps=n_steps)
    assert (stats.nfe_forward, stats.nfe_backward) == (field.calls, 0)
    field.calls = 0
    z.sum().backward()
    assert stats.nfe_backward == field.calls > 0


@pytest.mark.parametrize(("solver", "expected"), [("euler", 5), ("rk4", 20), ("dopri5", 31)])
def test_the_continuous_adjoint_counts_its_evaluations(solver, expected):
    # Five steps of as many stages; one more where only the first step evaluates its first stage.
    z, stats, _ = odeint(mlp(), rows(3, 2), UNIT, solver=solver, n_steps=5, adjoint="continuous")
    assert stats.nfe_backward == 0
    z.sum().backward()
    assert stats.nfe_forward == stats.nfe_backward == expected


def test_a_failure_of_the_continuous_adjoint_says_what_to_turn():
    # Forwards 200 steps are plenty, backwards far too few for the tolerance.
    z0 = torch.ones(1, 1, dtype=torch.float64)
    settings = {"adjoint": "continuous", "max_steps": 200, "adjoint_tolerance": 1e-15}
    z = odeint(Exponential((-20.0,)), z0, UNIT, **settings).z
    with pytest.raises(SolverError, match=r"after 200 steps in 1 of 1 rows; loosen `tolerance`"):
        z[-1].sum().backward()


def test_the_continuous_adjoint_calls_a_module_once_for_the_state_and_once_for_the_weights():
    field = Counted(mlp())
    z0 = rows(6, 2).requires_grad_()
    z, stats, _ = odeint(field, z0, UNIT, adjoint="continuous")
    forward = field.calls
    z.square().sum().backward()
    assert stats.nfe_backward < field.calls - forward <= 2 * stats.nfe_backward

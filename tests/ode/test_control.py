import math

import numpy as np
import pytest
import torch
from scipy.integrate import RK45, solve_ivp

from sknode.ode import TABLEAUS, odeint
from sknode.ode.eager.control import Controller
from sknode.ode.eager.module import bind
from sknode.ode.step_sizes import GRAIN, LARGEST_FACTOR, LEAST_FACTOR, SAFETY
from tests.problems import ADAPTIVE, PROBLEMS, Driven, Exponential, extended, times

adaptive_solvers = pytest.mark.parametrize("solver", ADAPTIVE)


def controller(field, z0, solver="dopri5", tolerance=(1e-3, 1e-6)):
    system = bind(field, z0)
    return system, Controller(system, TABLEAUS[solver], *tolerance)


def for_scipy(field):
    """Return the field as a function of one row."""

    def rhs(t, z):
        row = torch.from_numpy(z).unsqueeze(0)
        with torch.no_grad():
            return field(times(t), row)[0].numpy()

    return rhs


def judge(errors, solver="dopri5"):
    """Judge rows of two dimensions whose scale is one, at time zero, with the errors given."""
    z0 = torch.zeros(len(errors), 2, dtype=torch.float64)
    system, control = controller(Exponential(), z0, solver, (1.0, 1.0))
    x = extended(system, z0, 0.0)
    error = torch.tensor([[*row, 0.0] for row in errors], dtype=torch.float64)
    return control.judge(x, x, error)


def test_a_row_is_accepted_if_the_root_mean_square_of_its_error_is_at_most_one():
    accepted, _ = judge([(1.0, 1.0), (1.0, 1.001), (1.4, 0.0), (1.42, 0.0), (0.0, 0.0)])
    assert accepted.tolist() == [True, False, True, False, True]


def test_the_scale_of_an_error_grows_with_the_larger_end_of_the_step():
    z0 = torch.tensor([[1.0, 3.0]], dtype=torch.float64)
    system, control = controller(Exponential(), z0, tolerance=(0.1, 0.01))
    x = extended(system, z0, 0.0)
    end = torch.tensor([[-2.0, 2.0, 0.0]], dtype=torch.float64)
    scale = torch.tensor([[0.01 + 0.1 * 2.0, 0.01 + 0.1 * 3.0, 1.0]], dtype=torch.float64)
    for size, verdict in [(0.999, True), (1.001, False)]:
        error = scale * torch.tensor([[size, -size, 0.0]], dtype=torch.float64)
        assert control.judge(x, end, error)[0].tolist() == [verdict]


@adaptive_solvers
@pytest.mark.parametrize("size", [0.01, 0.5, 3.0])
def test_the_next_step_aims_at_an_error_somewhat_below_one(solver, size):
    _, factor = judge([(size, size)], solver)
    wanted = SAFETY * size ** (-1 / TABLEAUS[solver].order)
    assert factor.item() == math.floor(wanted / GRAIN) * GRAIN


@adaptive_solvers
def test_the_rounding_of_an_error_does_not_reach_the_next_step(solver):
    generator = torch.Generator().manual_seed(0)
    errors = torch.logspace(-6, 2, 500, dtype=torch.float64).unsqueeze(1).repeat(1, 2)
    noise = 1e-12 * torch.randn(errors.shape, generator=generator, dtype=torch.float64)
    assert torch.equal(judge(errors, solver)[1], judge(errors * (1 + noise), solver)[1])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_row_whose_error_is_not_finite_is_rejected_with_the_least_factor(bad):
    accepted, factor = judge([(0.5, 0.5), (bad, 0.0), (0.0, bad)])
    assert accepted.tolist() == [True, False, False]
    assert factor.tolist()[1:] == [LEAST_FACTOR, LEAST_FACTOR]


def test_a_step_size_never_changes_by_more_than_the_limits():
    _, factor = judge([(0.0, 0.0), (1e-30, 0.0), (1e30, 0.0)])
    assert factor.tolist() == [LARGEST_FACTOR, LARGEST_FACTOR, LEAST_FACTOR]


@pytest.mark.parametrize("direction", [1.0, -1.0])
@pytest.mark.parametrize("problem", ["exponential", "oscillator", "logistic", "driven"])
def test_the_first_step_of_dopri5_is_that_of_scipy(problem, direction):
    field = PROBLEMS[problem]()
    z0 = field.initial()
    system, control = controller(field, z0)
    x, tape = extended(system, z0, 0.0), system.new_tape(7)
    tape.x[0].copy_(x)
    with torch.no_grad():
        k = system.evaluate(tape, 0)
        found = control.first_step(x, k, 5.0 * direction, tape, order=5)
    expected = [
        RK45(for_scipy(field), 0.0, row, 5.0 * direction, rtol=1e-3, atol=1e-6).h_abs for row in z0
    ]
    mantissas, exponents = np.frexp(expected)
    cut = np.ldexp(np.floor(mantissas / GRAIN) * GRAIN, exponents)
    np.testing.assert_array_equal(found, cut)


@pytest.mark.parametrize("z0", [0.0, 1e-3, 1e6])
@pytest.mark.parametrize("rate", [0.0, 1e-9, 1e9])
@pytest.mark.parametrize("span", [1e-5, -3.0])
def test_a_first_step_is_positive_and_not_longer_than_the_way(z0, rate, span):
    z0 = torch.full((1, 1), z0, dtype=torch.float64)
    system, control = controller(Exponential((rate,)), z0)
    x, tape = extended(system, z0, 0.0), system.new_tape(7)
    tape.x[0].copy_(x)
    with torch.no_grad():
        step = control.first_step(x, system.evaluate(tape, 0), span, tape, order=5)
    assert 0 < step.item() <= abs(span)


@pytest.mark.parametrize(
    ("solver", "name", "problem"),
    [("dopri5", "RK45", Exponential), ("dopri5", "RK45", Driven), ("bosh3", "RK23", Exponential)],
)
def test_steps_are_those_of_scipy_where_none_is_rejected(solver, name, problem, monkeypatch):
    # scipy does not cut its step sizes.
    monkeypatch.setattr("sknode.ode.step_sizes.GRAIN", 2.0**-48)
    # After a rejection scipy lets the next step not grow, so only smooth rows compare.
    field, rtol, atol = problem(), 1e-5, 1e-7
    z0 = field.initial()[:1]
    theirs = solve_ivp(
        for_scipy(field), (0.0, 1.0), z0[0].numpy(), method=name, rtol=rtol, atol=atol
    )
    ours = odeint(field, z0, times(0.0, 1.0), solver=solver, tolerance=(rtol, atol))
    assert ours.stats.rejected.item() == 0
    assert ours.stats.accepted.item() == len(theirs.t) - 1
    assert ours.stats.nfe_forward == theirs.nfev
    np.testing.assert_allclose(ours.z[-1, 0].detach(), theirs.y[:, -1], rtol=1e-12)


@adaptive_solvers
@pytest.mark.parametrize("problem", ["exponential", "oscillator", "logistic", "driven"])
def test_the_error_falls_with_the_tolerance(problem, solver):
    field = PROBLEMS[problem]()
    z0, t = field.initial(), torch.tensor(field.times, dtype=torch.float64)
    with torch.no_grad():
        exact = field.exact(z0, t)
        solutions = [
            odeint(field, z0, t, solver=solver, tolerance=tolerance, max_steps=2000).z
            for tolerance in (1e-3, 1e-4, 1e-5, 1e-6)
        ]
    found = [float((z - exact).abs().max()) for z in solutions]
    assert found == sorted(found, reverse=True)
    # In proportion it would fall a thousandfold.
    assert found[-1] < found[0] / 100


def test_a_pair_of_tolerances_is_the_relative_and_the_absolute_one():
    field, t = Exponential((4.0,)), times(0.0, 2.0)
    z0 = torch.tensor([[1e-8], [1.0]], dtype=torch.float64)
    absolute = odeint(field, z0, t, tolerance=(1e-12, 1e-3), first_step=1.0).stats.accepted
    relative = odeint(field, z0, t, tolerance=(1e-3, 1e-12), first_step=1.0).stats.accepted
    # 1e-8·e⁸ is far below an absolute tolerance of 1e-3; measured relative to themselves, the two
    # rows are the same.
    assert absolute[0] < relative[0] == relative[1] < absolute[1]

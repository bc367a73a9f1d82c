import pytest
import torch

from sknode.ode import TABLEAUS, odeint
from sknode.ode.eager.module import bind
from sknode.ode.eager.step import coefficients, differentiable_step, take_step
from sknode.ode.field import Stack
from tests.problems import Driven, Orbit, Oscillator, extended, slope

all_solvers = pytest.mark.parametrize("solver", TABLEAUS)
# The coarsest grid is fine enough for the leading term of the error, the finest coarse enough for
# rounding not to matter; the exact solutions are without cancellations that would hide the term.
problems = pytest.mark.parametrize(
    ("problem", "stop", "coarsest"), [(Driven, 2.0, 32), (Oscillator, 2.0, 32), (Orbit, 8.0, 256)]
)


def order_found(field, solver, t, coarsest):
    """Fit the order to the largest errors over rows and times, on three grids."""
    # A first-order method sees its leading term later.
    coarsest *= {1: 4, 2: 2}.get(TABLEAUS[solver].order, 1)
    grids, z0 = [coarsest, 2 * coarsest, 4 * coarsest], field.initial()
    with torch.no_grad():
        exact = field.exact(z0, t)
        solutions = [odeint(field, z0, t, solver=solver, n_steps=n).z for n in grids]
    return slope([1 / n for n in grids], [float((z - exact).abs().max()) for z in solutions])


@all_solvers
@problems
def test_the_error_falls_with_the_power_of_the_step_that_the_order_names(
    problem, solver, stop, coarsest
):
    # These times are nodes of every grid.
    t = torch.linspace(0.0, stop, 17, dtype=torch.float64)
    found = order_found(problem(), solver, t, coarsest)
    assert found == pytest.approx(TABLEAUS[solver].order, abs=0.25)


@all_solvers
@problems
def test_the_error_at_times_within_steps_falls_with_the_same_power(problem, solver, stop, coarsest):
    # min(p, q + 1) = p for every interpolant here, of order q = p or p - 1: its error in one step
    # is O(h^(q+1)), that of the steps before O(h^p). So many times see every part of a step.
    t = torch.linspace(0.0, stop, 202, dtype=torch.float64)
    found = order_found(problem(), solver, t, coarsest)
    assert found == pytest.approx(TABLEAUS[solver].order, abs=0.25)


@all_solvers
def test_both_ways_to_take_a_step_agree(solver):
    tableau, field, z0 = TABLEAUS[solver], Driven(), Driven().initial()
    system = bind(field, z0)
    h = torch.tensor([[0.3], [-0.2]], dtype=torch.float64)
    stack, tape = Stack(tableau.n_stages + 1, system.shape, z0), system.new_tape(tableau.n_stages)
    stack[0].copy_(extended(system, z0, 0.5))
    tape.x[0].copy_(stack[0])
    with torch.no_grad():
        torch.mul(system.evaluate(tape, 0), h, out=stack[1])
        end, _ = take_step(system, tableau, stack, tape, h)
        t = torch.full((2, 1), 0.5, dtype=torch.float64)
        z, stages = differentiable_step(field, tableau, t, z0, h)
    torch.testing.assert_close(end[:, :2], z, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(stack.blocks[1:, :, :2], torch.stack(stages), rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(end[:, 2:], t + h, rtol=1e-14, atol=1e-14)


@all_solvers
def test_a_row_with_step_size_zero_stands_still(solver):
    field, z0 = Driven(), Driven().initial()
    t, h = torch.zeros(2, 1, dtype=torch.float64), torch.tensor([[0.0], [0.1]], dtype=torch.float64)
    z, _ = differentiable_step(field, TABLEAUS[solver], t, z0, h)
    assert torch.equal(z[0], z0[0])
    assert not torch.equal(z[1], z0[1])


@all_solvers
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coefficients_are_tensors_of_the_dtype_asked_for(solver, dtype):
    weights = coefficients(TABLEAUS[solver], dtype, torch.device("cpu"))
    assert {x.dtype for x in (*weights.stages, weights.end, weights.dense)} == {dtype}
    assert (weights.error is None) == (not TABLEAUS[solver].adaptive)

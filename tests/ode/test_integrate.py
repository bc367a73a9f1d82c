import re

import pytest
import torch
from torch import nn

from sknode.exceptions import SolverError
from sknode.modules import MLPField
from sknode.ode import TABLEAUS, odeint
from sknode.ode.eager.integrate import integrate
from sknode.ode.eager.module import bind
from sknode.ode.eager.workspace import Workspace
from sknode.ode.settings import Method
from tests.problems import ADAPTIVE, Blowup, Counted, Driven, Logistic, Oscillator, times

all_solvers = pytest.mark.parametrize("solver", TABLEAUS)
FIXED = [name for name, tableau in TABLEAUS.items() if not tableau.adaptive]
adaptive_solvers = pytest.mark.parametrize("solver", ADAPTIVE)
UNIT = times(0.0, 1.0)


class Stiffness(nn.Module):
    """z' = s·(cos t − z), s' = 0: each row brings its own stiffness."""

    def forward(self, t, z):
        z, s = z.split(1, dim=1)
        return torch.cat((s * (torch.cos(t) - z), torch.zeros_like(s)), 1)


def neighbourhood(n_rows=50):
    """Return rows whose stiffness runs from nothing to wild."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(n_rows, 1, generator=generator, dtype=torch.float64)
    return torch.cat((z, torch.logspace(-3, 3, n_rows, dtype=torch.float64).unsqueeze(1)), 1)


def mlp():
    """Return a field with weights large enough for rows to differ."""
    torch.manual_seed(1)
    field = MLPField(2, (8,)).double()
    torch.nn.utils.vector_to_parameters(
        4 * torch.nn.utils.parameters_to_vector(field.parameters()), field.parameters()
    )
    return field


@pytest.fixture
def logistic():
    return Counted(Logistic()), Logistic().initial()


@adaptive_solvers
@pytest.mark.parametrize("field", [Stiffness(), mlp()], ids=["stiffness", "mlp"])
def test_a_row_alone_is_solved_as_in_any_batch(field, solver):
    z0, t = neighbourhood(), times(0.0, 0.3, 1.0)
    batch = odeint(field, z0, t, solver=solver, max_steps=3000)
    assert batch.stats.accepted.unique().numel() > 1
    for i in (0, 17, 30):
        alone = odeint(field, z0[i : i + 1], t, solver=solver, max_steps=3000)
        torch.testing.assert_close(alone.z[:, 0], batch.z[:, i], rtol=1e-12, atol=1e-12)
        assert alone.stats.accepted == batch.stats.accepted[i]
        assert alone.stats.rejected == batch.stats.rejected[i]
        assert alone.stats.nfe == batch.stats.nfe[i] == alone.stats.nfe_forward


@adaptive_solvers
def test_permuting_the_rows_permutes_the_solution(solver):
    z0, t = neighbourhood(), times(0.0, 0.3, 1.0)
    order = torch.randperm(len(z0), generator=torch.Generator().manual_seed(1))
    z, stats, _ = odeint(Stiffness(), z0, t, solver=solver, max_steps=3000)
    permuted = odeint(Stiffness(), z0[order], t, solver=solver, max_steps=3000)
    torch.testing.assert_close(permuted.z, z[:, order], rtol=1e-12, atol=1e-12)
    assert torch.equal(permuted.stats.accepted, stats.accepted[order])
    assert torch.equal(permuted.stats.rejected, stats.rejected[order])


@adaptive_solvers
def test_a_row_alone_is_solved_as_in_a_batch_in_single_precision(solver):
    z0, t = neighbourhood().float(), times(0.0, 1.0)
    batch = odeint(Stiffness(), z0, t, solver=solver, max_steps=3000)
    for i in (0, 17, 30):
        alone = odeint(Stiffness(), z0[i : i + 1], t, solver=solver)
        torch.testing.assert_close(alone.z[:, 0], batch.z[:, i], rtol=1e-5, atol=1e-5)


def test_no_neighbours_change_a_row():
    hypothesis = pytest.importorskip("hypothesis")
    st = hypothesis.strategies
    row = st.tuples(st.floats(-3.0, 3.0), st.floats(-3.0, 3.0))
    others = st.lists(row, min_size=1, max_size=8)
    settings = hypothesis.settings(max_examples=40, deadline=None, derandomize=True, database=None)
    settings(hypothesis.given(row, others, st.integers(0, 8))(assert_alone_as_among))()


def assert_alone_as_among(row, others, place):
    place = min(place, len(others))
    # A hundredfold neighbour takes far more steps.
    batch = [*others[:place], row, *others[place:], (100.0, -100.0)]
    z0 = torch.tensor(batch, dtype=torch.float64)
    together = odeint(mlp(), z0, UNIT)
    alone = odeint(mlp(), z0[place : place + 1], UNIT)
    torch.testing.assert_close(together.z[:, place], alone.z[:, 0], rtol=1e-12, atol=1e-12)
    assert together.stats.accepted[place] == alone.stats.accepted
    assert together.stats.rejected[place] == alone.stats.rejected


@pytest.mark.parametrize(
    ("solver", "n_steps"), [*((name, 5) for name in TABLEAUS), *((name, None) for name in ADAPTIVE)]
)
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_times_in_between_change_neither_the_last_state_nor_the_steps(solver, n_steps, direction):
    field, z0 = mlp(), neighbourhood()[:5]
    plain = odeint(field, z0, direction * times(0.0, 1.0), solver=solver, n_steps=n_steps)
    t = direction * torch.linspace(0.0, 1.0, 23, dtype=torch.float64)
    detailed = odeint(field, z0, t, solver=solver, n_steps=n_steps)
    assert torch.equal(detailed.z[-1], plain.z[-1])
    assert torch.equal(detailed.z[0], z0)
    assert torch.equal(detailed.stats.accepted, plain.stats.accepted)
    assert torch.equal(detailed.stats.rejected, plain.stats.rejected)
    assert detailed.stats.nfe_forward == plain.stats.nfe_forward


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_steps", [None, 4])
def test_a_time_next_to_the_first_or_last_has_its_state(dtype, n_steps):
    # The time left, 1 - 1e-12, is 1 in single precision; so is the second last time.
    t = times(0.0, 1e-12, 1.0 - 1e-12, 1.0)
    z0 = neighbourhood()[:4].to(dtype)
    z = odeint(Stiffness(), z0, t, n_steps=n_steps).z
    torch.testing.assert_close(z[1], z[0], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(z[2], z[3], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "t", [times(0.0, 0.5, 1.0), times(3.0, 2.0, -1.0), torch.linspace(0, 1, 50)]
)
@pytest.mark.parametrize("solver", FIXED)
def test_without_n_steps_a_fixed_method_takes_one_step_to_each_time(solver, t):
    field, z0 = Driven(), Driven().initial()
    z, stats, _ = odeint(field, z0, t, solver=solver)
    assert stats.accepted.tolist() == [len(t) - 1] * 2
    for i in range(1, len(t)):
        one = odeint(field, z[i - 1], t[i - 1 : i + 1].double(), solver=solver, n_steps=1).z[-1]
        torch.testing.assert_close(z[i], one, rtol=1e-12, atol=1e-12)


@all_solvers
@pytest.mark.parametrize("n_steps", [None, 7])
@pytest.mark.parametrize("first_step", [None, 0.1])
def test_evaluations_are_counted_as_the_field_sees_them(logistic, solver, n_steps, first_step):
    field, z0 = logistic
    stats = odeint(field, z0, UNIT, solver=solver, n_steps=n_steps, first_step=first_step).stats
    assert stats.nfe_forward == field.calls
    assert stats.nfe_backward == 0


@all_solvers
def test_each_row_has_taken_part_in_the_evaluations_of_its_own_steps(solver):
    tableau = TABLEAUS[solver]
    stats = odeint(Stiffness(), neighbourhood(), UNIT, solver=solver, max_steps=3000).stats
    new_stages = tableau.n_stages - tableau.fsal
    # Adaptive methods evaluate twice before the first step: its first stage, which FSAL methods
    # are not given by a step before, and a trial that helps to choose its size.
    outside = 2 if tableau.adaptive else 0
    assert torch.equal(stats.nfe, new_stages * (stats.accepted + stats.rejected) + outside)
    assert int(stats.nfe.max()) == stats.nfe_forward


@adaptive_solvers
def test_rejected_steps_are_counted_row_by_row(solver):
    z0 = torch.tensor([[1.0, 0.001], [1.0, 100.0]], dtype=torch.float64)
    stats = odeint(Stiffness(), z0, UNIT, solver=solver, first_step=1.0).stats
    # The slow row gets there in one step, the stiff one has to try again.
    assert stats.accepted[0] == 1
    assert stats.rejected[0] == 0
    assert stats.rejected[1] >= 2
    assert stats.accepted[1] > 1


@adaptive_solvers
def test_counts_agree_with_the_steps_recorded(solver):
    z0, field = neighbourhood(), Stiffness()
    method = Method(TABLEAUS[solver], 1e-3, 1e-3, None, 3000)
    with torch.no_grad():
        workspace = Workspace(bind(field, z0), method.tableau)
        workspace.system.load(tuple(field.parameters()))
        trajectory = integrate(workspace, z0, [0.0, 1.0], method, record=True)
    moved = torch.stack([step.h.view(-1) != 0 for step, *_ in trajectory.record])
    tried = torch.stack([step.before != 0 for step, *_ in trajectory.record])
    assert torch.equal(trajectory.stats.accepted, moved.sum(0))
    assert torch.equal(trajectory.stats.rejected, (tried & ~moved).sum(0))
    steps = torch.stack([step.h.view(-1) for step, *_ in trajectory.record])
    torch.testing.assert_close(steps.sum(0), torch.ones_like(z0[:, 0]), rtol=1e-14, atol=1e-14)


def test_counts_do_not_depend_on_when_they_are_asked_for():
    # They are put off in blocks of 64 steps; here are several blocks and a remainder.
    t = torch.linspace(0, 1, 131, dtype=torch.float64)
    stats = odeint(Driven(), Driven().initial(), t, solver="euler").stats
    assert stats.accepted.tolist() == stats.accepted.tolist() == [130, 130]
    assert stats.rejected.tolist() == [0, 0]


@adaptive_solvers
def test_the_proposed_first_step_would_have_suited_every_row(solver):
    z0 = neighbourhood()[:30]
    alone = [odeint(Stiffness(), z0[i : i + 1], UNIT, solver=solver).stats for i in range(30)]
    together = odeint(Stiffness(), z0, UNIT, solver=solver).stats
    assert together.first_step == min(stats.first_step for stats in alone)


def test_a_fixed_grid_proposes_no_first_step():
    assert odeint(Driven(), Driven().initial(), UNIT, n_steps=3).stats.first_step is None


@adaptive_solvers
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_a_first_step_given_is_the_first_one_tried(solver, direction):
    tried = []

    class Watched(nn.Module):
        def forward(self, t, z):
            tried.append(t[0, 0].item())
            return -z

    z0 = torch.ones(3, 1, dtype=torch.float64)
    odeint(Watched(), z0, direction * UNIT, solver=solver, first_step=0.01)
    c = TABLEAUS[solver].c
    assert tried[: len(c)] == pytest.approx([direction * 0.01 * part for part in c], rel=1e-14)


def reached(error):
    return float(re.search(r"t=([-+.e\d]+)", str(error.value)).group(1))


@adaptive_solvers
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_too_many_steps_are_an_error_that_says_where_and_what_to_turn(solver, direction):
    z0 = torch.tensor([[1.0, 1e-3], [1.0, 1e3], [2.0, 1e3]], dtype=torch.float64)
    z0[:, 1] *= direction
    message = (
        r"stopped at t=\S+ after 20 steps in 2 of 3 rows; loosen `tolerance` or raise `max_steps`"
    )
    with pytest.raises(SolverError, match=message) as error:
        odeint(Stiffness(), z0, direction * UNIT, solver=solver, max_steps=20)
    assert 0 < reached(error) * direction < 1


@adaptive_solvers
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_a_blow_up_is_an_error_that_names_its_time(solver, direction):
    # z0/(1 - z0·t) is infinite at t = 1/z0 in the middle row only.
    z0 = direction * torch.tensor([[0.1], [0.8], [-1.0]], dtype=torch.float64)
    message = (
        r"the step size fell below the smallest representable at t=\S+ after \d+ steps "
        r"in 1 of 3 rows; loosen `tolerance`, or check that the field is finite and smooth there"
    )
    with pytest.raises(SolverError, match=message) as error:
        odeint(Blowup(), z0, direction * times(0.0, 2.0), solver=solver)
    # The computed solution blows up where the exact one does, up to the tolerance of 1e-3.
    assert reached(error) == pytest.approx(direction / 0.8, rel=1e-2)


@adaptive_solvers
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("first_step", [None, 0.1])
def test_an_initial_state_that_is_not_finite_is_an_error(solver, bad, first_step):
    z0 = torch.tensor([[1.0, 0.0], [bad, 0.0], [0.0, bad]], dtype=torch.float64)
    with pytest.raises(SolverError, match=r"at t=0 after \d+ steps in 2 of 3 rows"):
        odeint(Oscillator(), z0, UNIT, solver=solver, first_step=first_step)


@all_solvers
def test_an_initial_state_that_is_not_finite_is_an_error_on_a_fixed_grid(solver):
    z0 = torch.tensor([[1.0, 0.0], [float("nan"), 0.0]], dtype=torch.float64)
    message = r"last finite at t=0 after 0 of 4 steps, and 1 of 2 rows overflowed; raise `n_steps`"
    with pytest.raises(SolverError, match=message):
        odeint(Oscillator(), z0, UNIT, solver=solver, n_steps=4)


@all_solvers
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_an_overflow_on_a_fixed_grid_is_an_error_that_says_where(solver, direction):
    # After the pole the numerical solution squares itself to infinity within a few steps of 0.1.
    z0 = direction * torch.tensor([[0.1], [2.0], [3.0]], dtype=torch.float64)
    message = (
        r"last finite at t=\S+ after \d+ of 50 steps, and 2 of 3 rows overflowed; raise `n_steps`, "
        r"or choose an adaptive `solver`"
    )
    with pytest.raises(SolverError, match=message) as error:
        odeint(Blowup(), z0, direction * times(0.0, 5.0), solver=solver, n_steps=50)
    steps = int(re.search(r"after (\d+)", str(error.value)).group(1))
    assert reached(error) == pytest.approx(direction * steps / 10)
    # The pole of the row of 3.0.
    assert abs(reached(error)) > 1 / 3


@adaptive_solvers
def test_a_state_that_overflows_without_the_field_doing_so_is_an_error(solver):
    class Constant(nn.Module):
        def forward(self, t, z):
            return torch.full_like(z, 1e308)

    with pytest.raises(SolverError, match=r"1 of 1 rows"):
        odeint(Constant(), torch.zeros(1, 1, dtype=torch.float64), times(0.0, 3.0), solver=solver)


@adaptive_solvers
def test_a_field_that_is_nan_from_some_time_on_is_an_error(solver):
    class Broken(nn.Module):
        def forward(self, t, z):
            return torch.where(t > 0.5, float("nan"), -z)

    with pytest.raises(SolverError, match=r"at t=0\.5 after \d+ steps in 2 of 2 rows"):
        odeint(Broken(), torch.ones(2, 1, dtype=torch.float64), UNIT, solver=solver)

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from sknode.exceptions import SolverError
from sknode.modules import MLPField, ODEBlock
from sknode.ode import odeint
from tests.problems import Blowup, Counted, Driven, Exponential, times

all_adjoints = pytest.mark.parametrize("adjoint", ["discrete", "continuous", None])
kinds = pytest.mark.parametrize("wrap", [lambda x: x, Counted], ids=["closed form", "module"])


def rows(n_rows=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n_rows, 2, generator=generator, dtype=torch.float64)


def block(wrap=lambda x: x, **settings):
    torch.manual_seed(0)
    return ODEBlock(wrap(MLPField(2, (8,)).double()), **settings)


def solved_afresh(field, z0):
    """Return the end and the gradients of a solve by an object that has no history."""
    fresh = copy.deepcopy(field)
    z0 = z0.detach().clone().requires_grad_()
    z = odeint(fresh, z0, times(0.0, 1.0)).z[-1]
    wanted = [z0, *(p for p in fresh.parameters() if p.requires_grad)]
    return [z.detach(), *torch.autograd.grad(z.square().sum(), wanted)]


def solved(module, z0):
    z0 = z0.detach().clone().requires_grad_()
    z = module(z0)
    wanted = [z0, *(p for p in module.parameters() if p.requires_grad)]
    return [z.detach(), *torch.autograd.grad(z.square().sum(), wanted)]


def assert_equal(found, expected):
    assert len(found) == len(expected)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


def test_a_block_goes_to_the_end_of_the_solve():
    module = block(t1=-1.5, solver="tsit5", tolerance=(1e-5, 1e-7)).eval()
    z0 = rows()
    settings = {"solver": "tsit5", "tolerance": (1e-5, 1e-7)}
    assert torch.equal(module(z0), odeint(module.field, z0, times(0.0, -1.5), **settings).z[-1])


@pytest.mark.parametrize("t1", [0.1, 1 / 3, -0.7])
def test_a_block_ends_at_t1_in_double_precision(t1):
    module = ODEBlock(Driven(), t1, tolerance=1e-12).eval()
    z0 = Driven().initial()
    exact = Driven().exact(z0, times(0.0, t1))[-1]
    torch.testing.assert_close(module(z0), exact, rtol=1e-11, atol=1e-11)


@all_adjoints
def test_the_settings_of_a_block_are_those_of_the_solve(adjoint):
    settings = {"n_steps": 3, "solver": "rk4", "adjoint": adjoint}
    module, z0 = block(**settings), rows().requires_grad_()
    found = torch.autograd.grad(module(z0).sum(), [z0, *module.parameters()])
    z = odeint(module.field, z0, times(0.0, 1.0), **settings).z[-1]
    expected = torch.autograd.grad(z.sum(), [z0, *module.parameters()])
    assert_equal(list(found), list(expected))


def test_a_trajectory_has_the_states_at_all_times():
    module, t = block().eval(), times(0.0, 0.2, 1.0)
    z0 = rows()
    z = module.trajectory(z0, t.tolist())
    assert z.shape == (3, 4, 2)
    assert torch.equal(z[0], z0)
    assert torch.equal(z[-1], module(z0))
    assert torch.equal(z, odeint(module.field, z0, t).z)
    assert torch.equal(module.trajectory(z0, [0.2, 1.0]), z[1:])
    assert torch.equal(module.trajectory(z0, [0.0]), z[:1])


@pytest.mark.parametrize("n_steps", [None, 1, 3, 10])
@pytest.mark.parametrize("t1", [1.0, 2.0, 0.7])
def test_a_trajectory_takes_the_steps_of_the_block_whatever_is_asked_for(n_steps, t1):
    module, z0 = block(solver="rk4", n_steps=n_steps, t1=t1).eval(), rows()
    part = [0.1 * t1, 0.3 * t1, 0.5 * t1]
    z = module.trajectory(z0, [*part, t1])
    torch.testing.assert_close(z[-1], module(z0), rtol=1e-12, atol=1e-12)
    for i in (1, 2, 3):
        found = module.trajectory(z0, part[:i])
        torch.testing.assert_close(found, z[:i], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("adjoint", ["discrete", "continuous"])
def test_the_gradient_of_a_trajectory_takes_its_steps_too(adjoint):
    module = block(solver="rk4", n_steps=4, adjoint=adjoint)
    z = module.trajectory(rows(), [8.0])[0]
    settings = {"solver": "rk4", "n_steps": 32, "adjoint": adjoint}
    expected = odeint(module.field, rows(), times(0.0, 8.0), **settings).z[-1]
    found, wanted = (
        torch.autograd.grad(end.square().sum(), list(module.parameters())) for end in (z, expected)
    )
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_a_trajectory_may_end_next_to_where_it_began():
    module, z0 = block(solver="rk4", n_steps=2).eval(), rows()
    found = module.trajectory(z0, [1e-12])
    torch.testing.assert_close(found[0], z0, rtol=1e-10, atol=1e-10)


def test_a_trajectory_goes_on_beyond_the_end_with_steps_of_the_same_size():
    torch.manual_seed(0)
    field = MLPField(2, (8,), time_dependent=False).double()
    module, z0 = ODEBlock(field, solver="rk4", n_steps=2).eval(), rows()
    again = [z0]
    for _ in range(3):
        again.append(module(again[-1]))
    found = module.trajectory(z0, [0.0, 1.0, 2.0, 3.0])
    torch.testing.assert_close(found, torch.stack(again), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_a_trajectory_does_not_depend_on_history(training):
    module, t = block().train(training), times(0.0, 0.2, 1.0)
    before = module.trajectory(rows(), t.tolist())
    module(rows(seed=1))
    assert torch.equal(module.trajectory(rows(), t.tolist()), before)


def test_training_starts_with_the_step_that_suited_the_last_batch():
    module, z0, unit = block(), rows(), times(0.0, 1.0)
    first, first_stats = module(z0), module.stats
    assert torch.equal(first, odeint(module.field, z0, unit).z[-1])
    second = module(z0)
    expected = odeint(module.field, z0, unit, first_step=first_stats.first_step)
    assert torch.equal(second, expected.z[-1])
    # One evaluation less: nothing is tried out to find a first step.
    assert module.stats.nfe_forward == expected.stats.nfe_forward
    assert not torch.equal(first, second)


def test_evaluation_does_not_depend_on_history():
    module, z0 = block().eval(), rows()
    expected = module(z0)
    for other in (100 * rows(7), rows(1, seed=2)):
        module(other)
        module.train()(other)
        assert torch.equal(module.eval()(z0), expected)


def test_evaluation_leaves_the_step_of_the_training_alone():
    warm, plain, z0 = block(), block(), rows()
    warm(z0), plain(z0)
    warm.eval()(1000 * z0)
    assert torch.equal(warm.train()(z0), plain(z0))


def test_a_block_that_forgets_is_as_new():
    module, z0 = block(), rows()
    expected = module(z0)
    module(z0)
    module.forget()
    assert torch.equal(module(z0), expected)


@pytest.mark.parametrize("adjoint", ["discrete", "continuous"])
def test_stats_count_the_last_pass_forward_and_backward(adjoint):
    module = block(adjoint=adjoint)
    assert module.stats is None
    z = module(rows())
    assert module.stats.nfe_forward > 0
    assert module.stats.nfe_backward == 0
    z.sum().backward()
    assert module.stats.nfe_backward > 0
    module(rows())
    assert module.stats.nfe_backward == 0
    assert module.stats.accepted.shape == (4,)


def test_stats_count_the_calls_of_the_field():
    module = block(Counted).eval()
    z = module(rows())
    assert module.stats.nfe_forward == module.field.calls
    z.sum().backward()
    assert module.stats.nfe_forward + module.stats.nfe_backward == module.field.calls


@all_adjoints
def test_nothing_global_is_touched(adjoint):
    module = block(adjoint=adjoint)
    rng, dtype = torch.get_rng_state(), torch.get_default_dtype()
    module(rows()).sum().backward()
    assert torch.equal(torch.get_rng_state(), rng)
    assert torch.get_default_dtype() == dtype


def test_a_block_does_not_depend_on_the_default_dtype():
    module, z0 = block(t1=0.1).eval(), rows()
    expected = module(z0)
    torch.set_default_dtype(torch.float16)
    try:
        assert torch.equal(module(z0), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_state_of_a_block_is_its_field_alone():
    module = block()
    expected = {f"field.{name}" for name in module.field.state_dict()}
    module(rows())
    assert set(module.state_dict()) == expected


def through_torch_save(module):
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


COPIES = [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), through_torch_save]


@all_adjoints
@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("backward", [False, True])
def test_a_copy_after_training_goes_on_as_the_original(copied, adjoint, backward):
    module, z0 = block(adjoint=adjoint), rows()
    z = module(z0)
    if backward:
        z.sum().backward()
    twin = copied(module)
    assert torch.equal(twin.stats.accepted, module.stats.accepted)
    assert torch.equal(twin(z0), module(z0))
    with torch.no_grad():
        twin.field.layers[0].weight.zero_()
    assert not torch.equal(twin(z0), module(z0))


@kinds
def test_solves_in_flight_do_not_share_their_memory(wrap):
    module = block(wrap).eval()
    first, second = rows().requires_grad_(), rows(seed=1).requires_grad_()
    z_first, z_second = module(first), module(second)
    g_second = torch.autograd.grad(z_second.square().sum(), [second, *module.parameters()])
    g_first = torch.autograd.grad(z_first.square().sum(), [first, *module.parameters()])
    assert_equal([z_first.detach(), *g_first], solved_afresh(module.field, first))
    assert_equal([z_second.detach(), *g_second], solved_afresh(module.field, second))


@kinds
def test_results_kept_are_not_overwritten_by_later_solves(wrap):
    module = block(wrap).eval()
    kept = solved(module, rows())
    copies = [x.clone() for x in kept]
    stats, accepted = module.stats, module.stats.accepted.clone()
    for seed in range(1, 4):
        solved(module, 10 * rows(seed=seed))
    assert all(torch.equal(a, b) for a, b in zip(kept, copies, strict=True))
    assert torch.equal(stats.accepted, accepted)


@kinds
def test_a_batch_of_another_size_is_solved_afresh(wrap):
    module = block(wrap).eval()
    for n_rows in (4, 7, 4, 1, 7, 4):
        z0 = rows(n_rows, seed=n_rows)
        assert_equal(solved(module, z0), solved_afresh(module.field, z0))


@kinds
def test_a_failure_leaves_no_trace(wrap):
    module, z0 = block(wrap, max_steps=50).eval(), rows()
    expected = solved_afresh(module.field, z0)
    with pytest.raises(SolverError):
        module(torch.full_like(z0, float("nan")))
    assert_equal(solved(module, z0), expected)


def by_optimizer(field):
    optimizer = torch.optim.SGD(field.parameters(), lr=0.1)
    for parameter in field.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    optimizer.zero_grad()


def by_data(field):
    for parameter in field.parameters():
        parameter.data = parameter.data + 0.1


def by_vector(field):
    vector = nn.utils.parameters_to_vector(field.parameters()).detach()
    nn.utils.vector_to_parameters(vector + 0.1, field.parameters())


def by_replacement(field):
    for layer in field.modules():
        if isinstance(layer, nn.Linear):
            layer.weight = nn.Parameter(layer.weight.detach() + 0.1)


def by_loading(field):
    field.load_state_dict({k: v + 0.1 for k, v in field.state_dict().items()})


def by_assignment(field):
    field.load_state_dict({k: v + 0.1 for k, v in field.state_dict().items()}, assign=True)


def by_dtype_and_back(field):
    by_loading(field.float())
    field.double()


def by_freezing(field):
    next(field.parameters()).requires_grad_(False)


def by_unfreezing(field):
    field.requires_grad_(True)


CHANGES = (
    by_optimizer,
    by_data,
    by_vector,
    by_replacement,
    by_loading,
    by_assignment,
    by_dtype_and_back,
    by_freezing,
    by_unfreezing,
)


@kinds
@pytest.mark.parametrize("change", CHANGES)
def test_changed_parameters_are_those_solved_with(wrap, change):
    module, z0 = block(wrap).eval(), rows()
    if change is by_unfreezing:
        by_freezing(module.field)
    # Twice and more: something kept from the first time would show.
    for _ in range(3):
        assert_equal(solved(module, z0), solved_afresh(module.field, z0))
        change(module.field)
    assert_equal(solved(module, z0), solved_afresh(module.field, z0))


def test_a_block_may_change_its_precision_between_batches():
    module = block()
    module(rows())
    assert module.float()(rows().float()).dtype == torch.float32
    assert module.double()(rows()).dtype == torch.float64


def test_gradients_reach_what_lies_before_and_behind_a_block():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), ODEBlock(MLPField(2, (8,))), nn.Linear(2, 1)).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    model(x).square().sum().backward()
    found = [p.grad.clone() for p in model.parameters()]
    z = odeint(model[1].field, model[0](x), times(0.0, 1.0), adjoint=None).z[-1]
    expected = torch.autograd.grad(model[2](z).square().sum(), list(model.parameters()))
    assert_equal(found, list(expected))


def test_training_a_block_lowers_the_loss():
    torch.manual_seed(0)
    module = block()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    z0 = rows(32)
    # A quarter turn.
    target = torch.stack((-z0[:, 1], z0[:, 0]), 1)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (module(z0) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10


@all_adjoints
def test_a_block_has_the_kinetic_energy_of_its_last_pass(adjoint):
    module, z0, t = block(adjoint=adjoint, kinetic_energy=True).eval(), rows(), times(0.0, 1.0)
    assert module.kinetic_energy is None
    z = module(z0)
    expected = odeint(module.field, z0, t, adjoint=adjoint, kinetic_energy=True).kinetic_energy
    assert torch.equal(module.kinetic_energy, expected)
    assert torch.equal(z, block(adjoint=adjoint).eval()(z0))
    module.kinetic_energy.sum().backward()
    assert all(p.grad.abs().max() > 0 for p in module.parameters())
    module.forget()
    assert module.kinetic_energy is None


@all_adjoints
@pytest.mark.parametrize("copied", [copy.copy, *COPIES])
def test_a_copy_leaves_the_kinetic_energy_behind(copied, adjoint):
    module, z0 = block(adjoint=adjoint, kinetic_energy=True), rows()
    module(z0)
    energy = module.kinetic_energy
    twin = copied(module)
    assert module.kinetic_energy is energy
    assert twin.kinetic_energy is None
    assert torch.equal(twin(z0), module(z0))
    assert torch.equal(twin.kinetic_energy, module.kinetic_energy)


@kinds
def test_the_buffers_of_a_pass_with_kinetic_energy_serve_the_next(wrap):
    module = block(wrap, kinetic_energy=True)
    for _ in range(3):
        (module(rows()).sum() + module.kinetic_energy.sum()).backward()
    # The only ones are in use, by the graph of the energy, and come back with its end.
    assert not module._pool._idle
    module.kinetic_energy = None
    assert len(module._pool._idle) == 1


@all_adjoints
def test_a_penalty_on_the_kinetic_energy_lowers_it(adjoint):
    z0 = rows(32)
    # A quarter turn.
    target = torch.stack((-z0[:, 1], z0[:, 0]), 1)

    def trained(penalty):
        module = block(adjoint=adjoint, kinetic_energy=True)
        optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
        for _ in range(60):
            optimizer.zero_grad()
            loss = (module(z0) - target).square().mean()
            (loss + penalty * module.kinetic_energy.mean()).backward()
            optimizer.step()
        return loss.item(), module.kinetic_energy.mean().item()

    (free, energy), (held, held_energy) = trained(0.0), trained(0.02)
    assert held_energy < 0.95 * energy
    assert max(free, held) < 0.05


def test_failures_of_the_solve_are_those_of_the_block():
    with pytest.raises(SolverError, match=r"after \d+ steps in 1 of 2 rows; loosen `tolerance`"):
        ODEBlock(Blowup(), 2.0)(torch.tensor([[1.0], [-1.0]]))


@pytest.mark.parametrize("t1", [0.0, float("nan"), float("inf"), -float("inf")])
def test_t1_must_be_finite_and_not_zero(t1):
    with pytest.raises(ValueError, match="t1 must be finite and not zero, got "):
        ODEBlock(MLPField(2), t1)


WRONG = {
    "solver": ({"solver": "rk5"}, r"solver='rk5' is not known; choose from \['euler'"),
    "adjoint": ({"adjoint": "x"}, r"adjoint='x' is not known; choose from \['discrete'"),
    "tolerance": ({"tolerance": 0.0}, "tolerance must be a positive number"),
    "adjoint_tolerance": ({"adjoint_tolerance": -1.0}, "adjoint_tolerance must be a positive"),
    "n_steps": (
        {"n_steps": 0},
        "n_steps must be a positive integer, .*, got 0",
    ),
    "max_steps": ({"max_steps": 1.5}, "max_steps must be a positive integer, .*, got 1.5"),
}


@pytest.mark.parametrize(("settings", "message"), WRONG.values(), ids=WRONG)
def test_wrong_settings_are_told_when_a_block_is_made(settings, message):
    with pytest.raises(ValueError, match=message):
        ODEBlock(Exponential(), **settings)


STATES = {
    "a vector": (torch.ones(2).double(), r"z0 must have shape \(rows, \*state\)"),
    "no rows": (torch.ones(0, 2).double(), r"one row or more of one .*, got \(0, 2\)"),
    "integers": (torch.ones(3, 2).long(), "z0 must be float32 or float64, got torch.int64"),
}


@pytest.mark.parametrize(("z0", "message"), STATES.values(), ids=STATES)
def test_wrong_states_are_told_before_the_field_is_evaluated(z0, message):
    module = ODEBlock(Counted(Blowup()))
    with pytest.raises(ValueError, match=message):
        module(z0)
    assert module.field.calls == 0


def test_states_of_another_dtype_than_the_field_are_an_error():
    module = ODEBlock(Counted(Exponential()))
    with pytest.raises(ValueError, match="the field and z0 must agree in dtype and device"):
        module(torch.ones(3, 2))
    assert module.field.calls == 0


class SolvesInBetween(torch.nn.Module):
    """Decay, whose every evaluation runs another solve of the same block."""

    def __init__(self):
        super().__init__()
        self.rate = torch.nn.Parameter(torch.ones(()))
        self.solve_another = None

    def forward(self, t, z):
        another, self.solve_another = self.solve_another, None
        if another is not None:
            another()
            self.solve_another = another
        return -self.rate * z


@pytest.mark.parametrize("adjoint", ["discrete", "continuous", None])
@pytest.mark.parametrize("grad", [True, False])
def test_a_solve_that_runs_within_another_does_not_touch_its_buffers(adjoint, grad):
    z0, other = torch.ones(3, 2), torch.full((3, 2), 50.0)
    field = SolvesInBetween()
    block = ODEBlock(field, adjoint=adjoint).eval()
    with torch.set_grad_enabled(grad):
        expected = block(z0)
        field.solve_another = lambda: block(other)
        found = block(z0)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("t1", ["1", None, True, 10**400, [1.0], 1j])
def test_t1_must_be_a_number(t1):
    with pytest.raises(ValueError, match="t1 must be finite and not zero, got "):
        ODEBlock(MLPField(2), t1)


def test_a_block_needs_a_field():
    with pytest.raises(TypeError, match=r"field must be a torch\.nn\.Module .*, got NoneType"):
        ODEBlock(None)


def test_states_must_be_a_tensor():
    with pytest.raises(TypeError, match="z0 must be a tensor, got list"):
        ODEBlock(MLPField(2))([[1.0, 2.0]])


def test_a_span_beyond_single_precision_is_refused():
    with pytest.raises(ValueError, match=r"beyond the range of torch\.float32, the dtype of z0"):
        ODEBlock(MLPField(2), 1e39)(torch.ones(1, 2))


SOLVERS = [{"solver": "rk4", "n_steps": 4}, {"solver": "rk4"}, {"solver": "dopri5"}]


@pytest.mark.parametrize("settings", SOLVERS)
def test_a_trajectory_goes_the_way_of_t1(settings):
    torch.manual_seed(0)
    field, z0 = MLPField(2, (8,)).double(), torch.randn(3, 2, dtype=torch.float64)
    block = ODEBlock(field, -1.0, **settings).eval()
    ways = block.trajectory(z0, [0.0, -0.5, -1.0])
    assert torch.equal(ways[0], z0)
    torch.testing.assert_close(ways[-1], block(z0), rtol=1e-14, atol=1e-14)
    half = odeint(field, z0, times(0.0, -0.5), tolerance=1e-10).z[-1]
    torch.testing.assert_close(ways[1], half, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("settings", SOLVERS)
@pytest.mark.parametrize(
    ("t1", "wrong"),
    [
        (1.0, []),
        (1.0, [-0.1, 0.5]),
        (1.0, [0.0, 0.5, 0.5]),
        (1.0, [0.5, float("nan")]),
        (1.0, [float("nan")]),
        (-1.0, [0.5]),
        (-1.0, [0.0, 0.5]),
        (-1.0, [-1.0, -0.5]),
    ],
)
def test_times_must_go_from_zero_towards_t1(t1, wrong, settings):
    order = "increasing" if t1 > 0 else "decreasing"
    with pytest.raises(ValueError, match=rf"from 0 towards t1={t1:g} and strictly {order}, got \["):
        ODEBlock(MLPField(2), t1, **settings).trajectory(torch.ones(1, 2), wrong)


@pytest.mark.parametrize("late", [1e20, 1e300])
def test_a_grid_beyond_a_million_steps_is_refused(late):
    block = ODEBlock(MLPField(2).double(), solver="rk4", n_steps=4)
    with pytest.raises(ValueError, match=r"not be beyond 250000, which takes 1,000,000 steps"):
        block.trajectory(torch.ones(1, 2).double(), [1.0, late])

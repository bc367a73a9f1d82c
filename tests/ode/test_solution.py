import time
from fractions import Fraction

import pytest
import torch
from torch import nn

from sknode.modules import MLPField
from sknode.ode import TABLEAUS, Solution, odeint
from tests.problems import ADAPTIVE, PROBLEMS, Counted, Driven, Exponential, Oscillator, times

all_solvers = pytest.mark.parametrize("solver", TABLEAUS)
adaptive_solvers = pytest.mark.parametrize("solver", ADAPTIVE)
all_problems = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
all_adjoints = pytest.mark.parametrize("adjoint", ["discrete", "continuous", None])
UNIT = times(0.0, 1.0)


@adaptive_solvers
@all_problems
@pytest.mark.parametrize("tolerance", [1e-4, 1e-7])
def test_closed_form_problems_are_solved_to_tolerance(problem, solver, tolerance):
    field = problem()
    z0, t = field.initial(), torch.linspace(field.times[0], field.times[-1], 9, dtype=torch.float64)
    with torch.no_grad():
        z, *_ = odeint(field, z0, t, solver=solver, tolerance=tolerance, max_steps=3000)
        exact = field.exact(z0, t)
    # Each step errs by the tolerance at most. Over these times the problems take up to some
    # dozens of steps where their errors do not shrink.
    torch.testing.assert_close(z, exact, rtol=30 * tolerance, atol=30 * tolerance)


@pytest.mark.parametrize("solver", ["rk4", *ADAPTIVE])
@all_problems
def test_closed_form_problems_are_solved_on_a_fine_grid(problem, solver):
    field = problem()
    z0, t = field.initial(), torch.tensor(field.times, dtype=torch.float64)
    with torch.no_grad():
        z, *_ = odeint(field, z0, t, solver=solver, n_steps=800)
        # The worst is the third-order method's error on the orbit, (4/800)³ times a constant.
        torch.testing.assert_close(z, field.exact(z0, t), rtol=1e-6, atol=1e-6)


@adaptive_solvers
@pytest.mark.parametrize("problem", [Driven, Oscillator])
def test_there_and_back_is_where_it_started(problem, solver):
    field = problem()
    z0, t = field.initial(), torch.tensor(field.times, dtype=torch.float64)
    with torch.no_grad():
        there, *_ = odeint(field, z0, t, solver=solver, tolerance=1e-7, max_steps=3000)
        back, *_ = odeint(
            field, there[-1], t.flip(0), solver=solver, tolerance=1e-7, max_steps=3000
        )
    torch.testing.assert_close(back.flip(0), there, rtol=1e-5, atol=1e-5)


@all_solvers
def test_decreasing_times_are_the_mirrored_problem(solver):
    class Mirrored(nn.Module):
        def forward(self, t, z):
            return -Driven()(-t, z)

    z0, t = Driven().initial(), times(0.5, 0.2, -1.0)
    with torch.no_grad():
        z = odeint(Driven(), z0, t, solver=solver).z
        mirrored = odeint(Mirrored(), z0, -t, solver=solver).z
    assert torch.equal(z, mirrored)


@all_solvers
@all_adjoints
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_states_come_in_the_dtype_of_the_first_ones(solver, adjoint, dtype):
    seen = set()

    class Watched(nn.Module):
        def forward(self, t, z):
            seen.update({t.dtype, z.dtype})
            return -z

    z0 = torch.ones(2, 3, dtype=dtype, requires_grad=True)
    # Whatever the dtype of the times.
    for t in (UNIT, UNIT.float(), torch.tensor([0, 1])):
        z = odeint(Watched(), z0, t, solver=solver, adjoint=adjoint, n_steps=2).z
        assert z.dtype == torch.autograd.grad(z.sum(), z0)[0].dtype == dtype
    assert seen == {dtype}


@adaptive_solvers
def test_single_precision_reaches_single_precision(solver):
    field = Driven().float()
    z0, t = field.initial().float(), UNIT
    z = odeint(field, z0, t, solver=solver, tolerance=1e-5).z.detach()
    exact = Driven().exact(z0.double(), t).detach()
    torch.testing.assert_close(z.double(), exact, rtol=1e-4, atol=1e-4)


@all_adjoints
@pytest.mark.parametrize("shape", [(3, 2), (1, 1), (2, 3, 4), (2, 2, 3, 3)])
def test_states_may_have_any_shape(shape, adjoint):
    class Watched(nn.Module):
        def forward(self, t, z):
            assert t.shape == (shape[0], *[1] * (len(shape) - 1))
            assert z.shape == shape
            return torch.cos(t) * z

    z0 = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    t = times(0.0, 0.5, 1.0)
    solution = odeint(Watched(), z0, t, adjoint=adjoint, tolerance=1e-9)
    assert isinstance(solution, Solution)
    assert solution.z.shape == (3, *shape)
    assert torch.equal(solution.z[0], z0)
    exact = z0 * torch.exp(torch.sin(t)).view(-1, *[1] * len(shape))
    torch.testing.assert_close(solution.z, exact, rtol=1e-7, atol=1e-7)
    (g,) = torch.autograd.grad(solution.z[-1].sum(), z0)
    torch.testing.assert_close(
        g, torch.full_like(g, torch.exp(torch.sin(times(1.0))).item()), rtol=1e-7, atol=1e-7
    )


@all_adjoints
def test_the_layout_of_the_initial_states_does_not_matter(adjoint):
    field = Exponential()
    z0 = torch.randn(2, 5, dtype=torch.float64)
    assert not z0.T.is_contiguous()
    expected = odeint(field, z0.T.contiguous(), UNIT, adjoint=adjoint).z
    assert torch.equal(odeint(field, z0.T, UNIT, adjoint=adjoint).z, expected)
    z0 = torch.ones(1, 2, dtype=torch.float64)
    expected = odeint(field, z0.repeat(4, 1), UNIT, adjoint=adjoint).z
    assert torch.equal(odeint(field, z0.expand(4, 2), UNIT, adjoint=adjoint).z, expected)


@all_adjoints
def test_operands_are_left_as_they_were(adjoint):
    field, z0, t = MLPField(2, time_dependent=False).double(), torch.ones(3, 2).double(), UNIT
    copies = [x.clone() for x in (z0, t, *field.parameters())]
    z = odeint(field, z0, t, adjoint=adjoint).z
    z.sum().backward()
    assert all(torch.equal(*x) for x in zip((z0, t, *field.parameters()), copies, strict=True))
    with torch.no_grad():
        z.zero_()
    assert torch.equal(z0, copies[0])


@all_adjoints
def test_without_gradients_nothing_remembers_the_solve(adjoint):
    field, z0 = MLPField(2).double(), torch.ones(3, 2, dtype=torch.float64)
    z = odeint(field, z0, UNIT, adjoint=adjoint).z
    with torch.no_grad():
        plain = odeint(field, z0, UNIT, adjoint=adjoint).z
    with torch.inference_mode():
        inferred = odeint(field, z0, UNIT, adjoint=adjoint).z
    assert z.grad_fn is not None
    assert plain.grad_fn is inferred.grad_fn is None
    torch.testing.assert_close(plain, z.detach(), rtol=1e-14, atol=1e-14)
    assert torch.equal(inferred, plain)
    frozen = odeint(field.requires_grad_(False), z0, UNIT, adjoint=adjoint).z
    assert not frozen.requires_grad


@all_adjoints
def test_nothing_global_is_touched(adjoint):
    rng, dtype, threads = torch.get_rng_state(), torch.get_default_dtype(), torch.get_num_threads()
    field = MLPField(2)
    torch.set_rng_state(rng)
    odeint(field, torch.ones(3, 2), UNIT, adjoint=adjoint).z.sum().backward()
    assert torch.equal(torch.get_rng_state(), rng)
    assert torch.get_default_dtype() == dtype
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()


@all_adjoints
def test_results_do_not_depend_on_the_default_dtype(adjoint):
    field, z0 = Driven(), Driven().initial()
    expected = odeint(field, z0, UNIT, adjoint=adjoint).z
    torch.set_default_dtype(torch.float16)
    try:
        assert torch.equal(odeint(field, z0, UNIT, adjoint=adjoint).z, expected)
    finally:
        torch.set_default_dtype(torch.float32)


Z0 = torch.ones(3, 2, dtype=torch.float64)
NOT_KNOWN = r"is not known; choose from \["
COUNT = "must be a positive integer, and no more than 1,000,000, got "
POSITIVE = "must be a positive number or a pair of them, got "
MONOTONE = "t must be finite and strictly increasing or strictly decreasing, got "
WRONG = {
    "z0 is a list": ({"z0": [[1.0]]}, TypeError, "z0 must be a tensor, got list"),
    "t is a list": ({"t": [0.0, 1.0]}, TypeError, "t must be a tensor, got list"),
    "z0 is a vector": (
        {"z0": Z0[0]},
        ValueError,
        r"z0 must have shape \(rows, \*state\), .*\(2,\)",
    ),
    "z0 is empty": ({"z0": Z0[:0]}, ValueError, r"one row or more of one .*, got \(0, 2\)"),
    "z0 is integer": ({"z0": Z0.long()}, ValueError, "float32 or float64, got torch.int64"),
    "z0 is half": ({"z0": Z0.half()}, ValueError, "float32 or float64, got torch.float16"),
    "z0 is single": ({"z0": Z0.float()}, ValueError, "must agree in dtype and device"),
    "one time": ({"t": times(0.0)}, ValueError, r"two or more times, got \(1,\)"),
    "times in a row": ({"t": UNIT[None]}, ValueError, r"one-dimensional .*, got \(1, 2\)"),
    "equal times": ({"t": times(0.0, 1.0, 1.0)}, ValueError, MONOTONE),
    "times to and fro": ({"t": times(0.0, 1.0, 0.5)}, ValueError, MONOTONE),
    "a time is nan": ({"t": times(0.0, float("nan"))}, ValueError, MONOTONE),
    "a time is inf": ({"t": times(0.0, float("inf"))}, ValueError, MONOTONE),
    "t with gradient": ({"t": UNIT.clone().requires_grad_()}, ValueError, "not differentiated"),
    "solver": ({"solver": "rk5"}, ValueError, f"solver='rk5' {NOT_KNOWN}'euler', 'midpoint'"),
    "solver is None": ({"solver": None}, ValueError, f"solver=None {NOT_KNOWN}"),
    "adjoint": ({"adjoint": "exact"}, ValueError, f"adjoint='exact' {NOT_KNOWN}.*None"),
    "adjoint is False": ({"adjoint": False}, ValueError, f"adjoint=False {NOT_KNOWN}"),
    "tolerance 0": ({"tolerance": 0.0}, ValueError, f"tolerance {POSITIVE}0.0"),
    "tolerance < 0": ({"tolerance": -1.0}, ValueError, f"tolerance {POSITIVE}-1.0"),
    "tolerance nan": ({"tolerance": float("nan")}, ValueError, f"tolerance {POSITIVE}nan"),
    "tolerance inf": ({"tolerance": float("inf")}, ValueError, f"tolerance {POSITIVE}inf"),
    "tolerance None": ({"tolerance": None}, ValueError, f"tolerance {POSITIVE}None"),
    "tolerance text": ({"tolerance": "low"}, ValueError, f"tolerance {POSITIVE}'low'"),
    "tolerance triple": ({"tolerance": (1e-3, 1e-3, 1e-3)}, ValueError, f"tolerance {POSITIVE}"),
    "half a pair": ({"tolerance": (1e-3, 0.0)}, ValueError, f"tolerance {POSITIVE}"),
    "adjoint_tolerance": ({"adjoint_tolerance": 0}, ValueError, f"adjoint_tolerance {POSITIVE}0"),
    "n_steps 0": ({"n_steps": 0}, ValueError, f"n_steps {COUNT}0"),
    "n_steps fraction": ({"n_steps": 2.5}, ValueError, f"n_steps {COUNT}2.5"),
    "n_steps True": ({"n_steps": True}, ValueError, f"n_steps {COUNT}True"),
    "max_steps 0": ({"max_steps": 0}, ValueError, f"max_steps {COUNT}0"),
    "max_steps None": ({"max_steps": None}, ValueError, f"max_steps {COUNT}None"),
    "first_step 0": ({"first_step": 0.0}, ValueError, "first_step must be .*positive"),
    "first_step < 0": ({"first_step": -0.1}, ValueError, "first_step must be .*positive"),
    "first_step nan": ({"first_step": float("nan")}, ValueError, "first_step must be .*positive"),
    "first_step tensor": (
        {"first_step": torch.tensor(-0.1)},
        ValueError,
        r"first_step must be .*, got tensor\(-0.1",
    ),
    "first_step tensors": ({"first_step": torch.ones(3)}, ValueError, "first_step must be .*"),
    "first_step huge": ({"first_step": 10**400}, ValueError, "first_step must be .*positive"),
    "tolerance huge": ({"tolerance": 10**400}, ValueError, f"tolerance {POSITIVE}1000"),
    "tolerance tiny": ({"tolerance": Fraction(1, 10**400)}, ValueError, f"tolerance {POSITIVE}"),
    "half a pair huge": ({"tolerance": (1e-3, 10**400)}, ValueError, f"tolerance {POSITIVE}"),
    "tolerance True": ({"tolerance": True}, ValueError, f"tolerance {POSITIVE}True"),
    "n_steps huge": ({"n_steps": 10**9}, ValueError, f"n_steps {COUNT}1000000000"),
    "max_steps huge": ({"max_steps": 2**31}, ValueError, f"max_steps {COUNT}2147483648"),
    "kinetic_energy": ({"kinetic_energy": "x"}, ValueError, "must be a boolean, got 'x'"),
    "kinetic_energy 1": ({"kinetic_energy": 1}, ValueError, "must be a boolean, got 1"),
    "engine is a list": ({"engine": ["auto"]}, ValueError, f"engine=.* {NOT_KNOWN}"),
    "z0 is complex": ({"z0": Z0.cfloat()}, ValueError, "float32 or float64, got torch.complex64"),
    "z0 is sparse": ({"z0": Z0.to_sparse()}, ValueError, "z0 must be a dense tensor that holds"),
    "z0 is meta": ({"z0": Z0.to("meta")}, ValueError, "z0 must be .* that holds .* on meta"),
    "z0 without numbers": ({"z0": Z0[:, :0]}, ValueError, r"one number or more, got \(3, 0\)"),
    "t is complex": ({"t": UNIT.cfloat()}, ValueError, "t must hold real numbers, got torch.comp"),
    "t is boolean": ({"t": UNIT.bool()}, ValueError, "t must hold real numbers, got torch.bool"),
    "t is sparse": ({"t": UNIT.to_sparse()}, ValueError, "t must be a dense tensor that holds"),
    "t is meta": ({"t": UNIT.to("meta")}, ValueError, "t must be .* that holds .* on meta"),
    "t to and fro in bytes": (
        {"t": torch.tensor([5, 3, 4], dtype=torch.uint8)},
        ValueError,
        MONOTONE,
    ),
    "t too long": ({"t": times(-1e308, 1e308)}, ValueError, "beyond the range of torch.float64"),
    "t nowhere": ({"t": times(1e300, 1e300)}, ValueError, MONOTONE),
}


@pytest.mark.parametrize(("changes", "error", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments_are_told_before_the_field_is_evaluated(changes, error, message):
    field = Counted(Exponential())
    arguments = {"z0": Z0, "t": UNIT} | changes
    z0, t = arguments.pop("z0"), arguments.pop("t")
    with pytest.raises(error, match=message):
        odeint(field, z0, t, **arguments)
    assert field.calls == 0


@pytest.mark.parametrize(
    ("t", "message"),
    [
        (times(0.0, 1e308), r"from 0 to 1e\+308 are beyond the range of torch.float32"),
        (times(-3e38, 3e38), r"from -3e\+38 to 3e\+38 are beyond the range of torch.float32"),
        (times(1e9, 1e9 + 1), "from 1000000000 to 1000000001, which are the same in torch.float32"),
    ],
)
def test_times_must_be_ones_that_the_dtype_of_the_states_can_tell(t, message):
    with pytest.raises(ValueError, match=message):
        odeint(MLPField(2), Z0.float(), t)
    if t[-1] < 1e10:
        assert odeint(MLPField(2).double(), Z0, t).z.isfinite().all()


@pytest.mark.parametrize("solver", ["rk4", "dopri5"])
def test_a_late_start_in_single_precision_leaves_no_state_unread(solver):
    class Decay(nn.Module):
        def forward(self, t, z):
            return -z

    # The middle one is the same number as the first.
    t = times(2.0**24, 2.0**24 + 1, 2.0**24 + 2)
    z = odeint(Decay(), torch.ones(2, 1), t, solver=solver, tolerance=1e-5).z
    exact = torch.exp(times(0.0) + t[0] - t).float().view(3, 1, 1).expand(3, 2, 1)
    torch.testing.assert_close(z, exact, rtol=0.05, atol=0)


def returning(value):
    class Field(nn.Module):
        def forward(self, t, z):
            return value(z)

    return Field()


RETURNED = {
    "None": (lambda z: None, TypeError, "the field must return a tensor, got NoneType"),
    "a float": (lambda z: 1.0, TypeError, "the field must return a tensor, got float"),
    "a tuple": (lambda z: (z, z), TypeError, "the field must return a tensor, got tuple"),
    "single": (lambda z: z.float(), ValueError, "kind of the states, .*, got torch.float32 on cpu"),
    "integers": (lambda z: z.long(), ValueError, "kind of the states, .*, got torch.int64 on cpu"),
    "complex": (lambda z: z.cdouble(), ValueError, "kind of the states, .*, got torch.complex128"),
    "meta": (lambda z: z.to("meta"), ValueError, "kind of the states, .*, got torch.float64 on me"),
    "sparse": (lambda z: z.to_sparse(), ValueError, "kind of the states, .*, torch.sparse_coo"),
    "a row": (lambda z: z[0], ValueError, r"one derivative per state, shape \(3, 2\), got \(2,\)"),
}


@all_adjoints
@pytest.mark.parametrize("name", RETURNED)
def test_a_field_must_return_derivatives_of_the_kind_of_the_states(name, adjoint):
    value, error, message = RETURNED[name]
    z0 = Z0.clone().requires_grad_()
    for solver in ("rk4", "dopri5"):
        with pytest.raises(error, match=message):
            odeint(returning(value), z0, UNIT, solver=solver, adjoint=adjoint)


@all_adjoints
@pytest.mark.parametrize("solver", ["rk4", "bosh3"])
def test_many_times_cost_as_many_steps_and_not_their_square(solver, adjoint):
    field, z0 = MLPField(2, (4,)), torch.ones(5, 2)
    t = torch.linspace(0, 1, 12_000 if adjoint != "discrete" else 4_000)
    start = time.process_time()
    with torch.set_grad_enabled(adjoint == "discrete"):
        z = odeint(field, z0, t, solver=solver, adjoint=adjoint).z
        if z.requires_grad:
            z.sum().backward()
    # Where each step looked at all times, the eager engine took half a minute and more.
    assert time.process_time() - start < 15
    exact = odeint(field, z0, UNIT, solver="dopri5", tolerance=1e-6).z[-1]
    torch.testing.assert_close(z[-1], exact, rtol=2e-3, atol=2e-3)


@all_adjoints
@pytest.mark.parametrize("decreasing", [False, True])
@pytest.mark.parametrize("solver", ["rk4", *ADAPTIVE])
def test_many_times_are_read_as_few_are(solver, adjoint, decreasing):
    field, z0 = MLPField(2, (8,)).double(), torch.randn(4, 2, dtype=torch.float64) * 3
    z0.requires_grad_()
    t = torch.linspace(0, 2, 101, dtype=torch.float64)
    t = t.flip(0) if decreasing else t
    some = [0, 13, 50, 100]
    settings = {"solver": solver, "adjoint": adjoint, "n_steps": 7 if solver == "rk4" else None}
    many, few = (odeint(field, z0, times, **settings).z for times in (t, t[some]))
    torch.testing.assert_close(many[some], few, rtol=1e-12, atol=1e-12)
    if adjoint != "continuous":
        inputs = [z0, *field.parameters()]
        pair = [torch.autograd.grad(z.square().sum(), inputs) for z in (many[some], few)]
        torch.testing.assert_close(*pair, rtol=1e-10, atol=1e-10)


def test_a_field_must_be_a_module():
    with pytest.raises(TypeError, match=r"field must be a torch\.nn\.Module .*, got function"):
        odeint(lambda t, z: -z, Z0, UNIT)


def test_settings_are_keywords():
    with pytest.raises(TypeError, match="positional"):
        odeint(Exponential(), Z0, UNIT, "rk4")

"""The native engine against the eager one, and what it promises beyond."""

import copy
import importlib
import os
import signal
import subprocess
import sys
import threading

import pytest
import torch

from sknode.exceptions import SolverError
from sknode.modules import MLPField, ODEBlock
from sknode.modules.activations import ACTIVATIONS
from sknode.ode import TABLEAUS, DenseForm, native, odeint
from tests.problems import ADAPTIVE, times

pytestmark = pytest.mark.skipif(native.ENGINE is None, reason="the native engine was not built")
all_solvers = pytest.mark.parametrize("solver", TABLEAUS)
both_adjoints = pytest.mark.parametrize("adjoint", ["discrete", "continuous"])
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


@pytest.fixture(autouse=True)
def engine():
    """Take the place of the fixture that runs a test on each engine."""


def mlp(activation="tanh", time_dependent=True, sizes=(9, 6), n_dims=5, scale=1.5):
    torch.manual_seed(0)
    field = MLPField(n_dims, sizes, activation, time_dependent).double()
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.mul_(scale)
    return field


def rows(n, n_dims=5, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(n, n_dims, generator=generator, dtype=torch.float64)


def solved(field, z0, t, **settings):
    """Return states, gradients and stats; with a kinetic energy that, too."""
    z0 = z0.detach().clone().requires_grad_()
    z, stats, energy = odeint(field, z0, t, **settings)
    outputs = [z] if energy is None else [z, energy]
    weights = [torch.linspace(0.5, 1.5, x.numel(), dtype=x.dtype).view_as(x) for x in outputs]
    gradients = torch.autograd.grad(outputs, [z0, *field.parameters()], weights)
    return [*(x.detach() for x in outputs), *gradients], stats


def assert_engines_agree(field, z0, t, within=1e-10, **settings):
    found, stats = solved(field, z0, t, engine="native", **settings)
    expected, expected_stats = solved(field, z0, t, engine="eager", **settings)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=within, atol=within * float(b.abs().max()))
    if z0.dtype == torch.float64:
        assert torch.equal(stats.accepted, expected_stats.accepted)
        assert torch.equal(stats.rejected, expected_stats.rejected)
        assert torch.equal(stats.nfe, expected_stats.nfe)
        assert stats.nfe_forward == expected_stats.nfe_forward
        assert stats.nfe_backward == expected_stats.nfe_backward > 0


@both_adjoints
@all_solvers
@pytest.mark.parametrize("t", [(0.0, 1.0), (0.0, 0.3, 0.31, 2.0), (1.5, 0.2, -0.5)])
def test_both_engines_take_the_same_steps_to_the_same_result(solver, adjoint, t):
    assert_engines_agree(mlp(), rows(37), times(*t), solver=solver, adjoint=adjoint)


@both_adjoints
@pytest.mark.parametrize("time_dependent", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_both_engines_know_the_same_activations(activation, time_dependent, adjoint):
    field = mlp(activation, time_dependent)
    assert_engines_agree(field, rows(20), times(0.0, 0.5, 1.0), adjoint=adjoint)


@pytest.mark.parametrize("sizes", [(), (1,), (7,), (33, 18), (2, 9, 2, 4)])
@pytest.mark.parametrize("n_dims", [1, 4, 11])
def test_any_number_of_layers_and_dimensions_will_do(sizes, n_dims):
    field = mlp(sizes=sizes, n_dims=n_dims, scale=1.0)
    assert_engines_agree(field, rows(9, n_dims), times(0.0, 1.0), solver="tsit5")


@both_adjoints
@pytest.mark.parametrize("solver", ["rk4", "dopri5"])
def test_both_engines_walk_the_same_grid(solver, adjoint):
    t = times(0.0, 0.25, 1.0)
    assert_engines_agree(mlp(), rows(20), t, solver=solver, adjoint=adjoint, n_steps=7)


@both_adjoints
@all_solvers
def test_single_precision_agrees_to_its_rounding(solver, adjoint):
    field, z0 = mlp(scale=1.0).float(), rows(40).float()
    t = torch.tensor([0.0, 0.5, 1.0])
    assert_engines_agree(field, z0, t, 1e-5, solver=solver, adjoint=adjoint, n_steps=8)


@both_adjoints
@all_solvers
@pytest.mark.parametrize("t", [(0.0, 1.0), (0.0, 0.3, 0.31, 2.0), (1.5, 0.2, -0.5)])
def test_both_engines_find_the_same_kinetic_energy(solver, adjoint, t):
    settings = {"solver": solver, "adjoint": adjoint, "kinetic_energy": True}
    assert_engines_agree(mlp(), rows(37), times(*t), **settings)
    field, z0, t = mlp(scale=1.0).float(), rows(37).float(), times(*t).float()
    assert_engines_agree(field, z0, t, 1e-5, n_steps=8, **settings)


def test_many_steps_with_rejected_ones_agree():
    field, z0 = mlp(scale=4.0), rows(50)
    settings = {"solver": "bosh3", "tolerance": 1e-4, "first_step": 1.0}
    _, stats = solved(field, z0, times(0.0, 1.0), engine="native", **settings)
    assert stats.rejected.min() > 0
    assert_engines_agree(field, z0, times(0.0, 1.0), 1e-9, **settings)


@both_dtypes
@all_solvers
def test_a_row_is_the_same_bit_for_bit_in_any_batch(solver, dtype):
    field, z0 = mlp(scale=3.0).to(dtype), rows(70).to(dtype)
    t = torch.tensor([0.0, 0.4, 1.0], dtype=dtype)

    def states(z0):
        return odeint(field, z0, t, solver=solver, engine="native").z.detach()

    together = states(z0)
    order = torch.randperm(70, generator=torch.Generator().manual_seed(2))
    assert torch.equal(states(z0[order]), together[:, order])
    for i in (0, 15, 16, 69):
        assert torch.equal(states(z0[i : i + 1])[:, 0], together[:, i])


@both_dtypes
@both_adjoints
def test_results_do_not_depend_on_the_number_of_threads(adjoint, dtype):
    field = mlp(sizes=(64, 64), n_dims=20, scale=1.0).to(dtype)
    z0, t = rows(500, 20).to(dtype), torch.tensor([0.0, 0.5, 1.0], dtype=dtype)
    assert len(z0) * sum(p.numel() for p in field.parameters()) > 2 * 5e5
    before = torch.get_num_threads()
    results = []
    try:
        for n in (1, 2, 5):
            torch.set_num_threads(n)
            results.append(solved(field, z0, t, adjoint=adjoint, engine="native")[0])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("name", ["baseline", "avx2", "avx512"])
def test_every_instruction_set_of_this_machine_agrees_with_torch(name, monkeypatch):
    baseline = importlib.import_module("sknode.ode.native._engine_baseline")
    if name not in baseline.supported():
        pytest.skip(f"this machine has no {name}")
    module = importlib.import_module(f"sknode.ode.native._engine_{name}")
    monkeypatch.setattr(native, "ENGINE", module)
    assert_engines_agree(mlp("silu"), rows(37), times(0.0, 0.5, 1.0))
    assert_engines_agree(mlp().float(), rows(37).float(), torch.tensor([0.0, 1.0]), 1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_row_that_is_not_finite_ends_with_the_usual_error(bad):
    z0 = rows(40)
    z0[17, 2] = bad
    with pytest.raises(SolverError, match="smallest representable at t=0 after 1 steps in 1 of 40"):
        odeint(mlp("relu"), z0, times(0.0, 1.0), engine="native")


@pytest.mark.parametrize(
    ("solver", "settings"),
    [
        ("dopri5", {"max_steps": 2, "tolerance": 1e-8}),
        ("dopri5", {"tolerance": 1e-300, "max_steps": 60}),
        ("rk4", {"n_steps": 20}),
    ],
)
@pytest.mark.parametrize("t", [(0.0, 6.0), (3.0, -3.0)])
def test_failures_are_told_in_the_words_of_the_eager_engine(solver, settings, t):
    # z' = z² in effect: relu layers that overflow on a coarse grid.
    field = mlp("relu", sizes=(9, 9), scale=30.0 if solver == "rk4" else 3.0)
    field = field.float() if solver == "rk4" else field
    z0 = rows(40).to(next(field.parameters()).dtype)

    def message(engine):
        with pytest.raises(SolverError) as error:
            odeint(field, z0, times(*t).to(z0.dtype), solver=solver, engine=engine, **settings)
        return str(error.value)

    assert message("native") == message("eager")


def test_a_failure_of_the_continuous_adjoint_says_what_to_turn():
    z0 = rows(20).requires_grad_()
    settings = {"adjoint": "continuous", "adjoint_tolerance": 1e-13, "max_steps": 5}
    z = odeint(mlp(), z0, times(0.0, 0.5, 1.0), engine="native", **settings).z
    with pytest.raises(SolverError, match=r"after 5 steps in \d+ of 20 rows; loosen `tolerance`"):
        z.sum().backward()


def test_a_failed_row_leaves_its_neighbours_unharmed():
    field, z0 = mlp("relu"), rows(16)
    expected = odeint(field, z0, times(0.0, 1.0), engine="native").z[-1]
    broken = z0.clone()
    broken[3] = float("nan")
    form = field.dense_form()
    settings = ODEBlock(field).settings
    held = native.NativeProblem(form, [0.0, 1.0], settings, None).lease(form.parameters)
    z, counts = torch.full_like(z0, -1.0), torch.empty((2, 16), dtype=torch.int64)
    numbers = native._numbers(settings.method)
    # Here the block stops at the failure, on a grid it goes on to the end.
    held.workspace.solve(
        broken.data_ptr(), 16, [0.0, 1.0], [0.0, 0.5, 1.0], False, numbers, 1000, False,
        z.data_ptr(), counts.data_ptr(), 0, 1,
    )  # fmt: skip
    whole = odeint(field, z0, times(0.0, 1.0), n_steps=2, engine="native").z[-1]
    others = [i for i in range(16) if i != 3]
    assert torch.isnan(z[3]).all()
    assert torch.equal(z[others], whole[others])
    torch.testing.assert_close(whole, expected, rtol=1e-2, atol=1e-2)


MEMORY = """
import re, pathlib, torch
from sknode.modules import MLPField
from sknode.ode import odeint
field, z0, t = MLPField(4, (64, 64)), torch.ones(64, 4), torch.tensor([0.0, 1.0])
def megabytes(adjoint, n_steps):
    z = odeint(field, z0, t, solver="rk4", n_steps=n_steps, adjoint=adjoint, engine="native").z
    z.sum().backward()
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) / 1024
megabytes("continuous", 10), megabytes("discrete", 10)
before = megabytes("continuous", 10)
print(megabytes("continuous", 2000) - before, megabytes("discrete", 2000) - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_of_the_continuous_adjoint_does_not_grow_with_the_steps():
    command = [sys.executable, "-c", MEMORY]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    continuous, discrete = map(float, run.stdout.split())
    # Four blocks of 16 rows keep 2000 steps of 4 stages of 133 lanes: 260 megabytes.
    assert discrete > 200
    assert continuous < 20


def test_tensors_need_not_be_contiguous():
    field, z0 = mlp(), rows(12)
    expected, _ = solved(field, z0, times(0.0, 1.0), engine="native")
    with torch.no_grad():
        for layer in field.layers:
            layer.weight.set_(layer.weight.t().contiguous().t())
    found, _ = solved(field, z0.t().contiguous().t(), times(0.0, 1.0), engine="native")
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_solves_from_many_threads_at_once_do_not_disturb_each_other():
    torch.manual_seed(0)
    block = ODEBlock(MLPField(6, (16,)), engine="native").eval()
    starts = [torch.randn(40, 6) for _ in range(8)]
    expected = [block(z0).detach() for z0 in starts]
    found = [None] * 8

    def run(i):
        for _ in range(20):
            found[i] = block(starts[i]).detach()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_after_a_fork_solves_as_its_parent():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        field, z0 = mlp(sizes=(64, 64), n_dims=20, scale=1.0), rows(500, 20)
        expected, _ = solved(field, z0, times(0.0, 1.0), engine="native")
        with torch.no_grad():
            parent = odeint(field, z0, times(0.0, 1.0), engine="native").z
        child = os.fork()
        if child == 0:
            with torch.no_grad():
                z = odeint(field, z0, times(0.0, 1.0), engine="native").z
            os._exit(0 if torch.equal(z, parent) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert torch.equal(expected[0], parent)
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(sys.platform == "win32", reason="needs timers")
def test_a_long_solve_can_be_interrupted():
    def halt(*_):
        raise TimeoutError

    field, z0 = mlp(sizes=(256, 256)), rows(64)
    handler = signal.signal(signal.SIGALRM, halt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(TimeoutError), torch.no_grad():
            odeint(field, z0, times(0.0, 1.0), solver="rk4", n_steps=200_000, engine="native")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def test_without_the_engine_everything_is_solved_by_torch(monkeypatch):
    field, z0 = mlp(), rows(5)
    expected = odeint(field, z0, times(0.0, 1.0), engine="eager").z
    monkeypatch.setattr(native, "ENGINE", None)
    assert torch.equal(odeint(field, z0, times(0.0, 1.0)).z, expected)
    with pytest.raises(ValueError, match="engine='native' was not built here; use engine='auto'"):
        odeint(field, z0, times(0.0, 1.0), engine="native")


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_layers_that_do_not_fit_together_are_an_error(layer):
    field, other = mlp(), mlp(sizes=(8, 7), n_dims=4)
    field.layers[layer] = other.layers[layer]
    z0 = rows(6, field.layers[-1].out_features)
    with pytest.raises(ValueError, match=r"dense_form\(\) must give layers that fit together"):
        odeint(field, z0, times(0.0, 1.0), engine="native")


class Wrapped(torch.nn.Module):
    def __init__(self, field):
        super().__init__()
        self.field = field

    def forward(self, t, z):
        return self.field(t, z)


def test_the_native_engine_says_what_it_serves():
    with pytest.raises(ValueError, match=r"dense form, such as MLPField.*got Wrapped and \(5, 5\)"):
        odeint(Wrapped(mlp()), rows(5), times(0.0, 1.0), engine="native")
    with pytest.raises(ValueError, match="builds no graph for adjoint=None"):
        odeint(mlp(), rows(5), times(0.0, 1.0), engine="native", adjoint=None)
    with pytest.raises(ValueError, match="engine='fast' is not known; choose from"):
        odeint(mlp(), rows(5), times(0.0, 1.0), engine="fast")


@pytest.mark.parametrize("solver", ADAPTIVE)
def test_training_starts_with_the_step_that_suited_the_last_batch(solver):
    blocks = [
        ODEBlock(copy.deepcopy(mlp()), solver=solver, engine=engine)
        for engine in ("native", "eager")
    ]
    for seed in range(3):
        ends = [block(rows(30, seed=seed)) for block in blocks]
        torch.testing.assert_close(*ends, rtol=1e-11, atol=1e-11)
        assert torch.equal(blocks[0].stats.accepted, blocks[1].stats.accepted)
        assert float(blocks[0].first_step) == float(blocks[1].first_step)


class Given(torch.nn.Module):
    """A linear field by the dense form it is given, as a user may write one."""

    def __init__(self, form):
        super().__init__()
        self.form = form

    def dense_form(self):
        return self.form

    def forward(self, t, z):
        return z @ self.form.weights[0].mT.to(z) + self.form.biases[0].to(z)


TURN = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
ZERO = torch.zeros(2)
FITTING = "must give layers that fit together"
AGREE = "field and z0 must agree in dtype and device: a parameter is "
FORMS = {
    "wide weights": ([TURN.double()], [ZERO], ValueError, f"{AGREE}torch.float64 on cpu, z0 is"),
    "wide layers": ([TURN.double()], [ZERO.double()], ValueError, f"{AGREE}torch.float64 on cpu"),
    "a wide bias": ([TURN], [ZERO.double()], ValueError, f"{AGREE}torch.float64 on cpu"),
    "a wide layer": ([TURN, TURN.double()], [ZERO, ZERO.double()], ValueError, AGREE),
    "integers": ([TURN.long()], [ZERO.long()], ValueError, f"{AGREE}torch.int64 on cpu"),
    "half": ([TURN.half()], [ZERO.half()], ValueError, f"{AGREE}torch.float16 on cpu"),
    "complex": ([TURN.cfloat()], [ZERO.cfloat()], ValueError, f"{AGREE}torch.complex64 on cpu"),
    "meta": ([TURN.to("meta")], [ZERO.to("meta")], ValueError, f"{AGREE}torch.float32 on meta"),
    "a meta bias": ([TURN], [ZERO.to("meta")], ValueError, f"{AGREE}torch.float32 on meta"),
    "sparse": ([TURN.to_sparse()], [ZERO], ValueError, f"{AGREE}.*torch.sparse_coo"),
    "no layers": ([], [], ValueError, "one layer or more, .*, got 0 weights and 0 biases"),
    "no bias": ([TURN], [], ValueError, "a bias for each weight, got 1 weights and 0 biases"),
    "no members": ([torch.ones(0, 2, 2)], [torch.ones(0, 2)], ValueError, FITTING),
    "no dimensions": ([torch.ones(0, 0)], [torch.ones(0)], ValueError, FITTING),
    "no hidden units": (
        [torch.ones(0, 2), torch.ones(2, 0)],
        [ZERO[:0], ZERO],
        ValueError,
        FITTING,
    ),
    "a scalar weight": ([torch.tensor(1.0)], [ZERO], ValueError, FITTING),
    "a scalar bias": ([TURN], [torch.tensor(1.0)], ValueError, FITTING),
    "a vector weight": ([ZERO], [ZERO], ValueError, FITTING),
    "too many axes": ([TURN[None, None]], [ZERO[None, None]], ValueError, FITTING),
    "members of the weight": ([TURN[None]], [ZERO], ValueError, FITTING),
    "members of the bias": ([TURN], [ZERO[None]], ValueError, FITTING),
    "a wide matrix": ([torch.ones(2, 3)], [ZERO], ValueError, FITTING),
    "arrays": (
        [TURN.numpy()],
        [ZERO.numpy()],
        TypeError,
        "weights and biases as tensors, got .*ndarray",
    ),
    "None": ([TURN], [None], TypeError, "weights and biases as tensors, got .*NoneType"),
}


@pytest.mark.parametrize("name", FORMS)
def test_no_form_reaches_the_engine_that_was_not_held_against_the_states(name):
    weights, biases, error, message = FORMS[name]
    field = Given(DenseForm(weights, biases, "tanh", time_dependent=False))
    for engine in ("native", "auto"):
        with pytest.raises(error, match=message):
            odeint(field, torch.ones(3, 2), times(0.0, 1.0), engine=engine)


def test_narrow_weights_do_not_reach_the_engine_with_wide_states():
    field = Given(DenseForm([TURN], [ZERO], "tanh", time_dependent=False))
    with pytest.raises(ValueError, match=rf"{AGREE}torch\.float32 on cpu, z0 is torch\.float64"):
        odeint(field, torch.ones(3, 2, dtype=torch.float64), times(0.0, 1.0))


def test_a_form_must_be_a_form():
    field = Given([TURN])
    with pytest.raises(TypeError, match=r"dense_form\(\) must return a DenseForm, got list"):
        odeint(field, torch.ones(3, 2), times(0.0, 1.0))
    field.form = DenseForm([TURN], [ZERO], "tanh", time_dependent=0)
    with pytest.raises(TypeError, match="time_dependent as a boolean, got 0"):
        odeint(field, torch.ones(3, 2), times(0.0, 1.0))


def test_rows_are_shared_out_evenly_to_the_members_of_a_form():
    field = Given(DenseForm([TURN.expand(2, 2, 2)], [ZERO.expand(2, 2)], "tanh", False))
    with pytest.raises(ValueError, match="as many rows for each of the field's 2 members, got 3"):
        odeint(field, torch.ones(3, 2), times(0.0, 1.0), engine="native")


def test_the_engine_reads_numbers_as_torch_does():
    # These are negative by a mark on the tensor, and positive in memory.
    turn, one = torch._neg_view(TURN), torch._neg_view(torch.ones(3, 2))
    field, plain = (Given(DenseForm([w], [ZERO], "tanh", False)) for w in (turn, -TURN))
    found = odeint(field, one, times(0.0, 1.0), engine="native").z
    assert torch.equal(found, odeint(plain, -torch.ones(3, 2), times(0.0, 1.0), engine="native").z)


def test_a_tensor_without_memory_is_refused():
    class Hollow(torch.Tensor):
        def data_ptr(self):
            return 0

    z0 = torch.ones(3, 5, dtype=torch.float64).as_subclass(Hollow)
    with pytest.raises(TypeError, match=r"needs tensors with memory of their own, got .*Hollow"):
        odeint(mlp(), z0, times(0.0, 1.0), engine="native")

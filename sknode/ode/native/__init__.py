"""The compiled engine: dense fields on the CPU, a whole batch in one call.

Its source is beside this file. It takes the decisions of the eager engine, row by row, and
knows no method by itself: tableaus and the controller's constants are handed to it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from .. import step_sizes
from ..dense import DenseForm
from ..failures import overflow, step_too_small, too_many_steps
from ..gradients import (
    apply,
    mean_square_of_pull,
    pull_of_energy,
    stages_of_a_sweep,
    wants_gradient,
)
from ..pool import Lease, Pool, borrow
from ..settings import Method, Settings
from ..stats import Stats
from ..tableau import Tableau

__all__ = ["ENGINE", "allowing", "serves", "solve_natively"]

ACTIVATIONS = ("tanh", "silu", "softplus", "relu")
# The engine counts rows in C++'s int.
MOST_ROWS = 2**31 - 1


# How many threads a solve may have where torch's own operations are held to fewer; None: as many
# as these.
_allowed: ContextVar[int | None] = ContextVar("allowed", default=None)


@contextmanager
def allowing(n_threads: int) -> Iterator[None]:
    """Let solves within the context have so many threads, whatever torch has."""
    token = _allowed.set(n_threads)
    try:
        yield
    finally:
        _allowed.reset(token)


def _n_threads() -> int:
    return _allowed.get() or torch.get_num_threads()


def _best_engine() -> ModuleType | None:
    """Import the module of the best instruction set of this machine, None if it was not built."""
    try:
        baseline = import_module("._engine_baseline", __package__)
        return import_module(f"._engine_{baseline.supported()[-1]}", __package__)
    except ImportError:
        return None


ENGINE = _best_engine()


def serves(form: DenseForm, z0: Tensor) -> bool:
    """Return whether the engine was built and can solve a field from such states."""
    if ENGINE is None or not z0.is_cpu or form.activation not in ACTIVATIONS:
        return False
    return z0.ndim == 2 and z0.shape[0] <= MOST_ROWS


class NativeProblem(NamedTuple):
    """A dense field to be solved between times."""

    form: DenseForm
    times: list[float]
    settings: Settings
    pool: Pool | None

    def integrate(
        self, z0: Tensor, parameters: Sequence[Tensor], *, record: bool
    ) -> tuple[Lease, Tensor, Stats, Tensor | None]:
        """Solve from `z0`; the solver is the solve's own while the lease is held."""
        method = self.settings.method
        times = self.times
        held = self.lease(parameters)
        self.form.check_states(z0)
        z0 = _plain(z0)
        n_rows = z0.shape[0]
        z = z0.new_empty(((len(times) - 1) * n_rows, z0.shape[1]))
        counts = torch.empty((2, n_rows), dtype=torch.int64)
        energy = z0.new_empty(n_rows) if self.settings.kinetic_energy else None
        nodes = times if method.adaptive else method.grid(times)
        result = held.workspace.solve(
            _address(z0), n_rows, times, nodes, method.adaptive, _numbers(method),
            method.max_steps, record, z.data_ptr(), counts.data_ptr(), _address(energy),
            _n_threads(),
        )  # fmt: skip
        _check(result, nodes, n_rows)
        _, n_steps, n_evaluations, _, first_step, *_ = result
        tableau = method.tableau
        stats = Stats(
            n_rows,
            tableau.n_stages,
            tableau.fsal,
            nfe_forward=n_evaluations + n_steps * (tableau.n_stages - tableau.fsal),
            n_steps=n_steps,
            _counts=counts,
            _first_proposal=first_step if method.adaptive else None,
        )
        return held, z, stats, energy

    def lease(self, parameters: Sequence[Tensor]) -> Lease:
        """Return a solver that has loaded the parameters."""
        form = self.form
        tableau = self.settings.method.tableau
        shapes = tuple(parameter.shape for parameter in parameters)
        key = (shapes, form.activation, form.time_dependent, parameters[0].dtype, tableau)
        held = borrow(self.pool, key, lambda: _new_solver(form, parameters[0].dtype, tableau))
        plain = [_plain(parameter) for parameter in parameters]
        held.workspace.load([_address(parameter) for parameter in plain])
        return held


def _new_solver(form: DenseForm, dtype: torch.dtype, tableau: Tableau) -> Any:
    solver = {torch.float32: "SolverFloat32", torch.float64: "SolverFloat64"}[dtype]
    return getattr(ENGINE, solver)(
        form.n_members, form.sizes, form.activation, form.time_dependent, *_flat(tableau)
    )


@lru_cache(maxsize=64)
def _flat(tableau: Tableau) -> tuple:
    """Return a tableau as lists of numbers, its matrices row after row."""
    n = tableau.n_stages
    a = [number for row in tableau.a for number in (*row, *[0.0] * (n - len(row)))]
    dense = [number for row in tableau.b_dense for number in row]
    b_error = tableau.b_error or [0.0] * n
    return tableau.order, tableau.fsal, list(tableau.c), a, list(tableau.b), list(b_error), dense


def _numbers(method: Method) -> list[float]:
    first_step = 0.0 if method.first_step is None else float(method.first_step)
    return [
        method.rtol,
        method.atol,
        first_step,
        step_sizes.SAFETY,
        step_sizes.LEAST_FACTOR,
        step_sizes.LARGEST_FACTOR,
        step_sizes.GRAIN,
    ]


def _check(result: tuple, nodes: list[float], n_rows: int) -> None:
    """Raise what the eager engine would."""
    ending, n_steps, _, n_failed, _, left, _ = result
    if ending == "overflow":
        raise overflow(nodes, n_steps, n_failed, n_rows)
    if ending == "too many steps":
        raise too_many_steps(nodes[-1] - left, n_steps, n_failed, n_rows)
    if ending == "stuck":
        raise step_too_small(nodes[-1] - left, n_steps, n_failed, n_rows)


def solve_natively(
    form: DenseForm,
    parameters: tuple[Tensor, ...],
    z0: Tensor,
    times: list[float],
    settings: Settings,
    pool: Pool | None,
) -> tuple[Tensor, Stats, Tensor | None]:
    """Solve for the states at all times but the first, as `solve_eagerly` does."""
    problem = NativeProblem(form, times, settings, pool)
    if not wants_gradient(z0, parameters):
        _, z, stats, energy = problem.integrate(z0, parameters, record=False)
        return z, stats, energy
    assert settings.adjoint is not None
    return apply(FUNCTIONS[settings.adjoint], problem, z0, parameters)


class NativeDiscreteAdjoint(Function):
    @staticmethod
    def forward(
        ctx: Any, problem: NativeProblem, notes: list[Stats], z0: Tensor, *parameters: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        ctx.lease, z, ctx.stats, energy = problem.integrate(z0, parameters, record=True)
        ctx.times = problem.times
        n_stages = stages_of_a_sweep(problem.settings.method.tableau, len(problem.times) - 1)
        ctx.nfe_backward = n_stages * ctx.stats.n_steps
        ctx.save_for_backward(*parameters)
        notes.append(ctx.stats)
        return z, energy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, g_energy: Tensor | None) -> tuple:
        start, gradient = _room(ctx, g, ctx.saved_tensors)
        g = _plain(g)
        pull = pull_of_energy(g_energy, ctx.times, g.shape[1])
        with ctx.lease.lock:
            ctx.lease.workspace.pull_back(
                _address(g), _address(pull), _address(start),
                [part.data_ptr() for part in gradient], _n_threads(),
            )  # fmt: skip
            ctx.stats.nfe_backward += ctx.nfe_backward
        return None, None, start, *gradient


class NativeContinuousAdjoint(Function):
    @staticmethod
    def forward(
        ctx: Any, problem: NativeProblem, notes: list[Stats], z0: Tensor, *parameters: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        _, z, ctx.stats, energy = problem.integrate(z0, parameters, record=False)
        ctx.problem = problem
        ctx.save_for_backward(z, energy, *parameters)
        notes.append(ctx.stats)
        return z, energy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, g_energy: Tensor | None) -> tuple:
        z, energy, *parameters = ctx.saved_tensors
        problem = ctx.problem
        times = problem.times
        ends = [(times[i + 1], times[i]) for i in reversed(range(len(times) - 1))]
        methods = [problem.settings.method_of_stretch(*pair, times) for pair in ends]
        stretches = [method.grid([*pair]) for method, pair in zip(methods, ends, strict=True)]
        method = methods[0]
        start, gradient = _room(ctx, g, parameters)
        g = _plain(g)
        pull = pull_of_energy(g_energy, times, g.shape[1])
        square = None if pull is None else mean_square_of_pull(pull, energy, times)
        held = problem.lease(parameters)
        result = held.workspace.pull_back_continuously(
            z.data_ptr(), _address(g), _address(pull), _address(square), ctx.stats.n_rows,
            stretches, method.adaptive, _numbers(method), method.max_steps, _address(start),
            [part.data_ptr() for part in gradient], _n_threads(),
        )  # fmt: skip
        *_, n_evaluations, _, _, _, stretch = result
        _check(result, stretches[stretch], ctx.stats.n_rows)
        ctx.stats.nfe_backward += n_evaluations
        return None, None, start, *gradient


def _room(ctx: Any, g: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor | None, list[Tensor]]:
    """Return tensors for the gradients of the initial state, if wanted, and of the parameters."""
    start = g.new_empty((ctx.stats.n_rows, g.shape[1])) if ctx.needs_input_grad[2] else None
    return start, [torch.empty_like(p, memory_format=torch.contiguous_format) for p in parameters]


def _plain(tensor: Tensor) -> Tensor:
    """Return a tensor whose memory holds its numbers one after the other."""
    tensor = tensor.contiguous()
    return tensor.resolve_neg() if tensor.is_neg() else tensor


def _address(tensor: Tensor | None) -> int:
    """Return where a tensor that `_plain` returned has its numbers, 0 for None."""
    if tensor is None:
        return 0
    address = tensor.data_ptr()
    if not address:
        raise TypeError(
            f"the native engine needs tensors with memory of their own, got {type(tensor)}; use "
            "engine='eager'"
        )
    return address


FUNCTIONS = {"discrete": NativeDiscreteAdjoint, "continuous": NativeContinuousAdjoint}

"""Solvers of an MLP field, under one face: what `engine.py` lets take turns."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from sknode.modules import MLPField, ODEBlock

__all__ = ["CONTENDERS", "TASKS", "TOLERANCE", "Size"]

TASKS = ("training step", "prediction", "trajectory")
TOLERANCE = 1e-3
N_CLASSES = 3
N_TIMES = 11


class Size(NamedTuple):
    """Rows, dimensions, and width of the two hidden layers."""

    rows: int
    dims: int
    width: int

    def __str__(self) -> str:
        return f"{self.rows}×{self.dims}, width {self.width}"


def with_torch(make_solve: Callable, size: Size, dtype: str) -> dict[str, Callable[[], object]]:
    """Return the tasks of a solver for torch.

    `make_solve(field)` returns a function of the states and the times to solve for.
    """
    torch.manual_seed(0)
    kind = getattr(torch, dtype)
    x = torch.randn(size.rows, size.dims, dtype=kind)
    y = torch.randint(N_CLASSES, (size.rows,))
    field = MLPField(size.dims, (size.width, size.width)).to(kind)
    head = nn.Linear(size.dims, N_CLASSES).to(kind)
    solve = make_solve(field)
    parameters = [*field.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-4, fused=True)
    ends = torch.tensor([0.0, 1.0]).to(kind)
    times = torch.linspace(0.0, 1.0, N_TIMES).to(kind)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(solve(x, ends)[-1]), y).backward()
        optimizer.step()

    @torch.no_grad()
    def states(t: torch.Tensor) -> torch.Tensor:
        return solve(x, t)

    return dict(zip(TASKS, (step, partial(states, ends), partial(states, times)), strict=True))


def sknode_solve(field, *, engine, adjoint="discrete"):
    """Solve with sknode: a block, which trains from one batch to the next."""
    block = ODEBlock(field, tolerance=TOLERANCE, engine=engine, adjoint=adjoint)

    def solve(x, t):
        if block.training != torch.is_grad_enabled():
            block.train(torch.is_grad_enabled())
        return (block(x),) if len(t) == 2 else block.trajectory(x, t.tolist())

    return solve


def torchdiffeq_solve(field, *, name):
    """Solve with torchdiffeq."""
    import torchdiffeq

    solve = getattr(torchdiffeq, name)
    return lambda x, t: solve(field, x, t, rtol=TOLERANCE, atol=TOLERANCE, method="dopri5")


def torchdyn_solve(field, *, sensitivity):
    """Solve with torchdyn, whose fields take the time first as well."""
    from torchdyn.core import NeuralODE

    model = NeuralODE(
        lambda t, x, **_: field(t, x),
        solver="dopri5",
        atol=TOLERANCE,
        rtol=TOLERANCE,
        sensitivity=sensitivity,
    )
    model.vf.vf.register_module("field", field)
    return lambda x, t: model(x, t)[1]


def torchode_solve(field):
    """Solve with torchode, which like sknode gives each row a step size of its own."""
    import torchode

    term = torchode.ODETerm(lambda t, x: field(t.unsqueeze(1), x))
    controller = torchode.IntegralController(atol=TOLERANCE, rtol=TOLERANCE, term=term)
    solver = torchode.AutoDiffAdjoint(torchode.Dopri5(term=term), controller)

    def solve(x, t):
        times = t.expand(len(x), len(t))
        return solver.solve(torchode.InitialValueProblem(y0=x, t_eval=times)).ys.movedim(1, 0)

    return solve


class BareProducts(torch.autograd.Function):
    """The products and activations of a solve in one step of dopri5, and nothing else.

    Seven evaluations, six pullbacks, and one product over all stages for each weight.
    """

    @staticmethod
    def forward(ctx, x, *parameters):
        """Evaluate seven times."""
        (w0, b0), (w1, b1), (w2, b2) = zip(parameters[::2], parameters[1::2], strict=True)
        x = torch.cat((x, x[:, :1]), 1)
        hidden = []
        for _ in range(7):
            h1 = torch.tanh(torch.addmm(b0, x, w0.t()))
            h2 = torch.tanh(torch.addmm(b1, h1, w1.t()))
            z = torch.addmm(b2, h2, w2.t())
            hidden.append((h1, h2))
        ctx.save_for_backward(w0, w1, w2)
        ctx.x = x
        ctx.hidden = hidden[:6]
        return z

    @staticmethod
    def backward(ctx, g):
        """Pull back six times."""
        w0, w1, w2 = ctx.saved_tensors
        deltas = []
        for h1, h2 in ctx.hidden:
            d2 = torch.ops.aten.tanh_backward(g @ w2, h2)
            d1 = torch.ops.aten.tanh_backward(d2 @ w1, h1)
            _ = d1 @ w0
            deltas.append((d1, d2, g))
        h1, h2 = (torch.cat(stages) for stages in zip(*ctx.hidden, strict=True))
        inputs = ctx.x.repeat(6, 1), h1, h2
        gradient = [None]
        for stages, a in zip(zip(*deltas, strict=True), inputs, strict=True):
            delta = torch.cat(stages)
            gradient += [delta.t() @ a, delta.sum(0)]
        return tuple(gradient)


class Idle(torch.autograd.Function):
    """Hand the states on, and gradients of zero back: what a step costs without a solve."""

    @staticmethod
    def forward(ctx, x, *parameters):
        """Return the states."""
        ctx.save_for_backward(*parameters)
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        """Return as many gradients as there are parameters."""
        return (None, *(torch.zeros_like(parameter) for parameter in ctx.saved_tensors))


def no_solve(field, *, function):
    """Put an autograd function in the place of the solve."""
    parameters = field.dense_form().parameters
    return lambda x, t: (function.apply(x, *parameters),)


def with_diffrax(size: Size, dtype: str, adjoint: str) -> dict[str, Callable[[], object]]:
    """Return the tasks of diffrax, compiled; the batch is one state with one step size."""
    import jax

    jax.config.update("jax_enable_x64", dtype == "float64")
    import diffrax
    import equinox as eqx
    import jax.numpy as jnp
    import optax

    keys = jax.random.split(jax.random.PRNGKey(0), 4)
    mlp = eqx.nn.MLP(size.dims + 1, size.dims, size.width, 2, jnp.tanh, key=keys[0])
    model = (mlp, eqx.nn.Linear(size.dims, N_CLASSES, key=keys[1]))
    x = jax.random.normal(keys[2], (size.rows, size.dims))
    y = jax.random.randint(keys[3], (size.rows,), 0, N_CLASSES)

    def field(t, z, mlp):
        return jax.vmap(mlp)(jnp.concatenate((z, jnp.full((len(z), 1), t, z.dtype)), 1))

    def solve(mlp, x, times):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(field), diffrax.Dopri5(), 0.0, 1.0, None, x, mlp,
            stepsize_controller=diffrax.PIDController(TOLERANCE, TOLERANCE),
            saveat=diffrax.SaveAt(ts=times), adjoint=getattr(diffrax, adjoint)(),
        ).ys  # fmt: skip

    def loss(model, x, y):
        mlp, head = model
        logits = jax.vmap(head)(solve(mlp, x, jnp.array([1.0]))[-1])
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    optimizer = optax.adam(1e-4)
    state = [model, optimizer.init(eqx.filter(model, eqx.is_array))]

    @eqx.filter_jit
    def advance(model, state, x, y):
        gradient = eqx.filter_grad(loss)(model, x, y)
        updates, state = optimizer.update(gradient, state)
        return eqx.apply_updates(model, updates), state

    def step() -> None:
        state[:] = jax.block_until_ready(advance(*state, x, y))

    compiled = eqx.filter_jit(solve)
    ends = jnp.array([1.0])
    times = jnp.linspace(0.0, 1.0, N_TIMES)

    def states(t):
        return jax.block_until_ready(compiled(state[0][0], x, t))

    return dict(zip(TASKS, (step, partial(states, ends), partial(states, times)), strict=True))


CONTENDERS: dict[str, tuple[str, Callable]] = {
    "sknode native, discrete": (
        "sknode",
        partial(with_torch, partial(sknode_solve, engine="native")),
    ),
    "sknode native, continuous": (
        "sknode",
        partial(with_torch, partial(sknode_solve, engine="native", adjoint="continuous")),
    ),
    "sknode eager, discrete": (
        "sknode",
        partial(with_torch, partial(sknode_solve, engine="eager")),
    ),
    "torchdiffeq odeint": (
        "torchdiffeq",
        partial(with_torch, partial(torchdiffeq_solve, name="odeint")),
    ),
    "torchdiffeq odeint_adjoint": (
        "torchdiffeq",
        partial(with_torch, partial(torchdiffeq_solve, name="odeint_adjoint")),
    ),
    "torchode": ("torchode", partial(with_torch, torchode_solve)),
    "torchdyn autograd": (
        "torchdyn",
        partial(with_torch, partial(torchdyn_solve, sensitivity="autograd")),
    ),
    "torchdyn adjoint": (
        "torchdyn",
        partial(with_torch, partial(torchdyn_solve, sensitivity="adjoint")),
    ),
    "diffrax, checkpoints": (
        "diffrax",
        partial(with_diffrax, adjoint="RecursiveCheckpointAdjoint"),
    ),
    "diffrax, backsolve": ("diffrax", partial(with_diffrax, adjoint="BacksolveAdjoint")),
    "bare products, no solver": (
        "sknode",
        partial(with_torch, partial(no_solve, function=BareProducts)),
    ),
    "nothing: the rest of the step": (
        "sknode",
        partial(with_torch, partial(no_solve, function=Idle)),
    ),
}

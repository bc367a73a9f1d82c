"""The public solve."""

from collections.abc import Iterable
from math import inf
from numbers import Integral, Real
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from . import adjoint as eager
from . import native
from .adjoint import ADJOINTS, Settings
from .control import Tolerance
from .field import dense_form_of, parameters_of
from .integrate import Method, Stats
from .tableau import TABLEAUS
from .workspace import Pool

__all__ = ["Solution", "check_settings", "odeint", "solve"]

ENGINES = ("auto", "native", "eager")


class Solution(NamedTuple):
    """The states at the times asked for, what they cost, and their kinetic energy.

    Attributes
    ----------
    z : Tensor of shape ``(len(t), rows, *state)``
        The states: z[i] is that at t[i], z[0] the initial one.
    stats : Stats
        Steps and evaluations.
    kinetic_energy : Tensor of shape (rows,), or None
        What ``odeint(..., kinetic_energy=True)`` finds.

    Examples
    --------
    >>> import torch
    >>> from sknode.modules import MLPField
    >>> from sknode.ode import odeint
    >>> z, stats, energy = odeint(MLPField(2), torch.ones(3, 2), torch.tensor([0.0, 0.5, 1.0]))
    >>> z.shape, stats.accepted.shape, energy
    (torch.Size([3, 3, 2]), torch.Size([3]), None)
    """

    z: Tensor
    stats: Stats
    kinetic_energy: Tensor | None


def odeint(
    field: nn.Module,
    z0: Tensor,
    t: Tensor,
    *,
    solver: str = "dopri5",
    tolerance: float | tuple[float, float] = 1e-3,
    n_steps: int | None = None,
    max_steps: int = 1000,
    adjoint: str | None = "discrete",
    adjoint_tolerance: float | tuple[float, float] | None = None,
    first_step: float | Tensor | None = None,
    engine: str = "auto",
    kinetic_energy: bool = False,
) -> Solution:
    """Solve z' = f(t, z) for a batch of rows, each with a step size of its own.

    Parameters
    ----------
    field : nn.Module
        The field f, called as `field(t, z)` with z of shape ``(rows, *state)`` and t of shape
        (rows, 1, ...), one time per row; it returns the derivative, of the shape of z. Gradients
        flow to its `parameters()`. A row of its result must depend on that row of z alone.
    z0 : Tensor of shape ``(rows, *state)``, float32 or float64
        The states at t[0].
    t : Tensor of shape (n_times,), n_times >= 2
        Strictly increasing or decreasing times at which the states are wanted. They are not
        differentiated.
    solver : {"euler", "midpoint", "heun2", "rk4", "bosh3", "dopri5", "tsit5"}, default="dopri5"
        The Runge-Kutta method [2]_. The last three estimate their error and choose their steps,
        unless `n_steps` is given.
    tolerance : float or (float, float), default=1e-3
        Relative and absolute tolerance of the adaptive methods: one number for both or a pair.
        A step of a row is accepted if its estimated error, in the root mean square over the
        row's state, is at most ``atol + rtol·|z|``.
    n_steps : int or None, default=None
        Number of equal steps between t[0] and t[-1], the same for every row. States at times in
        between are read off the method's interpolant. None: steps chosen by error, or for the
        methods without an error estimate one step from each time to the next.
    max_steps : int, default=1000
        Adaptive methods give up after so many steps, rejected ones included.
    adjoint : {"discrete", "continuous", None}, default="discrete"
        How the backward pass differentiates. "discrete": a reverse sweep through the accepted
        steps, the exact gradient of what was computed for the steps taken; memory grows with the
        steps. "continuous": the adjoint ODE [1]_ solved backwards, whose memory does not; its
        gradient is as exact as `adjoint_tolerance`. None: autograd through the steps, for fields
        whose gradient is itself to be differentiated.
    adjoint_tolerance : float, (float, float) or None, default=None
        Tolerance of the continuous adjoint; None: that of the solve. Rows' cotangents are scaled
        to size one for it.
    first_step : float, Tensor of shape () or None, default=None
        Size of the first step that adaptive methods try, for all rows. None: each row chooses its
        own, which takes one evaluation.
    engine : {"auto", "native", "eager"}, default="auto"
        "native": the compiled engine, for fields with a dense form, such as `MLPField`, on the
        CPU; not with `adjoint=None`. "eager": torch, for every field and device. "auto": native
        where it serves and was built. Both take the same steps.
    kinetic_energy : bool, default=False
        Whether to compute each row's kinetic energy ``∫ mean(f²) |dt|`` from t[0] to t[-1], the
        mean being over the row's dimensions. It is differentiable like the states, and a penalty
        on it makes ways short and straight, which need few steps [3]_. It is summed up along the
        steps and has no say in them.

    Returns
    -------
    Solution
        The states `z`, of shape ``(len(t), rows, *state)``, the `stats`, and the
        `kinetic_energy`, of shape (rows,), or None if it was not asked for.

    Raises
    ------
    SolverError
        If a state is not finite, a step becomes too small to change the time, or `max_steps` do
        not suffice.
    ValueError, TypeError
        If an argument is not as described here.

    References
    ----------
    .. [1] Chen, Rubanova, Bettencourt, Duvenaud, "Neural Ordinary Differential Equations",
       NeurIPS 2018.
    .. [2] Hairer, Nørsett, Wanner, "Solving Ordinary Differential Equations I", Springer 1993.
    .. [3] Finlay, Jacobsen, Nurbekyan, Oberman, "How to Train Your Neural ODE: the World of
       Jacobian and Kinetic Regularization", ICML 2020.

    Examples
    --------
    Exponential decay, z' = −z:

    >>> import torch
    >>> from sknode.ode import odeint
    >>> class Decay(torch.nn.Module):
    ...     def forward(self, t, z):
    ...         return -z
    >>> z0, t = torch.ones(2, 1), torch.tensor([0.0, 1.0])
    >>> solution = odeint(Decay(), z0, t, tolerance=1e-6, kinetic_energy=True)
    >>> solution.z.shape
    torch.Size([2, 2, 1])
    >>> torch.allclose(solution.z[-1], torch.exp(torch.tensor(-1.0)), rtol=1e-5)
    True
    >>> exact = (1 - torch.exp(torch.tensor(-2.0))) / 2
    >>> torch.allclose(solution.kinetic_energy, exact, rtol=1e-5)
    True
    """
    _check_operands(field, z0, t)
    settings = check_settings(
        solver,
        tolerance,
        n_steps,
        max_steps,
        adjoint,
        adjoint_tolerance,
        first_step,
        engine,
        kinetic_energy,
    )
    z, stats, energy = solve(field, z0, t.tolist(), settings)
    return Solution(torch.cat((z0, z)).view(-1, *z0.shape), stats, energy)


def solve(
    field: nn.Module,
    z0: Tensor,
    times: list[float],
    settings: Settings,
    pool: Pool | None = None,
) -> tuple[Tensor, Stats, Tensor | None]:
    """Solve for the states at all times but the first, one below the other, (rows, *state) each.

    The last of the three is the kinetic energy (rows,), or None if it is not wanted.
    """
    form = dense_form_of(field)
    parameters = parameters_of(field, form)
    _check_start(z0, parameters)
    if settings.engine != "eager":
        if form is not None and settings.adjoint is not None and native.serves(form, z0):
            return native.solve(form, form.parameters, z0, times, settings, pool)
        if settings.engine == "native":
            raise ValueError(
                "engine='native' serves fields with a dense form, such as MLPField, and states "
                f"(rows, n_dims) on the CPU, got {type(field).__name__} and {(*z0.shape,)} on "
                f"{z0.device}; use engine='auto'"
            )
    return eager.solve(field, parameters, z0, times, settings, pool)


def check_settings(
    solver: str,
    tolerance: float | tuple[float, float],
    n_steps: int | None,
    max_steps: int,
    adjoint: str | None,
    adjoint_tolerance: float | tuple[float, float] | None,
    first_step: float | Tensor | None = None,
    engine: str = "auto",
    kinetic_energy: bool = False,
) -> Settings:
    """Check the settings of `odeint` and look up what they name."""
    _check_choice("solver", solver, TABLEAUS)
    _check_choice("adjoint", adjoint, ADJOINTS)
    _check_choice("engine", engine, ENGINES)
    if engine == "native" and native.ENGINE is None:
        raise ValueError("engine='native' was not built here; use engine='auto'")
    if engine == "native" and adjoint is None:
        raise ValueError("engine='native' builds no graph for adjoint=None; use engine='auto'")
    # A tensor is what an earlier solve found, and looking at it would stall an accelerator.
    if not (first_step is None or isinstance(first_step, Tensor) or _positive(first_step)):
        raise ValueError(f"first_step must be a positive number or None, got {first_step!r}")
    method = Method(
        TABLEAUS[solver],
        _tolerance("tolerance", tolerance),
        None if n_steps is None else _count("n_steps", n_steps),
        _count("max_steps", max_steps),
        first_step,
    )
    backward = method._replace(first_step=None)
    if adjoint_tolerance is not None:
        backward = backward._replace(tolerance=_tolerance("adjoint_tolerance", adjoint_tolerance))
    return Settings(method, backward, adjoint, engine, kinetic_energy)


def _check_start(z0: Tensor, parameters: tuple[Tensor, ...]) -> None:
    if z0.ndim < 2 or z0.shape[0] == 0:
        raise ValueError(f"z0 must have shape (rows, *state), one row or more, got {(*z0.shape,)}")
    if z0.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"z0 must be float32 or float64, got {z0.dtype}")
    for parameter in parameters:
        if parameter.dtype != z0.dtype or parameter.device != z0.device:
            raise ValueError(
                "the field and z0 must agree in dtype and device: a parameter is "
                f"{parameter.dtype} on {parameter.device}, z0 is {z0.dtype} on {z0.device}"
            )


def _check_operands(field: nn.Module, z0: Tensor, t: Tensor) -> None:
    if not isinstance(field, nn.Module):
        raise TypeError(
            f"field must be a torch.nn.Module called as field(t, z), got {type(field).__name__}"
        )
    if not isinstance(z0, Tensor) or not isinstance(t, Tensor):
        raise TypeError(f"z0 and t must be tensors, got {type(z0).__name__}, {type(t).__name__}")
    if t.ndim != 1 or len(t) < 2:
        raise ValueError(f"t must be one-dimensional with two or more times, got {(*t.shape,)}")
    if t.requires_grad:
        raise ValueError("t must not require a gradient: times are not differentiated")
    differences = t.diff()
    if not bool(torch.isfinite(t).all() and ((differences > 0).all() or (differences < 0).all())):
        raise ValueError(
            f"t must be finite and strictly increasing or strictly decreasing, got {t.tolist()}"
        )


def _check_choice(name: str, value: str | None, known: Iterable[str | None]) -> None:
    choices = list(known)
    if not (value is None or isinstance(value, str)) or value not in choices:
        raise ValueError(f"{name}={value!r} is not known; choose from {choices}")


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    return int(value)


def _tolerance(name: str, value: float | tuple[float, float]) -> Tolerance:
    pair = value if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2 or not all(_positive(number) for number in pair):
        raise ValueError(f"{name} must be a positive number or a pair of them, got {value!r}")
    return Tolerance(float(pair[0]), float(pair[1]))


def _positive(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and 0 < float(value) < inf

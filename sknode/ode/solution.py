"""The public solve."""

from reprlib import repr as shortened
from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor, nn

from . import native
from .dense import dense_form_of, parameters_of
from .eager import solve_eagerly
from .field import kind_of
from .pool import Pool
from .settings import Settings, SolverSettings, resolve, with_settings
from .stats import Stats
from .transforms import check_untransformed, untraced

__all__ = ["Solution", "check_field", "check_settings", "odeint", "solve"]

LARGEST = {dtype: torch.finfo(dtype).max for dtype in (torch.float32, torch.float64)}


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


@untraced
@with_settings(before="first_step")
def odeint(
    field: nn.Module,
    z0: Tensor,
    t: Tensor,
    *,
    first_step: float | Tensor | None = None,
    **settings: Unpack[SolverSettings],
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
    solver : str, default="dopri5"
        The Runge-Kutta method [2]_, one of `sknode.ode.TABLEAUS`: "euler", "midpoint", "heun2" and
        "rk4", say, or one that estimates its error and chooses its steps, unless `n_steps` is
        given, such as "bosh3", "dopri5" and "tsit5".
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
    engine : {"auto", "native", "eager"}, default="auto"
        "native": the compiled engine, for fields with a dense form, such as `MLPField`, on the
        CPU; not with `adjoint=None`. "eager": torch, for every field and device. "auto": native
        where it serves and was built. Both take the same steps.
    kinetic_energy : bool, default=False
        Whether to compute each row's kinetic energy ``∫ mean(f²) |dt|`` from t[0] to t[-1], the
        mean being over the row's dimensions. It is differentiable like the states, and a penalty
        on it makes ways short and straight, which need few steps [3]_. It is summed up along the
        steps and has no say in them.
    first_step : float, Tensor of shape () or None, default=None
        Size of the first step that adaptive methods try, for all rows. None: each row chooses its
        own, which takes one evaluation.

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
    check_field(field)
    _check_start(z0)
    times = _times(t, z0.dtype)
    z, stats, energy = solve(field, z0, times, check_settings(first_step, **settings))
    return Solution(torch.cat((z0, z)).view(-1, *z0.shape), stats, energy)


@untraced
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
    _check_start(z0)
    _check_span(times, z0.dtype)
    form = dense_form_of(field)
    if settings.engine != "eager":
        if form is not None and settings.adjoint is not None and native.serves(form, z0):
            layers = form.parameters
            _check_agreement(z0, layers)
            return native.solve_natively(form, layers, z0, times, settings, pool)
        if settings.engine == "native":
            raise ValueError(
                "engine='native' serves fields with a dense form, such as MLPField, and states "
                f"(rows, n_dims) on the CPU, got {type(field).__name__} and {(*z0.shape,)} on "
                f"{z0.device}; use engine='auto'"
            )
    parameters = parameters_of(field, form)
    _check_agreement(z0, parameters)
    return solve_eagerly(field, parameters, z0, times, settings, pool)


def check_settings(
    first_step: float | Tensor | None = None, **settings: Unpack[SolverSettings]
) -> Settings:
    """Check the settings of `odeint` and look up what they name."""
    resolved = resolve(first_step, **settings)
    if resolved.engine == "native" and native.ENGINE is None:
        raise ValueError("engine='native' was not built here; use engine='auto'")
    if resolved.engine == "native" and resolved.adjoint is None:
        raise ValueError("engine='native' builds no graph for adjoint=None; use engine='auto'")
    return resolved


def check_field(field: Any) -> None:
    """Raise a TypeError if something is not a module."""
    if not isinstance(field, nn.Module):
        raise TypeError(
            f"field must be a torch.nn.Module called as field(t, z), got {type(field).__name__}"
        )


def _check_start(z0: Any) -> None:
    if not isinstance(z0, Tensor):
        raise TypeError(f"z0 must be a tensor, got {type(z0).__name__}")
    if z0.dtype not in LARGEST:
        raise ValueError(f"z0 must be float32 or float64, got {z0.dtype}")
    _check_holds_numbers("z0", z0)
    if z0.ndim < 2 or z0.numel() == 0:
        raise ValueError(
            "z0 must have shape (rows, *state), one row or more of one number or more, got "
            f"{(*z0.shape,)}"
        )


def _check_holds_numbers(name: str, tensor: Tensor) -> None:
    if tensor.is_meta or tensor.is_nested or tensor.layout != torch.strided:
        kind = "nested" if tensor.is_nested else kind_of(tensor)
        raise ValueError(
            f"{name} must be a dense tensor that holds numbers, got one that is {kind}"
        )


def _check_agreement(z0: Tensor, parameters: tuple[Tensor, ...]) -> None:
    check_untransformed(z0, parameters)
    dtype = z0.dtype
    layout = z0.layout
    on_cpu = z0.is_cpu
    for p in parameters:
        if not isinstance(p, Tensor):
            raise TypeError(f"dense_form() must give weights and biases as tensors, got {type(p)}")
        # Each look at `device` makes a new object, which takes time that a small solve feels.
        here = p.is_cpu if on_cpu else p.device == z0.device
        if not here or p.dtype is not dtype or p.layout is not layout:
            raise ValueError(
                "the field and z0 must agree in dtype and device: a parameter is "
                f"{kind_of(p)}, z0 is {kind_of(z0)}"
            )


def _times(t: Any, dtype: torch.dtype) -> list[float]:
    """Return times as numbers, if they are in order, and states of a dtype can tell the ends."""
    if not isinstance(t, Tensor):
        raise TypeError(f"t must be a tensor, got {type(t).__name__}")
    _check_holds_numbers("t", t)
    if t.dtype == torch.bool or t.is_complex():
        raise ValueError(f"t must hold real numbers, got {t.dtype}")
    if t.ndim != 1 or len(t) < 2:
        raise ValueError(f"t must be one-dimensional with two or more times, got {(*t.shape,)}")
    if t.requires_grad:
        raise ValueError("t must not require a gradient: times are not differentiated")
    exact = t.to("cpu", torch.float64)
    differences = exact.diff()
    monotone = (differences > 0).all() or (differences < 0).all()
    if not bool(exact.isfinite().all() and monotone):
        raise ValueError(
            "t must be finite and strictly increasing or strictly decreasing, got "
            f"{shortened(exact.tolist())}"
        )
    first, last = exact[[0, -1]].to(dtype)
    if first == last:
        raise ValueError(
            f"t goes from {exact[0]:.17g} to {exact[-1]:.17g}, which are the same in {dtype}, the "
            "dtype of z0; shift the times towards zero, or solve in float64"
        )
    return exact.tolist()


def _check_span(times: list[float], dtype: torch.dtype) -> None:
    first = times[0]
    last = times[-1]
    if not abs(last - first) <= LARGEST[dtype]:
        raise ValueError(
            f"the times from {first:g} to {last:g} are beyond the range of {dtype}, the dtype of "
            "z0; scale them, or solve in float64"
        )

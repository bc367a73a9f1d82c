"""Solutions of equations: a damped oscillator, predators and prey, and polytropic stars."""

import cmath
from itertools import count

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp
from scipy.special import spherical_jn

from .._checks import is_integer
from .._vectors import check_vector
from ..exceptions import SolverError
from ._amounts import LARGEST, check_amount

__all__ = ["damped_oscillator", "lane_emden", "lotka_volterra"]

# So many evaluations take some seconds, and do for a thousand times round.
MOST_EVALUATIONS = 1_000_000


def damped_oscillator(
    times: ArrayLike,
    start: tuple[float, float] = (1.0, 0.0),
    *,
    frequency: float = 1.0,
    damping: float = 0.1,
) -> np.ndarray:
    """Return the motion of a damped harmonic oscillator.

    It solves x'' + 2 damping x' + frequency² x = 0 in closed form. The oscillator is underdamped
    where damping is less than frequency, critically damped where they are equal, and overdamped
    where it is greater.

    Parameters
    ----------
    times : array-like of shape (n_times,)
        The times since the start, not negative, at most 10¹⁰⁰, in any order.
    start : tuple of two floats, default=(1.0, 0.0)
        Position x and velocity x' at time 0.
    frequency : float, default=1.0
        The angular frequency without damping, in radians per unit of time; positive.
    damping : float, default=0.1
        The rate at which the amplitude of an underdamped oscillator decays, per unit of time;
        not negative.

    Returns
    -------
    ndarray of shape (n_times, 2)
        Position and velocity at each time.

    Raises
    ------
    ValueError
        If an argument is not allowed.

    Notes
    -----
    With μ² = damping² − frequency² the solution is a sum of cosh(μt) and sinh(μt)/μ, both times
    exp(−damping t) [1]_. It is computed from the modes, with the rates damping ± μ, such that no
    digits are lost near critical damping and nothing overflows.

    References
    ----------
    .. [1] Landau, Lifshitz, "Mechanics", 3rd edition, 1976, section 25.

    Examples
    --------
    >>> import numpy as np
    >>> from sknode.datasets import damped_oscillator
    >>> damped_oscillator([0, np.pi / 2, np.pi], frequency=1, damping=0).round(12) + 0.0
    array([[ 1.,  0.],
           [ 0., -1.],
           [-1.,  0.]])
    """
    times = _times("times", times)
    x, v = check_vector(
        "start",
        start,
        f"two numbers, from -{LARGEST:g} to {LARGEST:g}",
        lambda state: state.size == 2 and np.abs(state).max() <= LARGEST,
    )
    frequency = check_amount("frequency", frequency, positive=True)
    damping = check_amount("damping", damping)
    # At critical damping μ is zero; the limit there has the digits of so small a μ.
    mu = cmath.sqrt((damping - frequency) * (damping + frequency)) or 1e-150
    # The rates' product is frequency²; as damping − μ the slow one would lose digits.
    slow = frequency**2 / (damping + mu)
    decay = np.exp(-slow * times)
    cosh = (decay * (1 + np.exp(-2 * mu * times)) / 2).real
    sinh = (decay * -np.expm1(-2 * mu * times) / (2 * mu)).real
    position = x * cosh + (v + damping * x) * sinh
    velocity = v * cosh - (damping * v + frequency**2 * x) * sinh
    return np.stack([position, velocity], axis=1)


def lotka_volterra(
    times: ArrayLike,
    start: tuple[float, float] = (10.0, 5.0),
    *,
    growth: float = 1.0,
    predation: float = 0.1,
    conversion: float = 0.075,
    death: float = 1.5,
) -> np.ndarray:
    """Return the numbers of prey x and predators y over time.

    They solve x' = growth x − predation x y and y' = conversion x y − death y [1]_, and go round
    the equilibrium x = death / conversion, y = growth / predation.

    Parameters
    ----------
    times : array-like of shape (n_times,)
        The times since the start, not negative, at most 10¹⁰⁰, in any order.
    start : tuple of two floats, default=(10.0, 5.0)
        The numbers of prey and predators at time 0; positive.
    growth : float, default=1.0
        The rate at which prey grow without predators, per unit of time; positive.
    predation : float, default=0.1
        The rate at which a predator catches prey, per predator and unit of time; positive.
    conversion : float, default=0.075
        The rate at which prey make predators grow, per prey and unit of time; positive.
    death : float, default=1.5
        The rate at which predators die without prey, per unit of time; positive.

    Returns
    -------
    ndarray of shape (n_times, 2)
        The numbers of prey and predators at each time.

    Raises
    ------
    ValueError
        If an argument is not allowed.
    SolverError
        If the start or the rates are so large that the numbers leave the range of floats, or if a
        million evaluations, of which ten times round take some 8,000, do not suffice.

    Notes
    -----
    There is no closed form. The logarithms of the numbers are solved for by the method of Dormand
    and Prince of order eight, with tolerances of 1e-13. With the default arguments
    V = conversion x − death log x + predation y − growth log y, which the equations conserve,
    stays the same to 1e-11 until time 100.

    References
    ----------
    .. [1] Volterra, "Fluctuations in the Abundance of a Species Considered Mathematically",
       Nature 118, 1926.

    Examples
    --------
    >>> from sknode.datasets import lotka_volterra
    >>> lotka_volterra([0, 1, 2]).round(3)
    array([[10.   ,  5.   ],
           [18.635,  3.109],
           [35.314,  5.061]])
    """
    times = _times("times", times)
    initial = check_vector(
        "start", start, "two positive numbers", lambda state: state.size == 2 and np.all(state > 0)
    )
    growth = check_amount("growth", growth, positive=True)
    predation = check_amount("predation", predation, positive=True)
    conversion = check_amount("conversion", conversion, positive=True)
    death = check_amount("death", death, positive=True)

    evaluations = count()

    def rates(t: float, logarithms: np.ndarray) -> list[float]:
        if next(evaluations) == MOST_EVALUATIONS:
            raise SolverError(
                f"stopped at t={t:.3g} of {times.max():.3g} after {MOST_EVALUATIONS:,} "
                "evaluations; ask for earlier times"
            )
        prey, predators = np.exp(logarithms)
        return [growth - predation * predators, conversion * prey - death]

    # A trial step may overflow; it is rejected.
    with np.errstate(over="ignore", invalid="ignore"):
        solution = solve_ivp(
            rates,
            (0.0, times.max()),
            np.log(initial),
            method="DOP853",
            dense_output=True,
            rtol=1e-13,
            atol=1e-13,
        )
    if not solution.success:
        raise SolverError(
            f"stopped at t={solution.t[-1]:.3g}; start nearer to the equilibrium "
            f"({death / conversion:.3g}, {growth / predation:.3g}), got start={start!r}"
        )
    return np.exp(solution.sol(times).T)


def lane_emden(xi: ArrayLike, index: int) -> np.ndarray:
    """Return the structure of a polytropic star, where it has a closed form.

    It solves the Lane–Emden equation θ'' + 2/ξ θ' + θⁿ = 0 with θ(0) = 1 and θ'(0) = 0 [1]_,
    whose middle term is singular at ξ = 0.

    Parameters
    ----------
    xi : array-like of shape (n_xi,)
        The dimensionless distances ξ from the centre, not negative, at most 10¹⁰⁰, in any order.
    index : {0, 1, 5}
        The polytropic index n.

    Returns
    -------
    ndarray of shape (n_xi, 2)
        The values of θ and dθ/dξ at each distance.

    Raises
    ------
    ValueError
        If an argument is not allowed, or the index is not one of the three with a closed form.

    Notes
    -----
    θ is 1 − ξ²/6 for n = 0, sin(ξ)/ξ for n = 1 and 1/√(1 + ξ²/3) for n = 5. The star's surface,
    the first zero of θ, is at √6, at π and infinitely far. The formulas hold beyond it as well,
    where θ is no longer that of a star.

    References
    ----------
    .. [1] Chandrasekhar, "An Introduction to the Study of Stellar Structure", 1939, chapter IV.

    Examples
    --------
    >>> import numpy as np
    >>> from sknode.datasets import lane_emden
    >>> lane_emden([0, 1, np.sqrt(6)], index=0).round(4) + 0.0
    array([[ 1.    ,  0.    ],
           [ 0.8333, -0.3333],
           [ 0.    , -0.8165]])
    """
    xi = _times("xi", xi)
    if not is_integer(index, 0) or index not in (0, 1, 5):
        raise ValueError(f"index={index!r} has no closed form; choose from [0, 1, 5]")
    match index:
        case 0:
            theta = 1 - xi**2 / 6
            slope = -xi / 3
        case 1:
            theta = spherical_jn(0, xi)
            # The slope as cos(ξ)/ξ − sin(ξ)/ξ² would lose its digits near the centre.
            slope = -spherical_jn(1, xi)
        case _:
            theta = 1 / np.sqrt(1 + xi**2 / 3)
            slope = -xi / 3 * theta**3
    return np.stack([theta, slope], axis=1)


def _times(name: str, values: ArrayLike) -> np.ndarray:
    """Return values of the variable that a solution depends on."""
    return check_vector(
        name,
        values,
        f"a row of finite numbers, none below 0 and none above {LARGEST:g}",
        lambda vector: vector.size and vector.min() >= 0 and vector.max() <= LARGEST,
    )

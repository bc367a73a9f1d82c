"""Solutions of equations: exact, and refused where they make no sense."""

import math
import re

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from sknode.datasets import damped_oscillator, lane_emden, lotka_volterra, solutions
from sknode.exceptions import SolverError


def solved(field, times, start):
    """Return the solution of an ODE at increasing times, the first of which is the start."""
    span = (times[0], times[-1])
    solution = solve_ivp(field, span, start, method="DOP853", t_eval=times, rtol=1e-13, atol=1e-14)
    return solution.y.T


DAMPINGS = [0.0, 0.1, 1.3, *(1.7 * (1 + e) for e in (-1e-6, -1e-13, 0, 1e-13, 1e-6)), 2.0, 9.0]


@pytest.mark.parametrize("damping", DAMPINGS)
def test_the_oscillator_moves_by_the_exponential_of_its_matrix(damping):
    times = np.linspace(0, 10, 41)
    start = (0.7, -1.1)
    matrix = np.array([[0, 1], [-(1.7**2), -2 * damping]])
    exact = expm(times[:, np.newaxis, np.newaxis] * matrix) @ start
    states = damped_oscillator(times, start, frequency=1.7, damping=damping)
    np.testing.assert_allclose(states, exact, rtol=0, atol=1e-12)


def test_an_undamped_oscillator_is_a_cosine_for_a_thousand_periods():
    times = np.linspace(0, 1000, 12_345)
    states = damped_oscillator(times, frequency=2 * np.pi, damping=0)
    phase = 2 * np.pi * times
    exact = np.stack([np.cos(phase), -2 * np.pi * np.sin(phase)], axis=1)
    np.testing.assert_allclose(states, exact, rtol=0, atol=1e-11)


def test_critical_damping_is_approached_to_the_last_digits():
    times = np.linspace(0, 20, 50)
    exact = np.stack([(1 + times) * np.exp(-times), -times * np.exp(-times)], axis=1)
    for damping in (1 - 1e-15, 1.0, 1 + 1e-15):
        states = damped_oscillator(times, frequency=1, damping=damping)
        np.testing.assert_allclose(states, exact, rtol=1e-12, atol=1e-15)


def test_strong_damping_neither_overflows_nor_loses_the_slow_motion():
    slow = 1 / (1e6 + math.sqrt(1e12 - 1))
    times = np.array([0.0, 1.0, 1e3, 1e6, 1e9])
    states = damped_oscillator(times, (1.0, -slow), frequency=1, damping=1e6)
    exact = np.exp(-slow * times)
    np.testing.assert_allclose(states[:, 0], exact, rtol=1e-11)
    np.testing.assert_allclose(states[:, 1], -slow * exact, rtol=1e-9)


@pytest.mark.parametrize("frequency", [1e-100, 1.0, 1e100])
@pytest.mark.parametrize("damping", [0, 1e-100, 1.0, 1e100])
def test_an_oscillator_overflows_for_no_numbers_that_are_allowed(frequency, damping):
    times = [0.0, 1e-100, 1.0, 1e100]
    start = (1e100, -1e100)
    assert np.isfinite(damped_oscillator(times, start, frequency=frequency, damping=damping)).all()


@pytest.mark.parametrize("index", [0, 1, 5])
def test_a_polytrope_overflows_for_no_distance_that_is_allowed(index):
    assert np.isfinite(lane_emden([0.0, 1e-100, 1e100], index)).all()


@pytest.mark.parametrize("times", [(0, 2), np.float16([0, 2]), np.uint8([0, 2]), [np.int64(0), 2]])
def test_times_may_be_numbers_of_any_kind(times):
    np.testing.assert_array_equal(lane_emden(times, 1), lane_emden([0.0, 2.0], 1))


@pytest.mark.parametrize("solution", [damped_oscillator, lotka_volterra])
def test_the_states_do_not_depend_on_the_order_of_the_times(solution):
    times = np.array([2.0, 0.0, 3.5, 1.0])
    order = np.argsort(times)
    np.testing.assert_array_equal(solution(times)[order], solution(times[order]))


@pytest.mark.parametrize(
    ("solution", "start"), [(damped_oscillator, (1.0, 0.0)), (lotka_volterra, (10.0, 5.0))]
)
def test_the_state_at_time_zero_is_the_start(solution, start):
    for times in ([0.0], [0.0, 0.0], [0.0, 2.0]):
        states = solution(times)
        assert states.shape == (len(times), 2)
        np.testing.assert_allclose(states[0], start, rtol=1e-15)


SOLUTIONS = {
    "times": damped_oscillator,
    "xi": lambda xi: lane_emden(xi, 1),
}


@pytest.mark.parametrize("name", SOLUTIONS)
@pytest.mark.parametrize(
    "values",
    [
        [],
        1.0,
        "0",
        [[0.0]],
        [[0.0], [1.0, 2.0]],
        [0, -1],
        [math.nan],
        [math.inf],
        [1e101],
        [10**400],
        ["a"],
        ["0"],
        [None],
        [True],
        [1j],
        {},
        np.array(["2020"], dtype="M8[D]"),
        None,
    ],
)
def test_times_that_are_none_are_refused(name, values):
    message = f"{name} must be a row of finite numbers, none below 0 and none above 1e+100, got "
    with pytest.raises(ValueError, match=re.escape(f"{message}{values!r}")):
        SOLUTIONS[name](values)


def test_predators_and_prey_solve_their_equations():
    times = np.linspace(0, 10, 21)
    rates = {"growth": 1.1, "predation": 0.4, "conversion": 0.1, "death": 0.4}

    def field(t, state):
        x, y = state
        return [1.1 * x - 0.4 * x * y, 0.1 * x * y - 0.4 * y]

    states = lotka_volterra(times, (8.0, 3.0), **rates)
    np.testing.assert_allclose(states, solved(field, times, (8.0, 3.0)), rtol=1e-10)


def test_predators_and_prey_conserve_their_quantity():
    x, y = lotka_volterra(np.linspace(0, 100, 1001)).T
    conserved = 0.075 * x - 1.5 * np.log(x) + 0.1 * y - np.log(y)
    assert np.ptp(conserved) < 1e-11


def test_small_orbits_have_the_period_of_the_linear_equations():
    equilibrium = np.array([20.0, 10.0])
    deviation = np.array([2e-5, 0.0])
    period = 2 * np.pi / math.sqrt(1.0 * 1.5)
    half, whole = lotka_volterra([period / 2, period], equilibrium + deviation)
    np.testing.assert_allclose(half - equilibrium, -deviation, atol=1e-9)
    np.testing.assert_allclose(whole - equilibrium, deviation, atol=1e-9)


def test_the_equilibrium_stays():
    states = lotka_volterra([0, 10, 100], (20.0, 10.0))
    np.testing.assert_allclose(states, [[20, 10]] * 3, rtol=1e-12)


def test_a_solve_of_ages_is_given_up(monkeypatch):
    monkeypatch.setattr(solutions, "MOST_EVALUATIONS", 1000)
    with pytest.raises(SolverError, match=r"stopped at t=\d.* of 1e\+100 after 1,000 evaluations"):
        lotka_volterra([1e100])


def test_numbers_out_of_range_name_the_equilibrium():
    with pytest.raises(SolverError, match=r"nearer to the equilibrium \(20, 10\), got start=\(1e"):
        lotka_volterra([1.0], (1e300, 1.0))


@pytest.mark.parametrize("start", [(1, 0), (-1, 1), (1, math.inf), (1, 2, 3), 1])
def test_a_start_without_prey_or_predators_is_refused(start):
    message = f"start must be two positive numbers, got {start!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        lotka_volterra([1.0], start)


@pytest.mark.parametrize("start", [(1, math.nan), (1, 2, 3), 1, "ab", ("1", "2"), (1, 1e300), 1j])
def test_a_start_that_is_no_position_and_velocity_is_refused(start):
    with pytest.raises(
        ValueError,
        match=re.escape(f"start must be two numbers, from -1e+100 to 1e+100, got {start!r}"),
    ):
        damped_oscillator([1.0], start)


@pytest.mark.parametrize("rate", ["growth", "predation", "conversion", "death"])
def test_rates_that_are_not_positive_are_refused(rate):
    with pytest.raises(ValueError, match=f"{rate} must be positive and no more than .*, got 0"):
        lotka_volterra([1.0], **{rate: 0})


def test_an_oscillator_without_frequency_or_with_driving_is_refused():
    with pytest.raises(ValueError, match=r"frequency must be positive and no more than .*, got 0"):
        damped_oscillator([1.0], frequency=0)
    with pytest.raises(ValueError, match=r"damping must be at least 0 and no more .*, got -0\.1"):
        damped_oscillator([1.0], damping=-0.1)


@pytest.mark.parametrize("index", [0, 1, 5])
def test_a_polytrope_solves_the_lane_emden_equation(index):
    xi = np.linspace(0.5, 3.0, 26)
    states = lane_emden(xi, index)
    # The equation of n = 0 holds beyond the surface as well, which for n = 1 lies at π.
    solution = solved(lambda xi, s: [s[1], -2 / xi * s[1] - s[0] ** index], xi, states[0])
    np.testing.assert_allclose(states, solution, rtol=0, atol=1e-11)


@pytest.mark.parametrize("index", [0, 1, 5])
def test_a_polytrope_is_exact_near_the_centre(index):
    xi = np.concatenate([[0.0], np.logspace(-12, -2, 50)])
    # The power series of θ; the next term is less than 1e-13 of the slope.
    quartic = index / 120
    sextic = -index * (8 * index - 5) / 15120
    theta = 1 - xi**2 / 6 + quartic * xi**4 + sextic * xi**6
    slope = xi * (-1 / 3 + 4 * quartic * xi**2 + 6 * sextic * xi**4)
    states = lane_emden(xi, index)
    np.testing.assert_allclose(states[:, 0], theta, rtol=1e-15)
    np.testing.assert_allclose(states[:, 1], slope, rtol=1e-12)


def test_a_star_has_its_known_surface():
    np.testing.assert_allclose(lane_emden([math.sqrt(6)], 0)[0], [0, -math.sqrt(6) / 3], atol=1e-15)
    np.testing.assert_allclose(lane_emden([math.pi], 1)[0], [0, -1 / math.pi], atol=1e-15)


@pytest.mark.parametrize(
    "index", [3, 1.5, 1.0, -1, True, "1", None, [0], 10**400, math.nan, np.arange(2)]
)
def test_a_polytrope_without_closed_form_is_refused(index):
    message = f"index={index!r} has no closed form; choose from [0, 1, 5]"
    with pytest.raises(ValueError, match=re.escape(message)):
        lane_emden([1.0], index)

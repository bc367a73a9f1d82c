from itertools import combinations_with_replacement
from math import prod

import numpy as np
import pytest
from scipy.integrate import RK23, RK45

from sknode.ode.tableau import TABLEAUS, Tableau

# The order to which b(θ) satisfies the order conditions.
INTERPOLANT_ORDER = {
    "euler": 1,
    "midpoint": 2,
    "heun2": 2,
    "rk4": 3,
    "bosh3": 3,
    "dopri5": 4,
    "tsit5": 4,
}
# How many orders the error estimate's companion lies below the method.
EMBEDDED_ORDER = {"bosh3": 2, "dopri5": 4, "tsit5": 4}
# Tsitouras printed 16 digits of coefficients of size 90.
PRECISION = 1e-13

all_tableaus = pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=TABLEAUS)
adaptive_tableaus = pytest.mark.parametrize(
    "tableau", [TABLEAUS[name] for name in EMBEDDED_ORDER], ids=EMBEDDED_ORDER
)


def rooted_trees(order: int) -> set[tuple]:
    """Return all rooted trees with `order` nodes, each as the sorted tuple of its subtrees."""
    if order == 1:
        return {()}
    smaller = [tree for n in range(1, order) for tree in sorted(rooted_trees(n))]
    return {
        tuple(sorted(children))
        for n in range(1, order)
        for children in combinations_with_replacement(smaller, n)
        if sum(map(size, children)) == order - 1
    }


def size(tree: tuple) -> int:
    return 1 + sum(map(size, tree))


def density(tree: tuple) -> int:
    return size(tree) * prod(map(density, tree))


def matrix(tableau: Tableau) -> np.ndarray:
    n = tableau.n_stages
    return np.array([[*row, *[0.0] * (n - len(row))] for row in tableau.a])


def elementary_weights(tableau: Tableau, tree: tuple) -> np.ndarray:
    """Return the vector φ with which a method's condition for this tree is b·φ = 1/density."""
    parts = [matrix(tableau) @ elementary_weights(tableau, child) for child in tree]
    return np.prod([np.ones(tableau.n_stages), *parts], axis=0)


def violations(tableau: Tableau, weights: np.ndarray, order: int, theta: float = 1.0) -> list:
    return [
        weights @ elementary_weights(tableau, tree) - theta**order / density(tree)
        for tree in sorted(rooted_trees(order))
    ]


def test_there_are_one_one_two_four_nine_rooted_trees():
    assert [len(rooted_trees(n)) for n in range(1, 6)] == [1, 1, 2, 4, 9]


@all_tableaus
def test_a_method_satisfies_the_conditions_of_its_order_and_no_more(tableau):
    b = np.array(tableau.b)
    for order in range(1, tableau.order + 1):
        np.testing.assert_allclose(violations(tableau, b, order), 0, atol=PRECISION)
    assert np.abs(violations(tableau, b, tableau.order + 1)).max() > 1e-5


@all_tableaus
@pytest.mark.parametrize("theta", [0.1, 0.5, 0.9])
def test_an_interpolant_satisfies_the_conditions_of_its_order_at_every_point(tableau, theta):
    powers = theta ** np.arange(1, len(tableau.b_dense[0]) + 1)
    b = np.array(tableau.b_dense) @ powers
    interpolant_order = INTERPOLANT_ORDER[tableau.name]
    for order in range(1, interpolant_order + 1):
        np.testing.assert_allclose(violations(tableau, b, order, theta), 0, atol=PRECISION)
    assert np.abs(violations(tableau, b, interpolant_order + 1, theta)).max() > 1e-6


@adaptive_tableaus
def test_an_error_estimate_vanishes_to_the_order_of_the_embedded_method(tableau):
    b_embedded = np.array(tableau.b) - np.array(tableau.b_error)
    embedded_order = EMBEDDED_ORDER[tableau.name]
    for order in range(1, embedded_order + 1):
        np.testing.assert_allclose(violations(tableau, b_embedded, order), 0, atol=PRECISION)
    assert np.abs(violations(tableau, b_embedded, embedded_order + 1)).max() > 1e-5


@all_tableaus
def test_a_stage_lies_where_its_weights_add_up_to(tableau):
    np.testing.assert_allclose(matrix(tableau).sum(1), tableau.c, atol=PRECISION)


@all_tableaus
def test_a_method_is_explicit_and_its_rows_fit_together(tableau):
    assert [len(row) for row in tableau.a] == list(range(tableau.n_stages))
    assert len(tableau.c) == len(tableau.b_dense) == tableau.n_stages
    assert len({len(row) for row in tableau.b_dense}) == 1


@all_tableaus
def test_an_interpolant_ends_where_the_step_ends(tableau):
    np.testing.assert_allclose(np.sum(tableau.b_dense, axis=1), tableau.b, atol=PRECISION)


@pytest.mark.parametrize(("name", "reference"), [("dopri5", RK45), ("bosh3", RK23)])
def test_numbers_are_those_of_scipy(name, reference):
    tableau = TABLEAUS[name]
    # scipy keeps the last stage of an FSAL method, the solution itself, out of A, B and C.
    n = reference.n_stages
    np.testing.assert_allclose(matrix(tableau)[:n, : reference.A.shape[1]], reference.A, atol=1e-15)
    np.testing.assert_allclose(tableau.b[:n], reference.B, atol=1e-15)
    np.testing.assert_allclose(tableau.c[:n], reference.C, atol=1e-15)
    np.testing.assert_allclose(tableau.b_dense, reference.P, rtol=1e-15, atol=1e-15)
    # scipy subtracts the solution from its companion, and not the other way round.
    np.testing.assert_allclose(tableau.b_error, -reference.E, atol=1e-15)


def test_fsal_methods_are_those_whose_last_stage_is_the_solution():
    assert [name for name, tableau in TABLEAUS.items() if tableau.fsal] == [
        "bosh3",
        "dopri5",
        "tsit5",
    ]


def test_adaptive_methods_are_those_with_an_error_estimate():
    assert [name for name, tableau in TABLEAUS.items() if tableau.adaptive] == list(EMBEDDED_ORDER)


@all_tableaus
def test_a_method_is_found_by_its_name_and_cannot_be_changed(tableau):
    assert TABLEAUS[tableau.name] is tableau
    with pytest.raises(AttributeError):
        tableau.order = 7

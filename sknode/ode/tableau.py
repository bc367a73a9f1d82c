"""Explicit Runge-Kutta methods as data.

A method advances x by one step of size h through the stages

    X_i = x + Σ_{j<i} a_ij S_j,    S_i = h f(t + c_i h, X_i),

to x + Σ b_i S_i. Its error estimate is Σ e_i S_i, and between the two ends its solution is
x + Σ b_i(θ) S_i at time t + θh, where b_i(θ) = Σ_p d_ip θ^p.
"""

from dataclasses import dataclass

__all__ = ["TABLEAUS", "Tableau"]


@dataclass(frozen=True, eq=False)
class Tableau:
    """One explicit Runge-Kutta method, as Butcher's tableau of its coefficients [1]_.

    Parameters
    ----------
    name : str
        The usual name.
    order : int
        Order of convergence p: the error at a fixed time is O(h^p).
    c : tuple of float, length s
        Where in the step each stage lies, as a fraction of h.
    a : tuple of s tuples of float
        Row i holds the i weights of the earlier stages.
    b : tuple of float, length s
        Weights of the solution.
    b_dense : tuple of s tuples of float
        Row i holds the coefficients of θ, θ², ... of b_i(θ); they add up to b_i.
    b_error : tuple of float, length s, or None, default=None
        Weights of the error estimate, for methods that have one.

    Attributes
    ----------
    n_stages : int
        Number of stages s.
    fsal : bool
        Whether the last stage is f at the end of the step ("first same as last").
    adaptive : bool
        Whether the method estimates its error and so can choose its steps.

    References
    ----------
    .. [1] Hairer, Nørsett, Wanner, "Solving Ordinary Differential Equations I", Springer 1993.

    Examples
    --------
    >>> from sknode.ode import TABLEAUS
    >>> TABLEAUS["dopri5"].n_stages, TABLEAUS["dopri5"].fsal, TABLEAUS["rk4"].adaptive
    (7, True, False)
    """

    name: str
    order: int
    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    b_dense: tuple[tuple[float, ...], ...]
    b_error: tuple[float, ...] | None = None

    @property
    def n_stages(self) -> int:
        """Number of stages s."""
        return len(self.b)

    @property
    def fsal(self) -> bool:
        """Whether the last stage is f at the end of the step ("first same as last")."""
        return self.n_stages > 1 and self.a[-1] == self.b[:-1] and self.b[-1] == 0

    @property
    def adaptive(self) -> bool:
        """Whether the method estimates its error and so can choose its steps."""
        return self.b_error is not None


EULER = Tableau("euler", order=1, c=(0.0,), a=((),), b=(1.0,), b_dense=((1.0,),))

MIDPOINT = Tableau(
    "midpoint",
    order=2,
    c=(0.0, 1 / 2),
    a=((), (1 / 2,)),
    b=(0.0, 1.0),
    b_dense=((1.0, -1.0), (0.0, 1.0)),
)

HEUN2 = Tableau(
    "heun2",
    order=2,
    c=(0.0, 1.0),
    a=((), (1.0,)),
    b=(1 / 2, 1 / 2),
    b_dense=((1.0, -1 / 2), (0.0, 1 / 2)),
)

# The interpolant of order 3: Hairer, Nørsett, Wanner, Solving ODEs I (1993), section II.6.
RK4 = Tableau(
    "rk4",
    order=4,
    c=(0.0, 1 / 2, 1 / 2, 1.0),
    a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
    b_dense=(
        (1.0, -3 / 2, 2 / 3),
        (0.0, 1.0, -2 / 3),
        (0.0, 1.0, -2 / 3),
        (0.0, -1 / 2, 2 / 3),
    ),
)

# Bogacki, Shampine, A 3(2) pair of Runge-Kutta formulas (1989); the interpolant is the cubic
# Hermite polynomial through both ends.
BOSH3 = Tableau(
    "bosh3",
    order=3,
    c=(0.0, 1 / 2, 3 / 4, 1.0),
    a=((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
    b=(2 / 9, 1 / 3, 4 / 9, 0.0),
    b_dense=(
        (1.0, -4 / 3, 5 / 9),
        (0.0, 1.0, -2 / 3),
        (0.0, 4 / 3, -8 / 9),
        (0.0, -1.0, 1.0),
    ),
    b_error=(2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8),
)

# Dormand, Prince, A family of embedded Runge-Kutta formulae (1980); the interpolant of order 4
# is Shampine's, Some practical Runge-Kutta formulas (1986).
DOPRI5 = Tableau(
    "dopri5",
    order=5,
    c=(0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    a=(
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    b=(35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0),
    b_dense=(
        (
            1.0,
            -8048581381 / 2820520608,
            8663915743 / 2820520608,
            -12715105075 / 11282082432,
        ),
        (0.0, 0.0, 0.0, 0.0),
        (
            0.0,
            131558114200 / 32700410799,
            -68118460800 / 10900136933,
            87487479700 / 32700410799,
        ),
        (
            0.0,
            -1754552775 / 470086768,
            14199869525 / 1410260304,
            -10690763975 / 1880347072,
        ),
        (
            0.0,
            127303824393 / 49829197408,
            -318862633887 / 49829197408,
            701980252875 / 199316789632,
        ),
        (0.0, -282668133 / 205662961, 2019193451 / 616988883, -1453857185 / 822651844),
        (0.0, 40617522 / 29380423, -110615467 / 29380423, 69997945 / 29380423),
    ),
    b_error=(
        35 / 384 - 5179 / 57600,
        0.0,
        500 / 1113 - 7571 / 16695,
        125 / 192 - 393 / 640,
        -2187 / 6784 + 92097 / 339200,
        11 / 84 - 187 / 2100,
        -1 / 40,
    ),
)

# Tsitouras, Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying
# assumption (2011), interpolant of order 4 included.
TSIT5 = Tableau(
    "tsit5",
    order=5,
    c=(0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0),
    a=(
        (),
        (0.161,),
        (-0.008480655492356989, 0.335480655492357),
        (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
        (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
        (
            5.86145544294642,
            -12.92096931784711,
            8.159367898576159,
            -0.071584973281401,
            -0.028269050394068383,
        ),
        (
            0.09646076681806523,
            0.01,
            0.4798896504144996,
            1.379008574103742,
            -3.290069515436081,
            2.324710524099774,
        ),
    ),
    b=(
        0.09646076681806523,
        0.01,
        0.4798896504144996,
        1.379008574103742,
        -3.290069515436081,
        2.324710524099774,
        0.0,
    ),
    b_dense=(
        (1.0, -2.763706197274826, 2.9132554618219126, -1.0530884977290216),
        (0.0, 0.13169999999999998, -0.2234, 0.1017),
        (0.0, 3.9302962368947516, -5.941033872131505, 2.490627285651253),
        (0.0, -12.411077166933676, 30.33818863028232, -16.548102889244902),
        (0.0, 37.50931341651104, -88.1789048947664, 47.37952196281928),
        (0.0, -27.896526289197286, 65.09189467479366, -34.87065786149661),
        (0.0, 1.5, -4.0, 2.5),
    ),
    b_error=(
        -0.00178001105222577714,
        -0.0008164344596567469,
        0.007880878010261995,
        -0.1447110071732629,
        0.5823571654525552,
        -0.45808210592918697,
        1 / 66,
    ),
)

TABLEAUS: dict[str, Tableau] = {
    tableau.name: tableau for tableau in (EULER, MIDPOINT, HEUN2, RK4, BOSH3, DOPRI5, TSIT5)
}
"""The methods by the names that `solver` takes."""

"""Rows drawn at random: spheres, the reflection, and spirals."""

import numpy as np

from .._checks import check_count, is_integer
from .._vectors import check_vector
from ._amounts import check_amount

__all__ = ["make_reflection", "make_spheres", "make_spirals"]

# So many numbers take 0.8 GB.
MOST_NUMBERS = 10**8


def make_spheres(
    n_samples: int = 1000,
    *,
    n_features: int = 2,
    radii: tuple[float, float, float] = (0.5, 1.0, 1.5),
    random_state: int | np.random.RandomState | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw points of a ball and of a shell around it.

    The flow of no ODE in as many dimensions makes the two linearly separable. A Neural ODE without
    further dimensions can still separate points of them, with a field that takes many evaluations
    to solve [1]_.

    Parameters
    ----------
    n_samples : int, default=1000
        The number of points: half of them, rounded down, lie in the ball, the others in the shell.
    n_features : int, default=2
        The number of dimensions. At most 10⁸ numbers are drawn, n_samples · n_features.
    radii : tuple of three floats, default=(0.5, 1.0, 1.5)
        The radius of the ball, and the inner and outer radius of the shell, in increasing order.
    random_state : int, RandomState instance or None, default=None
        The seed or the generator. None draws other points in every call, and leaves numpy's global
        generator as it is.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The points in random order, distributed uniformly by volume within each body.
    y : ndarray of shape (n_samples,)
        0 for points of the ball, 1 for points of the shell.

    Raises
    ------
    ValueError
        If an argument is not allowed.

    See Also
    --------
    sklearn.datasets.make_moons : Two interleaved half circles.
    sklearn.datasets.make_circles : The same problem for two circles in the plane.

    Notes
    -----
    The program published with [1]_ draws points that are only about uniform within the shell.

    References
    ----------
    .. [1] Dupont, Doucet, Teh, "Augmented Neural ODEs", NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sknode.datasets import make_spheres
    >>> X, y = make_spheres(200, n_features=3, random_state=0)
    >>> X.shape, np.bincount(y)
    ((200, 3), array([100, 100]))
    >>> bool(np.all((np.linalg.norm(X, axis=1) < 0.75) == (y == 0)))
    True
    """
    n_samples = check_count("n_samples", n_samples, MOST_NUMBERS)
    n_features = check_count("n_features", n_features, MOST_NUMBERS // n_samples)
    r1, r2, r3 = check_vector(
        "radii",
        radii,
        "three positive numbers in increasing order",
        lambda r: r.size == 3 and r[0] > 0 and np.all(np.diff(r) > 0),
    )
    random = _generator(random_state)
    y = _balanced_labels(n_samples, 2, random)
    inner, outer = np.array([[0.0, r1], [r2, r3]])[y].T
    X = random.standard_normal((n_samples, n_features))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    # The share of the body's volume that lies beyond the point is uniform. Only the ratio of the
    # radii is raised to the number of dimensions: the powers themselves may overflow.
    beyond = random.random_sample(n_samples) * (1 - (inner / outer) ** n_features)
    X *= (outer * (1 - beyond) ** (1 / n_features))[:, np.newaxis]
    return X, y


def make_reflection(
    n_samples: int = 1000,
    *,
    noise: float = 0.1,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw numbers about −1 and 1, and reflect them at the origin.

    The map is g(x) = −x. The flow of no ODE in one dimension can represent it, as trajectories
    would have to cross (proposition 1 of [1]_); one further dimension is enough.

    Parameters
    ----------
    n_samples : int, default=1000
        The number of samples, at most 10⁸: half of them, rounded down, lie about −1, the others
        about 1.
    noise : float, default=0.1
        The standard deviation of the normal distributions about −1 and 1.
    random_state : int, RandomState instance or None, default=None
        The seed or the generator. None draws other numbers in every call, and leaves numpy's
        global generator as it is.

    Returns
    -------
    X : ndarray of shape (n_samples, 1)
        The numbers in random order.
    y : ndarray of shape (n_samples,)
        The same with the other sign, exactly.

    Raises
    ------
    ValueError
        If an argument is not allowed.

    References
    ----------
    .. [1] Dupont, Doucet, Teh, "Augmented Neural ODEs", NeurIPS 2019.

    Examples
    --------
    >>> from sknode.datasets import make_reflection
    >>> X, y = make_reflection(4, noise=0, random_state=0)
    >>> X.ravel()
    array([ 1., -1., -1.,  1.])
    >>> y
    array([-1.,  1.,  1., -1.])
    """
    n_samples = check_count("n_samples", n_samples, MOST_NUMBERS)
    noise = check_amount("noise", noise)
    random = _generator(random_state)
    centers = 2 * _balanced_labels(n_samples, 2, random) - 1
    x = centers + noise * random.standard_normal(n_samples)
    return x[:, np.newaxis], -x


def make_spirals(
    n_samples: int = 1000,
    *,
    n_classes: int = 2,
    turns: float = 1.0,
    noise: float = 0.0,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw points of intertwined spirals in the plane.

    The spirals of the classes are Archimedean, start in the origin, end on the unit circle and
    differ by a rotation. Two of them are a classical problem for neural networks [1]_.

    Parameters
    ----------
    n_samples : int, default=1000
        The number of points, at most 10⁸, shared among the classes as evenly as can be.
    n_classes : int, default=2
        The number of spirals, at most 10⁸.
    turns : float, default=1.0
        How often each spiral turns round the origin, counterclockwise on its way out.
    noise : float, default=0.0
        The standard deviation of the normal noise that is added to both coordinates.
    random_state : int, RandomState instance or None, default=None
        The seed or the generator. None draws other points in every call, and leaves numpy's global
        generator as it is.

    Returns
    -------
    X : ndarray of shape (n_samples, 2)
        The points in random order.
    y : ndarray of shape (n_samples,)
        Their spirals, from 0 to n_classes − 1.

    Raises
    ------
    ValueError
        If an argument is not allowed.

    See Also
    --------
    sklearn.datasets.make_moons : Two interleaved half circles.

    Notes
    -----
    A point of class c at the distance r from the origin lies, without noise, at the angle
    2π (turns · r + c / n_classes). The squares of the distances are distributed uniformly from 0
    to 1, so that the points lie about as densely inside as outside.

    References
    ----------
    .. [1] Lang, Witbrock, "Learning to Tell Two Spirals Apart", Proceedings of the 1988
       Connectionist Models Summer School.

    Examples
    --------
    >>> import numpy as np
    >>> from sknode.datasets import make_spirals
    >>> X, y = make_spirals(300, n_classes=3, turns=1.5, noise=0.02, random_state=0)
    >>> X.shape, np.bincount(y)
    ((300, 2), array([100, 100, 100]))
    """
    n_samples = check_count("n_samples", n_samples, MOST_NUMBERS)
    n_classes = check_count("n_classes", n_classes, MOST_NUMBERS)
    turns = check_amount("turns", turns, positive=True)
    noise = check_amount("noise", noise)
    random = _generator(random_state)
    y = _balanced_labels(n_samples, n_classes, random)
    radius = np.sqrt(random.random_sample(n_samples))
    angle = 2 * np.pi * (turns * radius + y / n_classes)
    X = radius[:, np.newaxis] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return X + noise * random.standard_normal(X.shape), y


def _generator(random_state: int | np.random.RandomState | None) -> np.random.RandomState:
    """Return a generator, which for None is a new one rather than numpy's global one."""
    if isinstance(random_state, np.random.RandomState):
        return random_state
    if random_state is None:
        return np.random.RandomState()
    if not is_integer(random_state, 0, 2**32 - 1):
        raise ValueError(
            "random_state must be an integer from 0 to 2**32 - 1, a RandomState or None: "
            f"{random_state!r} cannot be used to seed"
        )
    return np.random.RandomState(random_state)


def _balanced_labels(n_samples: int, n_classes: int, random: np.random.RandomState) -> np.ndarray:
    """Return labels in random order; of two classes n_samples // 2 are zero."""
    return random.permutation(np.arange(1, n_samples + 1) % n_classes)

"""The toy problems of the papers on Neural ODEs, and MNIST from a local file or folder.

Two interleaved half circles, the other common problem, are `sklearn.datasets.make_moons`.
"""

import cmath
import gzip
import math
import os
import zipfile
import zlib
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp
from scipy.special import spherical_jn

from ._checks import check_count, check_path, is_integer, is_number
from ._vectors import check_vector
from .exceptions import SolverError

__all__ = [
    "ImageData",
    "damped_oscillator",
    "lane_emden",
    "load_mnist",
    "lotka_volterra",
    "make_reflection",
    "make_spheres",
    "make_spirals",
]

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
IDX_UNSIGNED_BYTE = 0x08
# 0.8 GB of them.
MOST_NUMBERS = 10**8
# The products of two and of three such numbers are finite.
LARGEST = 1e100
# They take some seconds, and do for a thousand times round.
MOST_EVALUATIONS = 1_000_000


class ImageData(NamedTuple):
    """Images and their labels, in a training and a test set.

    Attributes
    ----------
    X_train : ndarray of shape (n_train, 28, 28), dtype uint8
        The images of the training set, from 0 (background) to 255.
    y_train : ndarray of shape (n_train,), dtype int64
        Their labels.
    X_test : ndarray of shape (n_test, 28, 28), dtype uint8
        The images of the test set.
    y_test : ndarray of shape (n_test,), dtype int64
        Their labels.

    Examples
    --------
    >>> import numpy as np
    >>> from sknode.datasets import ImageData
    >>> X, y = np.zeros((3, 28, 28), dtype=np.uint8), np.arange(3)
    >>> digits = ImageData(X[:2], y[:2], X[2:], y[2:])
    >>> digits.X_train.shape, digits.y_test
    ((2, 28, 28), array([2]))
    """

    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


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
    noise = _number("noise", noise)
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
    turns = _number("turns", turns, positive=True)
    noise = _number("noise", noise)
    random = _generator(random_state)
    y = _balanced_labels(n_samples, n_classes, random)
    radius = np.sqrt(random.random_sample(n_samples))
    angle = 2 * np.pi * (turns * radius + y / n_classes)
    X = radius[:, np.newaxis] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return X + noise * random.standard_normal(X.shape), y


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
    frequency = _number("frequency", frequency, positive=True)
    damping = _number("damping", damping)
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
    growth = _number("growth", growth, positive=True)
    predation = _number("predation", predation, positive=True)
    conversion = _number("conversion", conversion, positive=True)
    death = _number("death", death, positive=True)

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
            theta, slope = 1 - xi**2 / 6, -xi / 3
        case 1:
            # The slope as cos(ξ)/ξ − sin(ξ)/ξ² would lose its digits near the centre.
            theta, slope = spherical_jn(0, xi), -spherical_jn(1, xi)
        case _:
            theta = 1 / np.sqrt(1 + xi**2 / 3)
            slope = -xi / 3 * theta**3
    return np.stack([theta, slope], axis=1)


def load_mnist(path: str | os.PathLike[str]) -> ImageData:
    """Load the handwritten digits of MNIST from a folder or an .npz file.

    Nothing is downloaded. What has the same format, such as Fashion-MNIST, can be loaded as well.

    Parameters
    ----------
    path : str or path-like
        One of

        - a folder with the four files of MNIST [1]_, train-images-idx3-ubyte,
          train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, with a hyphen
          or a dot before "idx", as they are or compressed, with .gz at the end of the name;
        - an .npz file with the arrays X_train, y_train, X_test and y_test, or x_train, y_train,
          x_test and y_test, as Keras has it. The images may be flat, with 784 columns.

    Returns
    -------
    ImageData
        Images and labels of the training and the test set.

    Raises
    ------
    TypeError
        If the path is none.
    FileNotFoundError
        If there is no such folder or file, or if one of the four files is missing; it is named.
    ValueError
        If a file is damaged or holds something else; it is named.

    References
    ----------
    .. [1] LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document
       Recognition", Proceedings of the IEEE 86, 1998.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from sknode.datasets import load_mnist
    >>> X, y = np.zeros((5, 784), dtype=np.uint8), np.arange(5)
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "digits.npz"
    ...     np.savez(path, X_train=X[:3], y_train=y[:3], X_test=X[3:], y_test=y[3:])
    ...     digits = load_mnist(path)
    >>> digits.X_train.shape, digits.y_test
    ((3, 28, 28), array([3, 4]))
    """
    path = check_path(path)
    if path.is_dir():
        arrays = [_read_idx(_idx_path(path, name)) for name in IDX_FILES]
    else:
        arrays = _read_npz(path)
    X_train, y_train, X_test, y_test = arrays
    return ImageData(
        *_checked(X_train, y_train, f"in the training set of {path}"),
        *_checked(X_test, y_test, f"in the test set of {path}"),
    )


def _number(name: str, value: Any, *, positive: bool = False) -> float:
    """Return a value as a float, or raise a ValueError if it is not one from or above zero."""
    if not is_number(value) or not 0 <= value <= LARGEST or (positive and value == 0):
        least = "positive" if positive else "at least 0"
        raise ValueError(f"{name} must be {least} and no more than {LARGEST:g}, got {value!r}")
    return float(value)


def _times(name: str, values: ArrayLike) -> np.ndarray:
    """Return values of the variable that a solution depends on."""
    return check_vector(
        name,
        values,
        f"a row of finite numbers, none below 0 and none above {LARGEST:g}",
        lambda vector: vector.size and vector.min() >= 0 and vector.max() <= LARGEST,
    )


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


def _idx_path(folder: Path, name: str) -> Path:
    """Return the path of one of MNIST's files by one of the names it is known by."""
    names = [name, f"{name}.gz"]
    names += [known.replace("-idx", ".idx") for known in names]
    for known in names:
        if (folder / known).is_file():
            return folder / known
    raise FileNotFoundError(f"{name} is missing in {folder}; looked for {names}")


def _read_idx(path: Path) -> np.ndarray:
    """Return what an IDX file holds, or raise a ValueError that says what is wrong with it."""
    data = path.read_bytes()
    try:
        data = gzip.decompress(data) if path.suffix == ".gz" else data
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be decompressed: {error}") from error
    n_dims = 3 if "idx3" in path.name else 1
    magic = bytes([0, 0, IDX_UNSIGNED_BYTE, n_dims])
    if data[:4] != magic:
        raise ValueError(
            f"{path} must start with the bytes {magic.hex(' ')}, for unsigned bytes in {n_dims} "
            f"dimension(s), got {data[:4].hex(' ')}"
        )
    header = 4 + 4 * n_dims
    shape = [int.from_bytes(data[i : i + 4], "big") for i in range(4, header, 4)]
    length = header + math.prod(shape)
    if len(data) != length:
        raise ValueError(f"{path} must hold {length} bytes by its header, got {len(data)}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape).copy()


def _read_npz(path: Path) -> list[np.ndarray]:
    """Return the four arrays of an .npz file, or raise an error that says what is wrong."""
    if not path.exists():
        raise FileNotFoundError(f"there is neither a folder nor a file {path}")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not an .npz file, or it is truncated")
    spellings = [list(ImageData._fields), [name.lower() for name in ImageData._fields]]
    try:
        with np.load(path, allow_pickle=False) as file:
            found = sorted(file)
            for names in spellings:
                if set(names) <= set(found):
                    return [file[name] for name in names]
    except (EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} cannot be loaded: {error}") from error
    raise ValueError(f"{path} must hold the arrays {' or '.join(map(str, spellings))}, got {found}")


def _checked(X: np.ndarray, y: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images in rows and columns with their labels, if they are such."""
    if X.dtype != np.uint8 or X.shape[1:] not in ((28, 28), (784,)):
        raise ValueError(
            f"the images {where} must be unsigned bytes of shape (n, 28, 28) or (n, 784), got "
            f"{X.dtype} of shape {X.shape}"
        )
    if y.dtype.kind not in "iu" or y.shape != (len(X),):
        raise ValueError(
            f"the labels {where} must be integers of shape ({len(X)},), one for each image, got "
            f"{y.dtype} of shape {y.shape}"
        )
    return X.reshape(len(X), 28, 28), y.astype(np.int64)

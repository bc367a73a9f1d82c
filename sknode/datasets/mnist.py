"""MNIST, and what has its format, from a local file or folder."""

import gzip
import math
import os
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .._checks import check_path

__all__ = ["ImageData", "load_mnist"]

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
IDX_UNSIGNED_BYTE = 0x08


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

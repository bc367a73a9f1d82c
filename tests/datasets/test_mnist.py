"""MNIST: what is in the files, or an error that names what is wrong with them."""

import gzip
import re
import struct

import numpy as np
import pytest

from sknode.datasets import ImageData, load_mnist

FIELDS = ("X_train", "y_train", "X_test", "y_test")


def small_data():
    """Return five images for training and three for the test."""
    rng = np.random.default_rng(0)
    return ImageData(
        rng.integers(0, 256, (5, 28, 28), dtype=np.uint8),
        rng.integers(0, 10, 5),
        rng.integers(0, 256, (3, 28, 28), dtype=np.uint8),
        rng.integers(0, 10, 3),
    )


def idx(array):
    """Return the bytes of an IDX file."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_folder(folder, data, separator="-", compressed=False):
    """Write the four files of MNIST."""
    names = ("train-images", "train-labels", "t10k-images", "t10k-labels")
    for name, array in zip(names, data, strict=True):
        content = gzip.compress(idx(array)) if compressed else idx(array)
        end = ".gz" if compressed else ""
        (folder / f"{name}{separator}idx{array.ndim}-ubyte{end}").write_bytes(content)


def assert_loads(path, data):
    """Load and compare values and types."""
    loaded = load_mnist(path)
    assert isinstance(loaded, ImageData)
    for array, expected in zip(loaded, data, strict=True):
        np.testing.assert_array_equal(array, expected)
        assert array.flags.writeable
    assert [array.dtype for array in loaded] == [np.uint8, np.int64] * 2


@pytest.mark.parametrize("separator", ["-", "."])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_folder_gives_back_what_was_written(tmp_path, separator, compressed):
    write_folder(tmp_path, small_data(), separator, compressed)
    assert_loads(tmp_path, small_data())
    assert_loads(str(tmp_path), small_data())


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("spelled", [str, str.lower])
@pytest.mark.parametrize("flat", [False, True])
def test_a_file_of_arrays_gives_back_what_was_written(tmp_path, save, spelled, flat):
    arrays = dict(zip(map(spelled, FIELDS), small_data(), strict=True))
    if flat:
        arrays = {name: array.reshape(len(array), -1).squeeze() for name, array in arrays.items()}
    save(tmp_path / "digits.npz", classes=np.array(["a", "b"]), **arrays)
    assert_loads(tmp_path / "digits.npz", small_data())


def test_a_missing_file_is_named_with_the_names_looked_for(tmp_path):
    write_folder(tmp_path, small_data())
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="t10k-labels-idx1-ubyte is missing in") as raised:
        load_mnist(tmp_path)
    for name in (
        "t10k-labels-idx1-ubyte.gz",
        "t10k-labels.idx1-ubyte",
        "t10k-labels.idx1-ubyte.gz",
    ):
        assert f"'{name}'" in str(raised.value)


@pytest.mark.parametrize("path", [5, None, b"digits.npz", ["digits.npz"]])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(TypeError, match="path must be a str or a path, got"):
        load_mnist(path)


def test_a_path_to_nothing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"neither a folder nor a file .*nothing\.npz"):
        load_mnist(tmp_path / "nothing.npz")


@pytest.mark.parametrize(
    ("start", "found"),
    [
        (b"\0\0\x08\x01", "00 00 08 01"),  # one dimension
        (b"\0\0\x0d\x03", "00 00 0d 03"),  # floats
        (b"\x1f\x8b\x08\x08", "1f 8b 08 08"),  # compressed
    ],
)
def test_an_idx_file_of_something_else_is_named(tmp_path, start, found):
    write_folder(tmp_path, small_data())
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(start + path.read_bytes()[4:])
    message = f"{path} must start with the bytes 00 00 08 03, for unsigned bytes in 3 dim"
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        load_mnist(tmp_path)
    assert str(raised.value).endswith(f"got {found}")


def test_no_part_of_an_idx_file_passes_for_it(tmp_path):
    write_folder(tmp_path, small_data())
    path = tmp_path / "t10k-labels-idx1-ubyte"
    data = path.read_bytes()
    for n in range(len(data)):
        path.write_bytes(data[:n])
        with pytest.raises(ValueError, match=rf"{re.escape(str(path))} must (start|hold)"):
            load_mnist(tmp_path)
    path.write_bytes(data + b"\0")
    with pytest.raises(ValueError, match="must hold 11 bytes by its header, got 12"):
        load_mnist(tmp_path)


def damaged(data):
    """Return a compressed file with a byte changed in the middle."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"no gzip" + data, damaged]
)
def test_a_compressed_file_that_is_damaged_is_named(tmp_path, damage):
    write_folder(tmp_path, small_data(), compressed=True)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=re.escape(f"{path} cannot be decompressed: ")):
        load_mnist(tmp_path)


def test_a_file_that_is_no_archive_is_named(tmp_path):
    np.save(tmp_path / "digits.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"digits\.npy is not an \.npz file, or it is truncated"):
        load_mnist(tmp_path / "digits.npy")


def test_an_archive_that_is_damaged_is_named(tmp_path):
    path = tmp_path / "digits.npz"
    np.savez_compressed(path, **small_data()._asdict())
    path.write_bytes(damaged(path.read_bytes()))
    with pytest.raises(ValueError, match=re.escape(f"{path} cannot be loaded: ")):
        load_mnist(path)


def test_objects_are_not_unpickled(tmp_path):
    path = tmp_path / "digits.npz"
    arrays = {**small_data()._asdict(), "y_test": np.array([1, None, 2])}
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"cannot be loaded: .*allow_pickle=False"):
        load_mnist(path)


def test_an_archive_of_other_arrays_lists_them(tmp_path):
    np.savez(tmp_path / "digits.npz", X=np.zeros(3), y=np.zeros(3))
    with pytest.raises(ValueError, match=r"must hold the arrays .*'x_test'.*, got \['X', 'y'\]"):
        load_mnist(tmp_path / "digits.npz")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("X_train", np.zeros((5, 28, 28)), "images in the training set of .* got float64"),
        ("X_train", np.zeros((5, 32, 32), np.uint8), r"got uint8 of shape \(5, 32, 32\)"),
        ("X_test", np.zeros((3, 783), np.uint8), r"images in the test set of .* \(3, 783\)"),
        ("y_train", np.zeros(5), "labels in the training set of .* got float64"),
        ("y_test", np.zeros(5, int), r"integers of shape \(3,\), one for each .* \(5,\)"),
        ("y_test", np.zeros((3, 10), int), r"labels in the test set of .* \(3, 10\)"),
    ],
)
def test_arrays_that_are_no_images_and_labels_are_refused(tmp_path, name, array, message):
    np.savez(tmp_path / "digits.npz", **{**small_data()._asdict(), name: array})
    with pytest.raises(ValueError, match=message):
        load_mnist(tmp_path / "digits.npz")

"""Values as JSON, and back."""

import json

import numpy as np
import pytest

from sknode._encoding import MOST_PADDING, decode, encode
from sknode.training.scaling import Scaling

VALUES = [
    None, True, 3, 10**30, 0.1, float("inf"), "π", [1, [2.0, "a"]], (1e-3, (1, 2)),
    {"a": 1, 2: (3,)},
    np.float32(0.1), np.int64(3), np.True_, np.array([0.1, 3e-320]),
    np.array([[1, 2]], dtype=">i4"), np.array([], dtype=np.uint8), np.array([True, False]),
    np.array(["a", "bcd"], dtype="<U20"), np.array(["a", "long label"], dtype=object),
    np.array([0.1, 65504], dtype=np.float16),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_given_back_to_the_last_bit_with_its_type(value):
    found = decode(json.loads(json.dumps(encode(value, "value"))))
    assert type(found) is type(value)
    if isinstance(value, np.ndarray | np.generic):
        assert (found.dtype.str, found.shape) == (value.dtype.str, value.shape)
        assert found.tolist() == value.tolist()
    else:
        assert found == value


def test_a_scaling_is_given_back():
    found = decode(encode(Scaling(np.array([0.1]), np.array([3.0]), clips=True), "scaling_"))
    assert isinstance(found, Scaling)
    assert (found.center, found.scale, found.clips) == (0.1, 3.0, True)


@pytest.mark.parametrize(
    "value", [object(), 1j, b"a", np.array([1j]), np.longdouble(1), np.array(["2020"], "M8[Y]")]
)
def test_what_only_code_could_bring_back_is_named(value):
    with pytest.raises(ValueError, match=r"name holds .*, which only code could bring back"):
        encode(value, "name")


def test_texts_may_have_room_to_spare_but_not_any_amount():
    width = MOST_PADDING // 4 // 2
    padded = np.array(["", ""], dtype=f"<U{width}")
    assert decode(encode(padded, "name")).dtype == padded.dtype
    for more in (
        {"array": ["", ""], "dtype": f"<U{width + 1}", "scalar": False},
        [{"array": "", "dtype": f"<U{width}", "scalar": True}] * 3,
        {"array": [""] * 3 + ["n" * width], "dtype": f"<U{width}", "scalar": False},
    ):
        with pytest.raises(ValueError, match="takes more than 16777216 bytes beyond what they"):
            decode(more)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"list": [1]},
        {"scaling": [1, 2]},
        {"dict": [[[], 1]]},
        {"dict": [1]},
        {"tuple": None},
        {"array": [1, [2]], "dtype": "<i8", "scalar": False},
        {"array": [1.5], "dtype": "<i8", "scalar": False},
        {"array": ["1"], "dtype": "<i8", "scalar": False},
        {"array": [300], "dtype": "|u1", "scalar": False},
        {"array": [1], "dtype": "<i8", "scalar": True},
        {"array": [1], "dtype": "(1000000000,)f8", "scalar": False},
        {"array": [1], "dtype": "<M8[D]", "scalar": False},
        {"array": ["ab"], "dtype": "<U1", "scalar": False},
        {"array": [["a", "b"]], "dtype": "<U1", "scalar": False},
        {"array": 3, "dtype": "<U1", "scalar": True},
        {"array": [1], "dtype": 3, "scalar": False},
        {"array": [1], "dtype": "<i8"},
    ],
    ids=repr,
)
def test_what_was_not_encoded_is_not_decoded(value):
    with pytest.raises((KeyError, TypeError, ValueError, OverflowError)):
        decode(value)

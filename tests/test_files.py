"""Files of tensors: whole, or refused."""

import errno
import hashlib
import json
import os

import numpy as np
import pytest
import torch

from sknode import _files
from sknode._files import NO_DIGEST, check_writable, read, write

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1, 2]), "c": torch.tensor(0.5)}
HEADER = {"name": 'quotes " and \\ and π', "numbers": [1, 2.5, float("inf"), 0.1]}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file.safetensors"
    write(path, "model", TENSORS, HEADER)
    return path


def test_a_file_gives_back_what_was_written(path):
    tensors, header = read(path, "model")
    assert {name: header[name] for name in HEADER} == HEADER
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor)
        assert tensors[name].dtype == tensor.dtype


def test_other_tools_read_the_tensors(path):
    from safetensors.numpy import load_file

    np.testing.assert_array_equal(load_file(path)["a"], TENSORS["a"].numpy())


def test_no_byte_can_change_unseen(path):
    data = path.read_bytes()
    for i in range(len(data)):
        for flip in (0x01, 0x20, 0xFF):
            path.write_bytes(data[:i] + bytes([data[i] ^ flip]) + data[i + 1 :])
            with pytest.raises(ValueError, match=r"altered|not a file of sknode"):
                read(path, "model")


def test_no_part_of_a_file_passes_for_it(path):
    data = path.read_bytes()
    for n in range(len(data)):
        path.write_bytes(data[:n])
        with pytest.raises(ValueError, match=r"truncated"):
            read(path, "model")
    path.write_bytes(data + b"\0")
    with pytest.raises(ValueError, match="altered"):
        read(path, "model")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", os.urandom(2000), b'"sha256":"' + b"0" * 64])
def test_other_files_are_not_taken_for_one(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ValueError, match="is not a file of sknode"):
        read(tmp_path / "x", "model")


def forged(header: str) -> bytes:
    """Return a file with a right checksum and a header of one's own."""
    metadata = {"__metadata__": {"sknode": header, "sha256": NO_DIGEST}}
    text = json.dumps(metadata, separators=(",", ":")).encode()
    data = len(text).to_bytes(8, "little") + text
    return data.replace(NO_DIGEST.encode(), hashlib.sha256(data).hexdigest().encode())


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{", "is not a file of sknode"),
        ("[]", "is not a file of sknode"),
        ("[" * 100_000, "is not a file of sknode"),
        ("{}", "is not a file of sknode"),
        ('{"kind": "checkpoint", "format": 1}', "is a checkpoint, not a model"),
        ('{"kind": "model", "format": 99}', "by a newer sknode, in format 99.* upgrade"),
        ('{"kind": "model", "format": "new"}', "is not a file of sknode"),
    ],
)
def test_a_forged_header_is_refused(tmp_path, header, message):
    (tmp_path / "x").write_bytes(forged(header))
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "x", "model")
    (tmp_path / "x").write_bytes(forged('{"kind": "model", "format": 1}'))
    assert read(tmp_path / "x", "model").tensors == {}


def test_a_file_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "x", "model")


@pytest.mark.parametrize("broken", ["fsync", "replace", "fdopen"])
def test_a_full_disk_leaves_the_earlier_file_and_no_debris(path, monkeypatch, broken):
    before = path.read_bytes()

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_files.os, broken, full)
    with pytest.raises(
        OSError, match=r"No space left on device.*what it held before is intact"
    ) as e:
        write(path, "model", {"a": torch.zeros(100)}, {})
    assert e.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_first_file_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(_files.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "x", "model", TENSORS, HEADER)
    assert os.listdir(tmp_path) == []


def test_a_file_is_flushed_before_it_takes_the_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            _files.os, name, lambda *a, name=name, real=real: (calls.append(name), real(*a))[1]
        )
    write(tmp_path / "x", "model", TENSORS, HEADER)
    assert calls == ["fsync", "replace", "fsync"]


def test_places_where_no_file_can_be_are_refused_beforehand(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="is a folder; name a file in it"):
        check_writable(tmp_path)
    with pytest.raises(ValueError, match="does not exist; make it first"):
        check_writable(tmp_path / "no" / "x")
    monkeypatch.setattr(_files.os, "access", lambda *args: False)
    with pytest.raises(ValueError, match="cannot be written to"):
        check_writable(tmp_path / "x")

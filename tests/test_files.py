"""Files of tensors: whole, or refused."""

import errno
import hashlib
import json
import os
import stat
import tracemalloc
from pathlib import Path

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
        ('{"kind": "model", "format": Infinity}', "is not a file of sknode"),
        ('{"kind": "model", "format": true}', "is not a file of sknode"),
        ('{"kind": "model", "format": ' + "1" * 5000 + "}", "is not a file of sknode"),
        ('{"kind": ["model"], "format": 1}', "is not a file of sknode"),
        ('{"kind": "model", "format": 1, "format": 99}', "has a key twice"),
    ],
)
def test_a_forged_header_is_refused(tmp_path, header, message):
    (tmp_path / "x").write_bytes(forged(header))
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "x", "model")
    (tmp_path / "x").write_bytes(forged('{"kind": "model", "format": 1}'))
    assert read(tmp_path / "x", "model").tensors == {}


def test_what_is_too_large_for_the_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"x cannot hold that: .*header too large"):
        write(tmp_path / "x", "model", TENSORS, {"long": "n" * 100_000_000})
    assert os.listdir(tmp_path) == []


def test_a_file_is_read_in_little_more_than_twice_its_size(tmp_path):
    tensor = torch.zeros(2_000_000)
    write(tmp_path / "x", "model", {"a": tensor}, {})
    tracemalloc.start()
    try:
        read(tmp_path / "x", "model")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.1 * tensor.nbytes


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


# What is no regular file, and what leads elsewhere.


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_pipe_is_neither_waited_for_nor_replaced(pipe):
    for attempt in (
        lambda: check_writable(pipe),
        lambda: write(pipe, "model", TENSORS, HEADER),
        lambda: read(pipe, "model"),
    ):
        with pytest.raises(ValueError, match="is a device, a pipe or a socket; name a regular"):
            attempt()
    assert os.listdir(pipe.parent) == ["pipe"]
    assert stat.S_ISFIFO(os.lstat(pipe).st_mode)


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(pipe, monkeypatch):
    monkeypatch.setattr(_files, "resolve", lambda path: path)
    with pytest.raises(ValueError, match="is a device, a pipe or a socket"):
        read(pipe, "model")


def test_a_device_is_refused():
    with pytest.raises(ValueError, match="/dev/null is a device"):
        check_writable(Path("/dev/null"))
    with pytest.raises(ValueError, match="/dev/null is a device"):
        read(Path("/dev/null"), "model")


def test_a_folder_is_not_read(tmp_path):
    with pytest.raises(ValueError, match="is a folder"):
        read(tmp_path, "model")


def test_the_file_that_a_link_leads_to_is_written(path, tmp_path):
    (tmp_path / "folder").mkdir()
    link, link_to_it = tmp_path / "folder" / "link", tmp_path / "another"
    link.symlink_to("../file.safetensors")
    link_to_it.symlink_to(link)
    write(link_to_it, "model", {"new": torch.zeros(1)}, {})
    assert link.is_symlink()
    assert link_to_it.is_symlink()
    assert not path.is_symlink()
    assert read(path, "model").tensors.keys() == read(link, "model").tensors.keys() == {"new"}
    assert os.listdir(tmp_path / "folder") == ["link"]


def test_a_link_to_no_file_yet_makes_it(tmp_path):
    (tmp_path / "link").symlink_to("file")
    check_writable(tmp_path / "link")
    write(tmp_path / "link", "model", TENSORS, HEADER)
    assert (tmp_path / "link").is_symlink()
    assert read(tmp_path / "file", "model").tensors.keys() == TENSORS.keys()


def test_a_link_into_no_folder_is_refused(tmp_path):
    (tmp_path / "link").symlink_to("no/file")
    with pytest.raises(ValueError, match=r"the folder .*/no does not exist; make it first"):
        check_writable(tmp_path / "link")


def test_links_that_lead_nowhere_are_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "self").symlink_to("self")
    for name in ("a", "self"):
        for attempt in (
            lambda path: check_writable(path),
            lambda path: write(path, "model", TENSORS, HEADER),
            lambda path: read(path, "model"),
        ):
            with pytest.raises(ValueError, match=f"{name} is a link that leads back to itself"):
                attempt(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "self"]


# Names.


@pytest.mark.parametrize("n", [1, 240, 245, 255])
def test_a_name_of_any_length_that_can_be_is_written(tmp_path, n):
    check_writable(tmp_path / ("n" * n))
    write(tmp_path / ("n" * n), "model", TENSORS, HEADER)
    assert os.listdir(tmp_path) == ["n" * n]


@pytest.mark.parametrize(
    "name",
    ["n" * 256, "π" * 128, "a\0b", "\ud800", "n/" * 2100],
    ids=["long", "long in bytes", "NUL", "surrogate", "long path"],
)
def test_a_name_that_no_file_can_have_is_refused_beforehand(tmp_path, name):
    with pytest.raises(ValueError, match=r"cannot be a file .*; name another path"):
        check_writable(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_an_empty_name_is_refused():
    with pytest.raises(ValueError, match="is a folder; name a file in it"):
        check_writable(Path(""))


# Permissions.


@pytest.fixture(params=[0o022, 0o027, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def permissions(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_the_permissions_of_any_other(tmp_path, umask):
    write(tmp_path / "x", "model", TENSORS, HEADER)
    (tmp_path / "other").write_text("")
    assert permissions(tmp_path / "x") == permissions(tmp_path / "other") == 0o666 & ~umask


@pytest.mark.parametrize("kept", [0o600, 0o640, 0o664, 0o444])
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path, umask, kept):
    (tmp_path / "x").write_text("")
    (tmp_path / "x").chmod(kept)
    write(tmp_path / "x", "model", TENSORS, HEADER)
    assert permissions(tmp_path / "x") == kept

"""Files of tensors with a header, which are whole or refused.

A file is in the safetensors format. Its metadata holds the header, as JSON, and the SHA-256 of
the file as it is with 64 zeros in place of that digest, so that not one byte can change unseen.
It is no signature: whoever makes a file of his own can make its digest. What a header says has to
be held against what is known before anything is done with it.
"""

import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

__all__ = [
    "FORMAT",
    "Contents",
    "check_writable",
    "read",
    "refused",
    "resolve",
    "write",
    "write_bytes",
]

FORMAT = 1
NO_DIGEST = "0" * 64
DIGEST = re.compile(rb'"sha256":"([0-9a-f]{64})"')
# Contents that do not fit can set these off in the code that reads them.
ERRORS = (
    ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, SafetensorError,
    TypeError, ValueError,
)  # fmt: skip


class Contents(NamedTuple):
    """What is in a file."""

    tensors: dict[str, Tensor]
    header: dict[str, Any]


def write(path: Path, kind: str, tensors: Mapping[str, Tensor], header: dict[str, Any]) -> None:
    """Write a file in one step: `path` holds what it held before, or all of the new file."""
    text = json.dumps({"kind": kind, "format": FORMAT, **header})
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    try:
        data = safetensors.torch.save(contiguous, {"sknode": text, "sha256": NO_DIGEST})
    except SafetensorError as error:
        raise ValueError(f"{path} cannot hold that: {error}") from error
    digest = hashlib.sha256(data).hexdigest()
    write_bytes(path, data.replace(_field(NO_DIGEST), _field(digest), 1))


def write_bytes(path: Path, data: bytes) -> None:
    """Write, flush to the disk, and rename: to `path`, or to what it leads to through links."""
    target = resolve(path)
    # The part has a name of its own, as one made of a long name could be too long.
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        try:
            with os.fdopen(_create(part, like=target), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(part)
            raise
        _flush_folder(target.parent)
    except OSError as error:
        kept = "what it held before is intact" if path.exists() else "there is no file of that name"
        message = f"{path} could not be written ({error.strerror or error}); {kept}"
        raise OSError(error.errno, message) from error


def read(path: Path, kind: str) -> Contents:
    """Read a file, or raise a ValueError that says what is wrong with it."""
    data = _read_bytes(path)
    found = DIGEST.search(data)
    if found is None:
        raise ValueError(f"{path} is not a file of sknode, or it is truncated or damaged")
    if _digest_of(data, *found.span(1)) != found[1].decode():
        raise ValueError(f"{path} is truncated or has been altered: its checksum does not match")
    with refused(f"{path} is not a file of sknode"):
        contents = _parsed(data)
    found_kind = contents.header["kind"]
    found_format = contents.header["format"]
    if found_kind != kind:
        raise ValueError(f"{path} is a {found_kind}, not a {kind}")
    if found_format > FORMAT:
        raise ValueError(
            f"{path} was written by a newer sknode, in format {found_format}; this one reads "
            f"formats up to {FORMAT}: upgrade sknode"
        )
    return contents


@contextmanager
def refused(what: str) -> Iterator[None]:
    """Raise a ValueError for whatever contents that do not fit set off in the body."""
    try:
        yield
    except ERRORS as error:
        raise ValueError(f"{what}: {str(error) or type(error).__name__}") from error


def resolve(path: Path) -> Path:
    """Follow links to where a file is or could be; raise a ValueError if none can be there."""
    try:
        target = Path(os.path.realpath(path))
        mode = os.lstat(target).st_mode
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return target
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{str(path)!r} cannot be a file ({reason}); name another path") from error
    _check_regular(path, mode)
    return target


def check_writable(path: Path) -> None:
    """Raise a ValueError if a file could not be written there, before any work is done."""
    folder = resolve(path).parent
    if not os.path.isdir(folder):
        raise ValueError(f"the folder {folder} does not exist; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"the folder {folder} cannot be written to")


def _digest_of(data: bytes, start: int, stop: int) -> str:
    """Return the digest of a file with zeros from `start` to `stop`, without a copy of it."""
    view = memoryview(data)
    digest = hashlib.sha256()
    for part in (view[:start], NO_DIGEST.encode(), view[stop:]):
        digest.update(part)
    return digest.hexdigest()


def _parsed(data: bytes) -> Contents:
    tensors = safetensors.torch.load(data)
    length = int.from_bytes(data[:8], "little")
    metadata = _json(data[8 : 8 + length])["__metadata__"]
    header = _json(metadata["sknode"])
    if type(header["kind"]) is not str or type(header["format"]) is not int:
        raise ValueError("its header does not say what it is")
    return Contents(tensors, header)


def _json(text: str | bytes) -> Any:
    return json.loads(text, object_pairs_hook=_without_repeats)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dict; of a key that is there twice, others may read the other value."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("its header has a key twice")
    return found


def _field(digest: str) -> bytes:
    return f'"sha256":"{digest}"'.encode()


def _check_regular(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise ValueError(f"{path} is a folder; name a file in it")
    if stat.S_ISLNK(mode):
        raise ValueError(f"{path} is a link that leads back to itself; name another path")
    if not stat.S_ISREG(mode):
        raise ValueError(f"{path} is a device, a pipe or a socket; name a regular file")


def _create(path: Path, like: Path) -> int:
    """Open a new file, with the permissions of another or, if there is none, those of the umask."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    if not like.exists():
        return os.open(path, flags, 0o666)
    permissions = stat.S_IMODE(like.stat().st_mode) & 0o777
    handle = os.open(path, flags, permissions)
    # The umask may have taken some of them away.
    path.chmod(permissions)
    return handle


def _read_bytes(path: Path) -> bytes:
    with open(resolve(path), "rb", opener=_without_waiting) as file:
        # What stands there may be another by now.
        _check_regular(path, os.fstat(file.fileno()).st_mode)
        return file.read()


def _without_waiting(path: str, flags: int) -> int:
    """Open, and do not wait for somebody to write into it if it is a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _flush_folder(folder: Path) -> None:
    """Make the renaming last through a power cut, where folders can be flushed."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

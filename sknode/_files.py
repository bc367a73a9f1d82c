"""Files of tensors with a header, which are whole or refused.

A file is in the safetensors format. Its metadata holds the header, as JSON, and the SHA-256 of
the file as it is with 64 zeros in place of that digest, so that not one byte can change unseen.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

__all__ = ["FORMAT", "Contents", "check_writable", "read", "write", "write_bytes"]

FORMAT = 1
NO_DIGEST = "0" * 64
DIGEST = re.compile(rb'"sha256":"([0-9a-f]{64})"')


class Contents(NamedTuple):
    """What is in a file."""

    tensors: dict[str, Tensor]
    header: dict[str, Any]


def write(path: Path, kind: str, tensors: Mapping[str, Tensor], header: dict[str, Any]) -> None:
    """Write a file in one step: `path` holds what it held before, or all of the new file."""
    text = json.dumps({"kind": kind, "format": FORMAT, **header})
    data = safetensors.torch.save(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        metadata={"sknode": text, "sha256": NO_DIGEST},
    )
    digest = hashlib.sha256(data).hexdigest()
    write_bytes(path, data.replace(_field(NO_DIGEST), _field(digest), 1))


def write_bytes(path: Path, data: bytes) -> None:
    """Write, flush to the disk, and rename."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise
        _flush_folder(path.parent)
    except OSError as error:
        kept = "what it held before is intact" if path.exists() else "there is no file of that name"
        message = f"{path} could not be written ({error.strerror or error}); {kept}"
        raise OSError(error.errno, message) from error


def read(path: Path, kind: str) -> Contents:
    """Read a file, or raise a ValueError that says what is wrong with it."""
    data = path.read_bytes()
    found = DIGEST.search(data)
    if found is None:
        raise ValueError(f"{path} is not a file of sknode, or it is truncated or damaged")
    blank = data[: found.start(1)] + NO_DIGEST.encode() + data[found.end(1) :]
    if hashlib.sha256(blank).hexdigest() != found[1].decode():
        raise ValueError(f"{path} is truncated or has been altered: its checksum does not match")
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["sknode"])
        tensors = safetensors.torch.load(data)
        found_kind, found_format = header["kind"], int(header["format"])
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is not a file of sknode: {error}") from error
    if found_kind != kind:
        raise ValueError(f"{path} is a {found_kind}, not a {kind}")
    if found_format > FORMAT:
        raise ValueError(
            f"{path} was written by a newer sknode, in format {found_format}; this one reads "
            f"formats up to {FORMAT}: upgrade sknode"
        )
    return Contents(tensors, header)


def check_writable(path: Path) -> None:
    """Raise a ValueError if a file could not be written there, before any work is done."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise ValueError(f"the folder {path.parent} does not exist; make it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ValueError(f"the folder {path.parent} cannot be written to")


def _field(digest: str) -> bytes:
    return f'"sha256":"{digest}"'.encode()


def _flush_folder(folder: Path) -> None:
    """Make the renaming last through a power cut, where folders can be flushed."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

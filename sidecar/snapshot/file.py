"""The snapshot as a file: a header line in JSON, then the content that the header's checksum is of.

Every call here blocks on the disk.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from sidecar.runtime.disk import read_regular

FORMAT: Final = "mc-sidecar-snapshot"
VERSION: Final = 2
"""Raised when a reader of the version before would misunderstand a file."""
MAX_HEADER_BYTES: Final = 1024


class SnapshotError(Exception):
    """What is in the file is no snapshot that can be used; the text says why."""


class Header(msgspec.Struct, kw_only=True):
    """The first line."""

    format: str
    version: int
    sha256: str = ""


def write(path: Path, content: Sequence[bytes]) -> None:
    """Put a file with this content in the place of `path` at once: a reader sees the old one or the new one.

    Only the owner may read it. Raises OSError; what was there is kept then, and the temporary file is removed.
    """
    temporary = Path(f"{path}.tmp")
    temporary.unlink(missing_ok=True)  # a killed process leaves one: always the same, so they never add up
    try:
        _write_new(temporary, [_header(content), *content])
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    _sync_directory(path.parent)


def read(path: Path, max_bytes: int) -> bytes:
    """Return the content.

    Raises FileNotFoundError without a file, OSError when it cannot be read, SnapshotError when it holds
    something else, more than `max_bytes`, not all that was written, or what another version wrote.
    """
    line, _, content = read_regular(path, MAX_HEADER_BYTES + max_bytes + 1).partition(b"\n")
    try:
        header = msgspec.json.decode(line[:MAX_HEADER_BYTES], type=Header)
    except ValueError as error:
        raise SnapshotError("it is not a snapshot") from error
    if header.format != FORMAT:
        raise SnapshotError("it is not a snapshot")
    if header.version != VERSION:
        raise SnapshotError(f"its version is {header.version}, and only {VERSION} is understood")
    if len(content) > max_bytes:
        raise SnapshotError(f"it is larger than {max_bytes} bytes")
    if sha256(content).hexdigest() != header.sha256:
        raise SnapshotError("its checksum is wrong")
    return content


def set_aside(path: Path) -> Path:
    """Rename the file to `<path>.rejected`, in the place of an earlier one, and return that. Raises OSError."""
    return path.replace(Path(f"{path}.rejected"))


def _header(content: Sequence[bytes]) -> bytes:
    digest = sha256()
    for part in content:
        digest.update(part)
    return msgspec.json.encode(Header(format=FORMAT, version=VERSION, sha256=digest.hexdigest())) + b"\n"


def _write_new(path: Path, parts: Sequence[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - pathlib opens no descriptors
        file.writelines(parts)
        file.flush()
        os.fsync(descriptor)


def _sync_directory(directory: Path) -> None:
    """Make a rename outlive a crash of the machine."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

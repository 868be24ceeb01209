"""What Redis answers, and that it did not."""

from collections.abc import Mapping
from typing import NamedTuple


class StoreError(Exception):
    """Redis did not do what it was asked. The text holds no secret."""


class Beat(NamedTuple):
    """What Redis says to a sign of life."""

    seconds: float
    """Redis's time."""
    lease: str
    """The lease in force: fencing number and member."""
    members: int
    rank: int
    """How many members come before this one, -1 where that was not asked for."""
    taken: bool
    """The lease was free, and is this member's now."""


class Head(NamedTuple):
    """Where the streams end."""

    changes: str
    sequence: int
    wanted: str


class Entry(NamedTuple):
    """One entry of a stream."""

    id: str
    number: int
    """Its number in `changes`, 0 in `wanted`."""
    record: bytes


def version(text: str) -> tuple[int, ...]:
    """Return the first two numbers of a version, nothing where it is none."""
    parts = text.split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else ()


def entry(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    """Return an entry; where another one than the leader wrote it, with whatever it has."""
    number = fields.get(b"n", b"")
    return Entry(entry_id.decode(), int(number[:19]) if number.isdigit() else 0, fields.get(b"r", b""))

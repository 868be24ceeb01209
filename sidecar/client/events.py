"""The events of a stream: lines of text/event-stream (HTML Living Standard, 9.2) turned into typed values."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from sidecar.client.wire import Batch, SidecarUnreachableError, read, result
from sidecar.errors import McSidecarError
from sidecar.models import MarketCap

LARGEST_EVENT_BYTES: Final = 64 * 1024 * 1024
"""Far above a snapshot of all that a sidecar can hold; a line without an end is no event."""


class Snapshot(NamedTuple):
    """Where the stream begins, or begins again: what it says replaces all that came before."""

    tokens: dict[str, MarketCap]
    errors: dict[str, McSidecarError]


class TokenChanged(NamedTuple):
    """A token has a new value."""

    token: MarketCap


class NotPriced(msgspec.Struct, frozen=True):
    """A token's value is gone; `code` and `detail` are those that a look-up would be refused with."""

    mint: str
    code: str
    detail: str


class Joined(msgspec.Struct, frozen=True):
    """A mint has become one of the set."""

    mint: str


class Left(msgspec.Struct, frozen=True):
    """A mint is none of the set any more."""

    mint: str


Event = Snapshot | TokenChanged | NotPriced | Joined | Left


class RawEvent(NamedTuple):
    """One event as it was sent; `id` and `retry` (milliseconds) are empty where it has none."""

    name: str
    data: bytes
    id: str
    retry: str


class EventParser:
    """Takes bytes as they arrive and gives the events that are complete."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[RawEvent]:
        """Yield the events that these bytes complete. Raises SidecarUnreachableError for one without an end."""
        *blocks, self._rest = (self._rest + data.replace(b"\r", b"")).split(b"\n\n")
        if len(self._rest) > LARGEST_EVENT_BYTES:
            raise SidecarUnreachableError(f"an event of more than {LARGEST_EVENT_BYTES} bytes")
        for block in blocks:
            if (event := _parse(block)) is not None:
                yield event


def read_event(raw: RawEvent) -> Event | None:
    """Return what an event says; None for one that this version does not know. Raises SidecarUnreachableError."""
    match raw.name:
        case "snapshot":
            return Snapshot(*result(read(Batch, 200, None, raw.data)))
        case "token":
            return TokenChanged(read(MarketCap, 200, None, raw.data))
        case "not_priced":
            return read(NotPriced, 200, None, raw.data)
        case "joined":
            return read(Joined, 200, None, raw.data)
        case "left":
            return read(Left, 200, None, raw.data)
    return None


def _parse(block: bytes) -> RawEvent | None:
    """Return the event of a block of lines, None for comments alone."""
    fields: dict[bytes, bytes] = {}
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        fields[name] = fields[name] + b"\n" + value if name == b"data" and name in fields else value
    fields.pop(b"", None)
    if not fields:
        return None
    text = {name: value.decode(errors="replace") for name, value in fields.items() if name != b"data"}
    return RawEvent(
        text.get(b"event", "message"), fields.get(b"data", b""), text.get(b"id", ""), text.get(b"retry", "")
    )

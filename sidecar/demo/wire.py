"""What the wire formats have in common."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from sidecar.demo.tokens import Source


class RefusedError(Exception):
    """The upstream answers with this status and JSON body in place of data."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class Call(NamedTuple):
    """One request, understood. `answer` makes the JSON body or raises RefusedError."""

    source: Source
    name: str
    mints: tuple[str, ...]
    answer: Callable[[], object]


def plain(number: float | Decimal) -> str:
    """Write a number as those upstreams do that send strings: exact, positional, never with an exponent."""
    return format(Decimal(repr(number)) if isinstance(number, float) else number, "f")


def iso(unix: float) -> str:
    """Write a Unix time as `2026-11-22T13:00:00.123456Z`."""
    return datetime.fromtimestamp(unix, UTC).isoformat().replace("+00:00", "Z")

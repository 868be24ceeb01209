"""What the tests of the sources share: mints, a moment, an upstream that answers from memory."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar, cast

import base58
import msgspec

from sidecar.models import Mint, Parsed, Priority
from sidecar.runtime.clock import Instant
from sidecar.upstreams.upstream import Upstream

T = TypeVar("T")

RECEIVED = Instant(monotonic=1234.5, unix=1_795_000_000.25)
DEEP = b"[" * 100_000


def make_mint(number: int) -> Mint:
    """Make a valid address of our own: base58 of 32 equal bytes."""
    return Mint(base58.b58encode(bytes([number]) * 32).decode())


ALPHA, BETA, GAMMA = make_mint(101), make_mint(102), make_mint(103)
JUNK = make_mint(199)
"""A token without any demand, its mint authority still open."""


def encode(value: object) -> bytes:
    return msgspec.json.encode(value)


class Asked(NamedTuple):
    """One call the fake upstream received."""

    path: str | None
    params: Mapping[str, str]
    headers: Mapping[str, str]
    payload: object
    priority: Priority


class FakeUpstream:
    """Answers every call with the same body and remembers what was asked."""

    def __init__(self, body: object) -> None:
        self.asked: list[Asked] = []
        self._body = encode(body)

    def as_upstream(self) -> Upstream:
        return cast("Upstream", self)

    async def get(
        self,
        path: str,
        params: Mapping[str, str],
        parse: Callable[[bytes, Instant], Parsed[T]],
        priority: Priority,
        headers: Mapping[str, str] = {},
    ) -> Parsed[T]:
        self.asked.append(Asked(path, params, headers, None, priority))
        return parse(self._body, RECEIVED)

    async def post(
        self, payload: object, parse: Callable[[bytes, Instant], Parsed[T]], priority: Priority
    ) -> Parsed[T]:
        self.asked.append(Asked(None, {}, {}, payload, priority))
        return parse(self._body, RECEIVED)

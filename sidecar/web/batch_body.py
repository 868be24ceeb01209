"""The body of an answer for several mints: each one's token or error, in the order of the mints."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from sidecar.cache.cache import Entry
from sidecar.errors import McSidecarError
from sidecar.runtime.aio import yielding
from sidecar.service.lookups import MINTS_A_TURN, Lookups
from sidecar.service.memory_lookups import LookupHit
from sidecar.web.token_body import HIT_END, token_body

K = TypeVar("K", bound=str)

_START: Final = b'{"tokens":{'
_NO_ERRORS: Final = b'},"errors":{}}'


class _Members:
    """The members of `tokens`, in parts; what has to be looked for elsewhere has a place of its own among them."""

    __slots__ = ("parts", "places")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.places: dict[str, int] = {}
        """Where the mints go that are not tracked."""

    def add(self, mints: Sequence[str], entries: Sequence[Entry | None], now: float) -> None:
        """Write out tracked tokens; those that were refreshed together have their age in common."""
        ends: dict[float, bytes] = {}
        parts = self.parts
        for mint, entry in zip(mints, entries, strict=True):
            if entry is None:
                self.places[mint] = len(parts)
                parts.append(b"")
                continue
            age = now - entry.received
            end = ends.get(age)
            if end is None:
                end = ends[age] = b'"age_seconds":%.3f%b,' % (age, HIT_END)
            parts += (b'"%b":' % mint.encode(), entry.body)
            if (uncertainty := entry.uncertainty(age)) is not None:
                parts.append(b'"uncertainty":%.8f,' % uncertainty)
            parts.append(end)

    def fill(self, mint: str, found: LookupHit) -> None:
        """Write out a token in its place."""
        self.parts[self.places[mint]] = _member(mint, found) + b","

    def body(self, end: bytes) -> bytes:
        """Return the whole body. `end`: what follows the last token."""
        parts = self.parts
        while parts and not parts[-1]:
            parts.pop()
        if parts:
            parts[-1] = parts[-1][:-1]
        return b"".join((_START, *parts, end))


async def look_up_batch(lookups: Lookups, mints: Iterable[str]) -> bytes:
    """Look up several tokens, each once, and write out each one's body or error."""
    each = list(dict.fromkeys(mints))
    members = _Members()
    for start in range(0, len(each), MINTS_A_TURN):
        if start:
            await asyncio.sleep(0)
        now, some = lookups.now(), each[start : start + MINTS_A_TURN]
        entries = lookups.tracked(some, now)
        members.add(some, entries, now)
        lookups.tally.count(filter(None, entries), now)
    if not members.places:
        return members.body(_NO_ERRORS)
    found, errors = await lookups.find_many(members.places)
    async for mint, one in yielding(found.items(), MINTS_A_TURN):
        members.fill(mint, one)
    return members.body(await _end(errors))


def batch_from_memory(lookups: Lookups, mints: Iterable[str], now: float) -> bytes | None:
    """Do what `look_up_batch` does, if nothing has to be asked for; else return None, and nothing is counted."""
    each = list(dict.fromkeys(mints))
    entries = lookups.tracked(each, now)
    others = [mint for mint, entry in zip(each, entries, strict=True) if entry is None] if None in entries else []
    if (known := lookups.find_known(others)) is None:
        return None
    members = _Members()
    members.add(each, entries, now)
    lookups.tally.count(filter(None, entries), now)
    found, errors = known
    for mint, one in found.items():
        members.fill(mint, one)
    return members.body(_errors({mint: _failure(error) for mint, error in errors.items()}))


async def batch_body(found: Mapping[K, LookupHit], errors: Mapping[str, McSidecarError]) -> bytes:
    """Write out each mint's token or error."""
    tokens = [_member(mint, one) async for mint, one in yielding(found.items(), MINTS_A_TURN)]
    return b"".join((_START, b",".join(tokens), await _end(errors)))


def _member(mint: str, found: LookupHit) -> bytes:
    return b'"%b":%b' % (mint.encode(), token_body(found))


async def _end(errors: Mapping[str, McSidecarError]) -> bytes:
    return _errors({mint: _failure(error) async for mint, error in yielding(errors.items(), MINTS_A_TURN)})


def _errors(failures: Mapping[str, dict[str, str]]) -> bytes:
    return b'},"errors":%b}' % msgspec.json.encode(failures) if failures else _NO_ERRORS


def _failure(error: McSidecarError) -> dict[str, str]:
    return {"code": error.code, "detail": error.detail}

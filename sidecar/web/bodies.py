"""The bodies of answers that hold tokens: prepared when a value is first asked for, finished when it is served."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from sidecar.cache.cache import Entry
from sidecar.errors import McSidecarError
from sidecar.runtime.aio import yielding
from sidecar.service.lookups import MINTS_A_TURN, Lookups
from sidecar.service.memory_lookups import LookupHit

K = TypeVar("K", bound=str)

_ENDS: Final = {
    (stale, cached): b',"stale":%b,"cached":%b}' % tuple(b"true" if one else b"false" for one in (stale, cached))
    for stale in (False, True)
    for cached in (False, True)
}
"""What a body ends with."""
_HIT_END: Final = _ENDS[False, True]
_BATCH_START: Final = b'{"tokens":{'
_BATCH_END: Final = b'},"errors":{}}'


def token_body(found: LookupHit) -> bytes:
    """Finish an answer: what changes with time is written now, the rest is kept for the next request.

    It is not kept of a token that was waited for: many are asked for only once.
    """
    body = found.entry.prepare() if found.cached else found.entry.encode()
    return _finished(body, found.uncertainty, found.age_seconds, _ENDS[found.stale, found.cached])


def tracked_body(entry: Entry, age_seconds: float) -> bytes:
    """Return what `token_body` does for a tracked token, whose body is prepared."""
    return _finished(entry.body, entry.uncertainty(age_seconds), age_seconds, _HIT_END)


def _finished(body: bytes, uncertainty: float | None, age_seconds: float, end: bytes) -> bytes:
    if uncertainty is None:
        return b'%b"age_seconds":%.3f%b' % (body, age_seconds, end)
    return b'%b"uncertainty":%.8f,"age_seconds":%.3f%b' % (body, uncertainty, age_seconds, end)


async def look_up_batch(lookups: Lookups, mints: Iterable[str]) -> bytes:
    """Look up several tokens, each once, and write out each one's body or error."""
    each = list(dict.fromkeys(mints))
    tokens: list[bytes] = []
    others: list[str] = []
    for start in range(0, len(each), MINTS_A_TURN):
        if start:
            await asyncio.sleep(0)
        now, some = lookups.now(), each[start : start + MINTS_A_TURN]
        entries = lookups.tracked(some, now)
        if None in entries:
            others += [mint for mint, entry in zip(some, entries, strict=True) if entry is None]
        if found := [entry for entry in entries if entry is not None]:
            lookups.tally.count(found, now)
            tokens.append(b"".join(_members(found, now)))
    if not others:
        return b"".join((_BATCH_START, b",".join(tokens), _BATCH_END))
    looked_up, errors = await lookups.find_many(others)
    tokens += [_member(one) async for one in yielding(looked_up.values(), MINTS_A_TURN)]
    return await _batch(tokens, errors)


def tracked_batch_body(lookups: Lookups, mints: Sequence[str], now: float) -> bytes | None:
    """Look up several tracked tokens, each once; None, and nothing is counted, when another one is among them."""
    entries = lookups.tracked(dict.fromkeys(mints), now)
    found = [entry for entry in entries if entry is not None]
    if len(found) < len(entries):
        return None
    lookups.tally.count(found, now)
    return b"".join((_BATCH_START, *_members(found, now), _BATCH_END))


async def batch_body(found: Mapping[K, LookupHit], errors: Mapping[str, McSidecarError]) -> bytes:
    """Write out each mint's token or error."""
    return await _batch([_member(one) async for one in yielding(found.values(), MINTS_A_TURN)], errors)


def _members(entries: Sequence[Entry], now: float) -> list[bytes]:
    """Write out tracked tokens' bodies, in parts; those that were refreshed together have their age in common."""
    ends: dict[float, bytes] = {}
    parts: list[bytes] = []
    for entry in entries:
        age = now - entry.received
        end = ends.get(age)
        if end is None:
            end = ends[age] = b'"age_seconds":%.3f%b,' % (age, _HIT_END)
        parts += (b'"%b":' % entry.cap.mint.encode(), entry.body)
        if (uncertainty := entry.uncertainty(age)) is not None:
            parts.append(b'"uncertainty":%.8f,' % uncertainty)
        parts.append(end)
    parts[-1] = parts[-1][:-1]
    return parts


def _member(found: LookupHit) -> bytes:
    return b'"%b":%b' % (found.entry.cap.mint.encode(), token_body(found))


async def _batch(tokens: list[bytes], errors: Mapping[str, McSidecarError]) -> bytes:
    failures = {mint: _failure(error) async for mint, error in yielding(errors.items(), MINTS_A_TURN)}
    return b'{"tokens":{%b},"errors":%b}' % (b",".join(tokens), msgspec.json.encode(failures))


def _failure(error: McSidecarError) -> dict[str, str]:
    return {"code": error.code, "detail": error.detail}

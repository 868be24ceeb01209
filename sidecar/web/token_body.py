"""The body of an answer for one token: prepared when a value is first asked for, finished when it is served."""

from typing import Final

from sidecar.cache.cache import Entry
from sidecar.service.memory_lookups import LookupHit

_ENDS: Final = {
    (stale, cached): b',"stale":%b,"cached":%b}' % tuple(b"true" if one else b"false" for one in (stale, cached))
    for stale in (False, True)
    for cached in (False, True)
}
"""What a body ends with."""
HIT_END: Final = _ENDS[False, True]


def token_body(found: LookupHit) -> bytes:
    """Finish an answer: what changes with time is written now, the rest is kept for the next request.

    It is not kept of a token that was waited for: many are asked for only once.
    """
    body = found.entry.prepare() if found.cached else found.entry.encode()
    return _finished(body, found.uncertainty, found.age_seconds, _ENDS[found.stale, found.cached])


def tracked_body(entry: Entry, age_seconds: float) -> bytes:
    """Return what `token_body` does for a tracked token, whose body is prepared."""
    return _finished(entry.body, entry.uncertainty(age_seconds), age_seconds, HIT_END)


def _finished(body: bytes, uncertainty: float | None, age_seconds: float, end: bytes) -> bytes:
    if uncertainty is None:
        return b'%b"age_seconds":%.3f%b' % (body, age_seconds, end)
    return b'%b"uncertainty":%.8f,"age_seconds":%.3f%b' % (body, uncertainty, age_seconds, end)

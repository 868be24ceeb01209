"""The bodies of answers that hold tokens: prepared when a value is published, finished when it is served."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from sidecar.errors import McSidecarError
from sidecar.runtime.aio import yielding
from sidecar.service.lookups import MINTS_A_TURN, LookupHit

K = TypeVar("K", bound=str)


def token_body(found: LookupHit) -> bytes:
    """Finish a prepared answer: only what changes with time is written now."""
    stale = b"true" if found.stale else b"false"
    cached = b"true" if found.cached else b"false"
    if found.uncertainty is None:
        return b'%b"age_seconds":%.3f,"stale":%b,"cached":%b}' % (
            *(found.entry.body, found.age_seconds),
            *(stale, cached),
        )
    return b'%b"uncertainty":%.8f,"age_seconds":%.3f,"stale":%b,"cached":%b}' % (
        found.entry.body,
        found.uncertainty,
        found.age_seconds,
        stale,
        cached,
    )


async def batch_body(found: Mapping[K, LookupHit], errors: Mapping[str, McSidecarError]) -> bytes:
    """Write out each mint's token or error."""
    slices = yielding(found.items(), MINTS_A_TURN)
    tokens = b",".join([b'"%b":%b' % (mint.encode(), token_body(one)) async for mint, one in slices])
    failures = {mint: _failure(error) async for mint, error in yielding(errors.items(), MINTS_A_TURN)}
    return b'{"tokens":{%b},"errors":%b}' % (tokens, msgspec.json.encode(failures))


def _failure(error: McSidecarError) -> dict[str, str]:
    return {"code": error.code, "detail": error.detail}

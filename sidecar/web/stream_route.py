"""`GET /mc/stream`: what is asked for, and where the stream begins."""

from functools import partial
from typing import Final

from aiohttp import web

from sidecar.errors import InvalidMintError, InvalidRequestError, McSidecarError, TooManyMintsError
from sidecar.models import Mint, parse_mint
from sidecar.service.lookups import Lookups
from sidecar.web.event_stream import HEADERS, EventStream
from sidecar.web.limits import MOST_MINTS_IN_STREAM
from sidecar.web.stream import Stream
from sidecar.web.streams import SETS, Streams

LOOKUPS: Final = web.AppKey("lookups", Lookups)
STREAMS: Final = web.AppKey("streams", Streams)


async def get_stream(request: web.Request) -> web.StreamResponse:
    """Follow up to 100 mints, or a set."""
    name = request.query.get("set")
    if (name is None) == ("mints" not in request.query):
        raise InvalidRequestError("a stream takes either mints or set")
    if name is not None and name not in SETS:
        raise InvalidRequestError(f"set must be one of {', '.join(SETS)}, not {name[:32]!r}")
    mints, bad = _mints(request) if name is None else (frozenset[Mint](), {})
    if request.method == "HEAD":
        return web.Response(headers=HEADERS)
    streams = request.app[STREAMS]
    stream = streams.open(mints, name)
    try:
        first = await _beginning(request, stream, bad)
    except BaseException:
        streams.leave(stream)
        raise
    return EventStream(stream.texts(first), partial(streams.leave, stream))


async def _beginning(request: web.Request, stream: Stream, bad: dict[str, McSidecarError]) -> bytes:
    """Return a snapshot; nothing for a client that can be told what has changed since it was here."""
    streams, lookups = request.app[STREAMS], request.app[LOOKUPS]
    if streams.resume(stream, request.headers.get("Last-Event-ID", "")):
        return b""
    if stream.name is None:
        found, errors = await lookups.find_uncounted(stream.mints)
    else:
        found = {mint: one for mint in stream.mints if (one := lookups.peek(mint)) is not None}
        errors = {}
    return await streams.snapshot(stream, found, bad | errors)


def _mints(request: web.Request) -> tuple[frozenset[Mint], dict[str, McSidecarError]]:
    """Return the mints asked for, and the errors of those that are none."""
    texts = dict.fromkeys(",".join(request.query.getall("mints")).split(","))
    if list(texts) == [""]:
        raise InvalidRequestError("mints is empty; it takes mints separated by commas")
    if len(texts) > MOST_MINTS_IN_STREAM:
        raise TooManyMintsError(f"{len(texts)} mints; this route takes at most {MOST_MINTS_IN_STREAM}")
    mints: set[Mint] = set()
    bad: dict[str, McSidecarError] = {}
    for text in texts:
        try:
            mints.add(parse_mint(text))
        except InvalidMintError as error:
            bad[text] = error
    return frozenset(mints), bad

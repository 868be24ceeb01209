"""Reading what a request carries: bounded, and inflated only where it is wanted."""

import zlib
from typing import Final

from aiohttp import hdrs, web

from sidecar.errors import InvalidRequestError
from sidecar.web.limits import LARGEST_BODY_BYTES

_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}


async def read_json_body(request: web.Request) -> bytes:
    """Return the body of a request for JSON, inflated, at most LARGEST_BODY_BYTES of it.

    Raises HTTPUnsupportedMediaType, HTTPRequestEntityTooLarge, InvalidRequestError.
    """
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="the body must be application/json")
    coding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower()
    if coding != "identity" and coding not in _WINDOW_BITS:
        raise web.HTTPUnsupportedMediaType(text="the body must come as it is, or in gzip or deflate")
    try:
        body = await request.read()
    except (web.RequestPayloadError, ConnectionError) as error:
        raise InvalidRequestError("the body did not arrive whole") from error
    return body if coding == "identity" else _inflated(body, _WINDOW_BITS[coding])


def _inflated(body: bytes, window_bits: int) -> bytes:
    inflater = zlib.decompressobj(window_bits)
    try:
        whole = inflater.decompress(body, LARGEST_BODY_BYTES + 1)
    except zlib.error as error:
        raise InvalidRequestError("the body is not in its Content-Encoding") from error
    if len(whole) > LARGEST_BODY_BYTES:
        raise web.HTTPRequestEntityTooLarge(LARGEST_BODY_BYTES, len(whole))
    if not inflater.eof:
        raise InvalidRequestError("the body is not in its Content-Encoding")
    return whole

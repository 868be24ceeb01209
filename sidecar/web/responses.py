"""What the handlers of both listeners share: the service they ask, and the JSON that they answer with."""

from typing import Final

import msgspec
from aiohttp import web

from sidecar.service.service import PreCacheService

SERVICE: Final = web.AppKey("service", PreCacheService)
NO_STORE: Final = {"Content-Type": "application/json", "Cache-Control": "no-store"}


def json_bytes(body: bytes, status: int = 200) -> web.Response:
    """Answer with JSON that nothing on the way may keep."""
    return web.Response(status=status, body=body, headers=NO_STORE)


def json_value(value: object, status: int = 200) -> web.Response:
    """Answer with a value as JSON that nothing on the way may keep."""
    return json_bytes(msgspec.json.encode(value), status)

"""Faults that can be switched on for a source, and what each does to an answer."""

import asyncio
import functools
import zlib
from collections.abc import Awaitable, Callable
from typing import Final, Literal

import msgspec
from aiohttp import ClientConnectionError, web

FaultKind = Literal[
    "latency",
    "status",
    "rpc_error",
    "garbage",
    "half_json",
    "challenge",
    "drop",
    "reset",
    "endless",
    "gzip_bomb",
    "hang",
    "omit",
]

STOPPING: Final = web.AppKey("stopping", asyncio.Event)
"""Set when the server stops, so that no fault outlives it."""

BOMB_BYTES: Final = 64 * 2**20
_CHUNK: Final = b" " * 2**16


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong with a source.

    `latency`: nothing but `latency_seconds`, which every other kind may have too.
    `status`: that HTTP status with `headers` (a Retry-After, say) and `body`.
    `rpc_error`: HTTP 200 with the JSON-RPC error `code`, for the RPC.
    `garbage`: 200 that claims to be JSON and is not. `half_json`: the right answer, cut in the middle.
    `challenge`: 200 with an HTML page.
    `drop`: the connection ends without an answer. `reset`: it ends in the middle of the body.
    `endless`: a body that never ends. `gzip_bomb`: 64 MiB of valid JSON in 64 KiB.
    `hang`: no answer while the connection lasts.
    `omit`: mints are left out, those in `mints` or any.
    """

    kind: FaultKind
    probability: float = 1.0
    """Of each request to be hit; for `omit`, of each mint. Drawn from the market's seed."""
    latency_seconds: float = 0.0
    """Of the market's clock, before anything else happens."""
    status: int = 503
    code: int = -32005
    headers: dict[str, str] = {}
    body: str = ""
    mints: frozenset[str] = frozenset()


Render = Callable[[], web.Response]


async def apply_fault(fault: Fault, request: web.Request, render: Render) -> web.StreamResponse:
    """Answer the request as the fault has it; `render` makes the answer that would have been right."""
    match fault.kind:
        case "latency" | "omit":
            return render()
        case "status":
            return web.Response(status=fault.status, headers=fault.headers, text=fault.body)
        case "rpc_error":
            return _rpc_error(fault, render)
        case _:
            return await _VIOLENT[fault.kind](request, render)


def _rpc_error(fault: Fault, render: Render) -> web.Response:
    right = msgspec.json.decode(_body(render))
    request_id = right.get("id") if isinstance(right, dict) else None
    error = {"code": fault.code, "message": "Node is unhealthy", "data": {"numSlotsBehind": None}}
    body = msgspec.json.encode({"jsonrpc": "2.0", "error": error, "id": request_id})
    return web.Response(body=body, headers=fault.headers, content_type="application/json")


async def _garbage(_: web.Request, __: Render) -> web.StreamResponse:
    return web.Response(body=b"\x00\xff<oops>]}{" * 20, content_type="application/json")


async def _half_json(_: web.Request, render: Render) -> web.StreamResponse:
    whole = _body(render)
    return web.Response(body=whole[: len(whole) // 2], content_type="application/json")


async def _challenge(_: web.Request, __: Render) -> web.StreamResponse:
    page = "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking</body></html>"
    return web.Response(text=page, content_type="text/html")


async def _drop(request: web.Request, _: Render) -> web.StreamResponse:
    _cut(request)
    return web.Response()


async def _reset(request: web.Request, render: Render) -> web.StreamResponse:
    whole = _body(render)
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(whole))})
    await response.prepare(request)
    await response.write(whole[: len(whole) // 2])
    _cut(request)
    return response


async def _endless(request: web.Request, _: Render) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    stopping = request.app[STOPPING]
    try:
        while not stopping.is_set():
            await response.write(_CHUNK)
    except (ConnectionResetError, ClientConnectionError):
        return response
    _cut(request)
    return response


async def _gzip_bomb(_: web.Request, __: Render) -> web.StreamResponse:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    return web.Response(body=_bomb(), headers=headers)


async def _hang(request: web.Request, _: Render) -> web.StreamResponse:
    await request.app[STOPPING].wait()
    _cut(request)
    return web.Response()


_VIOLENT: Final[dict[FaultKind, Callable[[web.Request, Render], Awaitable[web.StreamResponse]]]] = {
    "garbage": _garbage,
    "half_json": _half_json,
    "challenge": _challenge,
    "drop": _drop,
    "reset": _reset,
    "endless": _endless,
    "gzip_bomb": _gzip_bomb,
    "hang": _hang,
}


def _body(render: Render) -> bytes:
    body = render().body
    return body if isinstance(body, bytes) else b"{}"


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


@functools.lru_cache(maxsize=1)
def _bomb() -> bytes:
    """Pack an empty JSON array with 64 MiB of blanks in it, piece by piece to spare the memory."""
    packer = zlib.compressobj(level=9, wbits=31)
    blanks = b" " * 2**20
    pieces = [packer.compress(b"["), *(packer.compress(blanks) for _ in range(BOMB_BYTES // len(blanks)))]
    return b"".join([*pieces, packer.compress(b"]"), packer.flush()])

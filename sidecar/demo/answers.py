"""From a request understood to an answer: counted, delayed, limited, made to fail, or simply right."""

from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import web

from sidecar.demo.faults import apply_fault
from sidecar.demo.limits import Verdict
from sidecar.demo.market import Market
from sidecar.demo.tokens import Source
from sidecar.demo.wire import Call, RefusedError

Headers = Mapping[str, str]

_JSON: Final = "application/json"
_CACHE_HEADERS: Final[Mapping[Source, Headers]] = {
    "jupiter": {"Cache-Control": "public, max-age=5"},
    "dexscreener": {"Cache-Control": "public, max-age=30"},
    "geckoterminal": {"Cache-Control": "max-age=30, public, must-revalidate, s-maxage=60"},
    "solana_rpc": {},
}


async def respond(market: Market, request: web.Request, call: Call) -> web.StreamResponse:
    """Answer a call as its source would at this moment."""
    market.record(call.source, call.name, call.mints)
    if market.latency_seconds > 0:
        await market.clock.sleep(market.latency_seconds)
    verdict = market.admit(call.source)
    if verdict is not None and not verdict.allowed:
        return _too_many(market, call.source, verdict)
    fault = market.draw_fault(call.source)
    headers = {**_CACHE_HEADERS[call.source], **_limit_headers(market, call.source, verdict)}
    if fault is None:
        return _render(call, headers)
    if fault.latency_seconds > 0:
        await market.clock.sleep(fault.latency_seconds)
    return await apply_fault(fault, request, lambda: _render(call, headers))


def json_response(body: object, *, status: int = 200, headers: Headers | None = None) -> web.Response:
    """Encode a JSON answer."""
    return web.Response(body=msgspec.json.encode(body), status=status, headers=headers, content_type=_JSON)


def _render(call: Call, headers: Headers) -> web.Response:
    try:
        return json_response(call.answer(), headers=headers)
    except RefusedError as refused:
        return json_response(refused.body, status=refused.status)


def _limit_headers(market: Market, source: Source, verdict: Verdict | None) -> Headers:
    """Return Jupiter's headers: on 200 and 429, the reset an absolute Unix second, never a Retry-After."""
    if verdict is None or source != "jupiter":
        return {}
    return {
        "x-ratelimit-remaining": str(verdict.remaining),
        "x-ratelimit-current": str(verdict.used),
        "x-ratelimit-reset": str(int(market.clock.time() + verdict.reset_seconds) + 1),
    }


def _too_many(market: Market, source: Source, verdict: Verdict) -> web.Response:
    match source:
        case "jupiter":
            body: object = {"code": 429, "message": "[API Gateway] Too many requests"}
            return json_response(body, status=429, headers=_limit_headers(market, source, verdict))
        case "geckoterminal":
            body = {"status": {"error_code": 429, "error_message": "You've exceeded the Rate Limit."}}
            return json_response(body, status=429, headers={"Retry-After": "0", "Cache-Control": "no-store"})
        case "dexscreener":
            return web.Response(status=429, text="Too Many Requests")
        case "solana_rpc":
            body = {
                "jsonrpc": "2.0",
                "error": {"code": 429, "message": "Too many requests from your IP"},
                "id": None,
            }
            headers = {"Retry-After": str(int(verdict.reset_seconds) + 1)}
            return json_response(body, status=429, headers=headers)

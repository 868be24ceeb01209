"""The application's listener: `/mc`, `/stats`, `/openapi.json`. Handlers read memory; only a miss waits."""

from collections.abc import Iterable
from typing import Final

import msgspec
from aiohttp import hdrs, web

from sidecar.errors import InvalidRequestError, NotPricedError, TooManyMintsError
from sidecar.models import Mint
from sidecar.service.memory_lookups import LookupHit
from sidecar.service.service import PreCacheService
from sidecar.web.batch_body import look_up_batch
from sidecar.web.batch_limit import BatchLimit
from sidecar.web.explaining import explanation, unpriced_explanation
from sidecar.web.limits import LARGEST_BODY_BYTES, MOST_MINTS_IN_BODY, MOST_MINTS_IN_QUERY
from sidecar.web.middleware import check_size, declare_routes, error_middleware
from sidecar.web.openapi import document
from sidecar.web.origin_check import OriginCheck
from sidecar.web.problems import problem_of
from sidecar.web.request_body import read_json_body
from sidecar.web.responses import SERVICE, json_bytes, json_value
from sidecar.web.stream_route import LOOKUPS, STREAMS, get_stream
from sidecar.web.streams import Streams
from sidecar.web.token_body import token_body

LARGEST_LIMIT: Final = 1000
MOST_REQUESTED: Final = 10
LIST_SETS: Final = ("popular", "tracked", "trending")

BATCHES: Final = web.AppKey("batches", BatchLimit)


class _Batch(msgspec.Struct):
    mints: list[str]


def create_api(service: PreCacheService, streams: Streams, *, unix_socket: bool) -> web.Application:
    """Build the application's routes."""
    check_origin = OriginCheck(service.settings.api.allowed_hosts, any_host=unix_socket)

    def check(request: web.Request) -> None:
        check_size(request)
        check_origin(request)

    app = web.Application(
        middlewares=[error_middleware(service.metrics.hot, check)], client_max_size=LARGEST_BODY_BYTES
    )
    app[SERVICE] = service
    app[LOOKUPS] = service.lookups
    app[STREAMS] = streams
    app[BATCHES] = BatchLimit()
    app.add_routes(
        [
            web.get("/mc/stream", get_stream),
            web.get("/mc/{mint:[^/]+}", get_token),
            web.get("/mc", get_tokens),
            web.post("/mc", post_tokens),
            web.get("/stats", get_stats),
            web.get("/openapi.json", get_description),
        ]
    )
    declare_routes(app, service.metrics.hot)
    return app


async def get_token(request: web.Request) -> web.Response:
    """Answer for one token, out of memory or after waiting for an upstream."""
    service = request.app[SERVICE]
    mint = request.match_info["mint"]
    explain = bool(request.query_string) and _flag(request, "explain")
    try:
        found = service.lookups.find(mint) or await service.lookups.fetch(mint)
    except NotPricedError as error:
        if not explain:
            raise
        return problem_of(error, mint, unpriced_explanation(service, mint))
    response = token_response(service, found)
    if explain:
        response.body = token_body(found)[:-1] + b"," + msgspec.json.encode(explanation(service, found))[1:]
    return response


async def get_tokens(request: web.Request) -> web.Response:
    """Answer for a list of mints, or for one of the sets that are kept warm."""
    if "mints" not in request.query:
        return _list(request)
    if "set" in request.query:
        raise InvalidRequestError("set and mints exclude each other")
    mints = ",".join(request.query.getall("mints")).split(",")
    if mints == [""]:
        raise InvalidRequestError("mints is empty; it takes mints separated by commas")
    _limit(request)
    with request.app[BATCHES].hold(len(mints)):
        return await _many(request, mints, MOST_MINTS_IN_QUERY)


async def post_tokens(request: web.Request) -> web.Response:
    """Answer for the mints in a JSON body."""
    batches = request.app[BATCHES]
    with batches.hold(MOST_MINTS_IN_BODY):  # how many they are, the body says
        try:
            batch = msgspec.json.decode(await read_json_body(request), type=_Batch)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidRequestError(f'the body must be {{"mints": [mint, …]}}: {error}') from error
    with batches.hold(len(batch.mints)):
        return await _many(request, batch.mints, MOST_MINTS_IN_BODY)


async def get_description(_: web.Request) -> web.Response:
    """Answer with the OpenAPI document."""
    return json_bytes(document())


async def get_stats(request: web.Request) -> web.Response:
    """Answer with the statistics and the most requested tokens."""
    service = request.app[SERVICE]
    statistics = service.get_stats()
    tracker, symbols = service.engine.tracker, service.engine.symbols
    most_requested = [
        {"mint": mint, "symbol": symbols.get(mint), "requests": tracker.requests(mint)}
        for mint in tracker.by_demand()[:MOST_REQUESTED]
        if tracker.requests(mint)
    ]
    recent = service.metrics.recent_uncertainty
    uncertainty = {"median": recent.value(0.5), "p95": recent.value(0.95)}
    return json_value({**statistics, "served_uncertainty": uncertainty, "most_requested": most_requested})


def token_response(service: PreCacheService, found: LookupHit) -> web.Response:
    """Build the answer for one token."""
    return web.Response(body=token_body(found), headers=_cache_headers(service, found))


def _cache_headers(service: PreCacheService, found: LookupHit) -> dict[str, str]:
    """Say how fresh the answer is (RFC 9111) and where it came from (RFC 9211)."""
    max_age, status = service.lookups.tally.max_age(found.entry), "mc-sidecar; hit"
    if found.stale:
        max_age, status = 0, "mc-sidecar; hit; detail=stale"
    if not found.cached:
        status = "mc-sidecar; fwd=miss"
    return {
        hdrs.CONTENT_TYPE: "application/json",
        hdrs.AGE: str(int(found.age_seconds)),
        hdrs.CACHE_CONTROL: f"max-age={max_age}",
        "Cache-Status": status,
    }


async def _many(request: web.Request, mints: list[str], most: int) -> web.Response:
    if len(mints) > most:
        raise TooManyMintsError(f"{len(mints)} mints; this route takes at most {most}")
    return json_bytes(await look_up_batch(request.app[SERVICE].lookups, mints))


def _list(request: web.Request) -> web.Response:
    """Answer with the priced tokens of a set, highest market cap first. Lists count no look-ups."""
    service = request.app[SERVICE]
    mints, limit = _set(request, service), _limit(request)
    found = [one for mint in mints if (one := service.lookups.peek(mint)) is not None]
    found.sort(key=lambda one: one.entry.cap.market_cap_usd, reverse=True)
    tokens = [token_body(one) for one in found[:limit]]
    body = b'{"tokens":[%b],"count":%d}' % (b",".join(tokens), len(tokens))
    return json_bytes(body)


def _set(request: web.Request, service: PreCacheService) -> Iterable[Mint]:
    name = request.query.get("set", "popular")
    tracker = service.engine.tracker
    if name == "popular":
        return tracker.popular
    if name == "tracked":
        return tracker.mints
    if name == "trending":
        return tracker.tier("trending")
    raise InvalidRequestError(f"set must be one of {', '.join(LIST_SETS)}, not {name[:32]!r}")


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", str(LARGEST_LIMIT))
    limit = int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 0  # noqa: PLR2004 - 1000
    if not 1 <= limit <= LARGEST_LIMIT:
        raise InvalidRequestError(f"limit must be a whole number from 1 to {LARGEST_LIMIT}, not {text[:32]!r}")
    return limit


def _flag(request: web.Request, name: str) -> bool:
    text = request.query.get(name, "false")
    if text not in {"true", "false"}:
        raise InvalidRequestError(f"{name} must be true or false, not {text[:32]!r}")
    return text == "true"

"""Which route asks what of which source: from an HTTP request to a Call."""

from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

from sidecar.demo import wire_dexscreener, wire_geckoterminal, wire_jupiter
from sidecar.demo.market import Market
from sidecar.demo.wire import Call, RefusedError

Reader = Callable[[Market, web.Request], Call]


def _search(market: Market, request: web.Request) -> Call:
    query = request.query.get("query", "")
    terms = _split(query) or ("",)
    return _jupiter(
        market, request, "/tokens/v2/search", _split(query), lambda: wire_jupiter.search(market, terms)
    )


def _toptrending(market: Market, request: web.Request) -> Call:
    interval, limit = request.match_info["interval"], _number(request, "limit", 50)
    return _jupiter(
        market, request, "/tokens/v2/toptrending", (), lambda: wire_jupiter.trending(market, interval, limit)
    )


def _jupiter(
    market: Market, request: web.Request, name: str, mints: tuple[str, ...], answer: Callable[[], object]
) -> Call:
    """Make a call of Jupiter's, which looks at the key first; no key at all is the keyless tier."""
    key, keys = request.headers.get("x-api-key"), market.jupiter_keys
    if keys is not None and key is not None and key not in keys:
        return Call("jupiter", name, mints, _wrong_key)
    return Call("jupiter", name, mints, answer)


def _wrong_key() -> object:
    raise RefusedError(401, {"code": 401, "message": "Unauthorized"})


def _pairs(market: Market, request: web.Request) -> Call:
    mints = _split(request.match_info["mints"])
    return Call("dexscreener", "/tokens/v1/solana", mints, lambda: wire_dexscreener.tokens(market, mints))


def _boosts(market: Market, _: web.Request) -> Call:
    return Call("dexscreener", "/token-boosts/top/v1", (), lambda: wire_dexscreener.boosts(market))


def _tokens_multi(market: Market, request: web.Request) -> Call:
    mints = _split(request.match_info["mints"])
    include = frozenset(_split(request.query.get("include", "")))
    name = "/networks/solana/tokens/multi"
    return Call("geckoterminal", name, mints, lambda: wire_geckoterminal.tokens(market, mints, include))


def _trending_pools(market: Market, request: web.Request) -> Call:
    duration, page = request.query.get("duration", "24h"), _number(request, "page", 1)
    name = "/networks/solana/trending_pools"
    return Call("geckoterminal", name, (), lambda: wire_geckoterminal.trending_pools(market, duration, page))


def _split(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    return int(text) if text.isdecimal() else 0


READERS: Final[Mapping[str, Reader]] = {
    "/jupiter/tokens/v2/search": _search,
    "/jupiter/tokens/v2/toptrending/{interval}": _toptrending,
    "/dexscreener/tokens/v1/solana/{mints}": _pairs,
    "/dexscreener/token-boosts/top/v1": _boosts,
    "/geckoterminal/api/v2/networks/solana/tokens/multi/{mints}": _tokens_multi,
    "/geckoterminal/api/v2/networks/solana/trending_pools": _trending_pools,
}
"""Every GET route of the upstreams."""

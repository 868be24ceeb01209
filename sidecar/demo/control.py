"""The operator's routes, for tests and benchmarks that run the market as a process of its own.

- `GET /_market`: `{"calls": {source: count}, "faults": {source: fault | null}, "tokens": [{mint, symbol, name,
  decimals, price_usd, market_cap_usd, total_supply, circulating_supply, liquidity_usd}]}`, true at this moment.
  Supplies are whole tokens before any multiplier, as numbers; unknown is null.
- `PUT /_market/faults/{source}` with a Fault as JSON, for one
  `{"kind": "status", "status": 429, "headers": {"Retry-After": "5"}}`; `DELETE` clears it.
- `PUT /_market/rate-limits/{source}` switches the source's real limit on, `DELETE` off.
- `PUT /_market/tokens/{mint}` with any of `{"price_usd": 1.5 | null, "liquidity_usd": 0.2 | null,
  "total_supply": 1e9, "circulating_supply": 5e8 | null, "source_prices": {source: 1.4 | null}, "forget": [source],
  "remember": [source]}`: see the methods of Market.

PUT and DELETE answer 204. What cannot be understood is 400, an unknown source or mint 404, the reason as text.
"""

from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from sidecar.demo.answers import json_response
from sidecar.demo.faults import Fault
from sidecar.demo.limits import REAL_LIMITS
from sidecar.demo.market import Market
from sidecar.demo.tokens import SOURCES, Source, Token

T = TypeVar("T")


class TokenChange(msgspec.Struct, forbid_unknown_fields=True):
    """What to change of a token; absent fields stay."""

    price_usd: float | UnsetType | None = UNSET
    liquidity_usd: float | UnsetType | None = UNSET
    total_supply: Decimal | UnsetType = UNSET
    circulating_supply: Decimal | UnsetType | None = UNSET
    source_prices: dict[Source, float | None] = {}
    forget: list[Source] = []
    remember: list[Source] = []


def control_routes(market: Market) -> list[web.RouteDef]:
    """Return the routes below `/_market`."""

    async def show(_: web.Request) -> web.Response:
        tokens = [_truth(market, token) for token in market.tokens.values()]
        return json_response({"calls": market.calls, "faults": market.faults, "tokens": tokens})

    async def put_fault(request: web.Request) -> web.Response:
        market.faults[_source(request)] = _decoded(await request.read(), Fault)
        return web.Response(status=204)

    async def delete_fault(request: web.Request) -> web.Response:
        market.faults[_source(request)] = None
        return web.Response(status=204)

    async def put_rate_limit(request: web.Request) -> web.Response:
        source = _source(request)
        market.rate_limits[source] = REAL_LIMITS[source]
        return web.Response(status=204)

    async def delete_rate_limit(request: web.Request) -> web.Response:
        market.rate_limits[_source(request)] = None
        return web.Response(status=204)

    async def put_token(request: web.Request) -> web.Response:
        mint = request.match_info["mint"]
        if mint not in market.tokens:
            raise web.HTTPNotFound(text=f"the market has no token {mint}")
        _change(market, mint, _decoded(await request.read(), TokenChange))
        return web.Response(status=204)

    faults, limits = "/_market/faults/{source}", "/_market/rate-limits/{source}"
    return [
        web.get("/_market", show),
        web.put(faults, put_fault),
        web.delete(faults, delete_fault),
        web.put(limits, put_rate_limit),
        web.delete(limits, delete_rate_limit),
        web.put("/_market/tokens/{mint}", put_token),
    ]


def _truth(market: Market, token: Token) -> dict[str, Any]:
    circulating = token.circulating_supply
    return {
        "mint": token.mint,
        "symbol": token.symbol,
        "name": token.name,
        "decimals": token.decimals,
        "price_usd": market.price(token.mint),
        "market_cap_usd": market.market_cap(token.mint),
        "total_supply": float(token.total_supply),
        "circulating_supply": None if circulating is None else float(circulating),
        "liquidity_usd": token.liquidity_usd,
    }


def _source(request: web.Request) -> Source:
    for source in SOURCES:
        if source == request.match_info["source"]:
            return source
    raise web.HTTPNotFound(text=f"the sources are {', '.join(SOURCES)}")


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise web.HTTPBadRequest(text=str(error)) from error


def _change(market: Market, mint: str, change: TokenChange) -> None:
    if change.price_usd is not UNSET:
        market.set_price(mint, change.price_usd)
    if change.liquidity_usd is not UNSET:
        market.set_liquidity(mint, change.liquidity_usd)
    market.set_supply(mint, total=change.total_supply, circulating=change.circulating_supply)
    for source, usd in change.source_prices.items():
        market.set_source_price(source, mint, usd)
    for source in change.forget:
        market.forget(source, mint)
    for source in change.remember:
        market.remember(source, mint)

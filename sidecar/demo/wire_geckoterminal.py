"""GeckoTerminal's JSON:API: every figure is a string or null, and SOL is the wrapped token."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from sidecar.demo.market import Market
from sidecar.demo.tokens import Token, address_of
from sidecar.demo.wire import RefusedError, iso, plain
from sidecar.models import WRAPPED_SOL, Mint

MINTS_LIMIT: Final = 30
POOLS_PER_PAGE: Final = 20
DURATIONS: Final = frozenset({"5m", "1h", "6h", "24h"})
_LAST_PAGE: Final = 10
_WRAPPED_SUPPLY: Final = Decimal("12162044.118203377")
_POOL_VOLUME: Final = {
    "m5": "0.0",
    "m15": "184.93",
    "h1": "20827.7101127",
    "h6": "262177.827",
    "h24": "1074867.78",
}
_NO_FIGURES_BELOW: Final = 1.0
"""USD of liquidity under which no price is given."""

Row = dict[str, Any]


def tokens(market: Market, mints: Sequence[str], include: frozenset[str]) -> Row:
    """Answer `/networks/solana/tokens/multi/{mints}`; `include=top_pools` adds their pools under `included`."""
    if len(mints) > MINTS_LIMIT:
        raise RefusedError(400, {"errors": [{"status": "400", "title": "Exceeded maximum number of addresses"}]})
    found = (market.find("geckoterminal", mint) for mint in sorted(set(mints)))
    listed = [token for token in found if token is not None]
    body: Row = {"data": [_token(market, token) for token in listed]}
    if "top_pools" in include and not market.pools_withheld:
        body["included"] = [_pool(market, token) for token in listed]
    return body


def trending_pools(market: Market, duration: str, page: int) -> Row:
    """Answer `/networks/solana/trending_pools`: 20 pools a page; SOL's pools are among them, tokens come twice."""
    if duration not in DURATIONS or not 1 <= page <= _LAST_PAGE:
        raise RefusedError(400, {"errors": [{"status": "400", "title": "Invalid duration or page"}]})
    found = (market.find("geckoterminal", mint) for mint in market.trending("geckoterminal"))
    ranked = [token for token in found if token is not None]
    twice = [token for number, token in enumerate(ranked) for _ in range(1 + (number % 5 == 0))]
    first = (page - 1) * POOLS_PER_PAGE
    return {"data": [_pool(market, token) for token in twice[first : first + POOLS_PER_PAGE]]}


def _token(market: Market, token: Token) -> Row:
    supply = _supply(token)
    dead = _is_dead(token)
    usd = market.quoted_price("geckoterminal", token.mint)
    attributes: Row = {
        "address": token.mint,
        "name": token.name,
        "symbol": token.symbol,
        "decimals": token.decimals,
        "image_url": f"https://assets.example.com/{token.mint}",
        "coingecko_coin_id": token.coingecko_id,
        "total_supply": f"{plain(supply.scaleb(token.decimals).to_integral_value())}.0",
        "normalized_total_supply": plain(supply),
        "price_usd": None if dead else plain(usd),
        "fdv_usd": None if dead else plain(float(supply) * usd),
        "total_reserve_in_usd": None if token.liquidity_usd is None else plain(token.liquidity_usd),
        "volume_usd": {"h24": "3960777.64528347"},
        "market_cap_usd": _market_cap(market, token),
    }
    if token.launchpad is not None:
        attributes["launchpad_details"] = {"graduation_percentage": 41.5, "completed": False, "completed_at": None}
    top = {"data": [{"id": f"solana_{_pool_address(token)}", "type": "pool"}]}
    return {
        "id": f"solana_{token.mint}",
        "type": "token",
        "attributes": attributes,
        "relationships": {"top_pools": top},
    }


def _pool(market: Market, token: Token) -> Row:
    """Describe the token's main pool, in which it may be the quote."""
    base, quote = token, token.quote
    if token.quote_side_of is not None:
        base, quote = market.tokens[token.quote_side_of], token.mint
    usd, supply = market.quoted_price("geckoterminal", base.mint), _supply(base)
    attributes = {
        "base_token_price_usd": plain(usd),
        "base_token_price_native_currency": plain(usd / market.price(WRAPPED_SOL)),
        "quote_token_price_usd": plain(market.price(quote)) if quote in market.tokens else None,
        "address": _pool_address(token),
        "name": f"{base.symbol} / {_symbol(market, quote)}",
        "pool_created_at": iso(1_790_000_000.0),
        "fdv_usd": plain(float(supply) * usd),
        "market_cap_usd": _market_cap(market, base),
        "volume_usd": _POOL_VOLUME,
        "reserve_in_usd": None if token.liquidity_usd is None else plain(token.liquidity_usd),
    }
    return {
        "id": f"solana_{_pool_address(token)}",
        "type": "pool",
        "attributes": attributes,
        "relationships": {
            "base_token": {"data": {"id": f"solana_{base.mint}", "type": "token"}},
            "quote_token": {"data": {"id": f"solana_{quote}", "type": "token"}},
            "dex": {"data": {"id": "raydium", "type": "dex"}},
        },
    }


def _supply(token: Token) -> Decimal:
    """Return the total supply before any multiplier, as the prices are."""
    return _WRAPPED_SUPPLY if token.mint == WRAPPED_SOL else token.total_supply


def _market_cap(market: Market, token: Token) -> str | None:
    """Give what CoinGecko lists a cap: the global one if bridged, "0.0" if its circulating supply is unknown."""
    if token.coingecko_id is None:
        return None
    wrapped = token.mint == WRAPPED_SOL
    circulating = _WRAPPED_SUPPLY if wrapped else token.listed_circulating(market.clock.time())
    usd = market.source_price("geckoterminal", token.mint)
    return "0.0" if circulating is None else plain(float(circulating) * usd)


def _is_dead(token: Token) -> bool:
    return token.liquidity_usd is not None and token.liquidity_usd < _NO_FIGURES_BELOW


def _pool_address(token: Token) -> Mint:
    return address_of(f"pool {token.mint}")


def _symbol(market: Market, mint: Mint) -> str:
    token = market.tokens.get(mint)
    return "JUNK" if token is None else token.symbol

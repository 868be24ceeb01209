"""Jupiter's tokens v2: numbers are JSON numbers, what is unknown is absent rather than null."""

import random
import zlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from sidecar.demo.market import Market
from sidecar.demo.tokens import Token
from sidecar.demo.wire import RefusedError, iso

SEARCH_LIMIT: Final = 100
TRENDING_LIMIT: Final = 100
INTERVALS: Final = frozenset({"5m", "1h", "6h", "24h"})
_FUZZY_ROWS: Final = 20
_SHORTEST_MINT: Final = 32
_CREATED: Final = "2026-06-07T10:26:40.709Z"

Row = dict[str, Any]


def search(market: Market, terms: Sequence[str]) -> list[Row]:
    """Answer `/tokens/v2/search`: the 101st term is dropped, text is matched loosely, no order kept."""
    mints = {mint for term in terms[:SEARCH_LIMIT] for mint in _matches(market, term)}
    return _rows(market, sorted(mints))


def trending(market: Market, interval: str, limit: int) -> list[Row]:
    """Answer `/tokens/v2/toptrending/{interval}`: the same rows as the search."""
    if interval not in INTERVALS or not 1 <= limit <= TRENDING_LIMIT:
        raise RefusedError(400, {"error": "Invalid interval or limit"})
    return _rows(market, market.trending("jupiter"))[:limit]


def _matches(market: Market, term: str) -> list[str]:
    if len(term) >= _SHORTEST_MINT:
        return [term]
    text = term.casefold()
    named = (
        token.mint
        for token in market.tokens.values()
        if text in token.symbol.casefold() or text in token.name.casefold()
    )
    return [mint for mint, _ in zip(named, range(_FUZZY_ROWS), strict=False)]


def _rows(market: Market, mints: Sequence[str]) -> list[Row]:
    found = (market.find("jupiter", mint) for mint in mints)
    return [_row(market, token) for token in found if token is not None]


def _row(market: Market, token: Token) -> Row:
    unix = market.clock.time()
    usd = market.quoted_price("jupiter", token.mint)
    multiplier = token.supply_multiplier(unix)
    total = float(token.total_supply * multiplier)
    row: Row = {
        "id": token.mint,
        "name": token.name,
        "symbol": token.symbol,
        "icon": f"https://img.example.com/{token.mint}.png",
        "decimals": token.decimals,
        "dev": token.mint[::-1],
        "totalSupply": total,
        "tokenProgram": token.owner,
        "holderCount": 1 + zlib.crc32(token.mint.encode()) % 1_000_000,
        "fdv": total * usd,
        "usdPrice": usd,
        "priceBlockId": market.source_slot("jupiter", token.mint),
        **_STATS[zlib.crc32(token.mint.encode()) % len(_STATS)],
        "createdAt": _CREATED,
        "updatedAt": iso(unix),
    }
    if token.circulating_supply is not None:
        circulating = float(token.circulating_supply * multiplier)
        row |= {"circSupply": circulating, "mcap": circulating * usd}
    return row | _optional(token)


def _optional(token: Token) -> Row:
    """Return the keys that are there for some tokens only."""
    row: Row = {}
    if token.liquidity_usd is not None:
        row["liquidity"] = token.liquidity_usd
    if token.launchpad is not None:
        row["launchpad"] = token.launchpad
    if token.verified:
        row |= {"isVerified": True, "tags": ["community", "strict", "verified"]}
    return row


def _stats(rng: random.Random) -> Row:
    """Make up figures that are never read but give a row its size; encoded once, shared by many tokens."""
    stats = {f"stats{interval}": msgspec.Raw(msgspec.json.encode(_window(rng))) for interval in sorted(INTERVALS)}
    audit = {
        "mintAuthorityDisabled": True,
        "freezeAuthorityDisabled": True,
        "topHoldersPercentage": rng.uniform(5, 60),
        "devBalancePercentage": rng.uniform(0, 3),
        "devMints": rng.randrange(1, 20),
    }
    pool = {"id": "7XaNvyTgUXj3aKCsYUWmJbK8ScAdVbKgBpUVdeyKjdrf", "createdAt": "2026-05-11T17:09:10Z"}
    score = rng.uniform(0, 100)
    return {
        **stats,
        "firstPool": msgspec.Raw(msgspec.json.encode(pool)),
        "audit": msgspec.Raw(msgspec.json.encode(audit)),
        "organicScore": score,
        "organicScoreLabel": ("low", "medium", "high")[int(score // 34)],
    }


def _window(rng: random.Random) -> Row:
    changes = {f"{what}Change": rng.uniform(-20, 20) for what in ("price", "liquidity", "volume", "holder")}
    volumes = {f"{what}Volume": rng.uniform(10, 1e6) for what in ("buy", "sell", "buyOrganic", "sellOrganic")}
    counts = {
        f"num{what}": rng.randrange(2000) for what in ("Buys", "Sells", "Traders", "OrganicBuyers", "NetBuyers")
    }
    return {**changes, **volumes, **counts}


_STATS: Final = tuple(_stats(random.Random(number)) for number in range(16))

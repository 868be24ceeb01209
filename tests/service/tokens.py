"""Which tokens of the simulated market a test asks for."""

from typing import Final

from sidecar.config.popular import POPULAR
from sidecar.demo import Market
from sidecar.demo.popular import PYUSD
from sidecar.demo.tokens import SOURCES, address_of
from sidecar.models import TRUSTED_QUOTE_MINTS, USD1, USDC, WRAPPED_SOL, Mint

SOL: Final = WRAPPED_SOL
POPULAR_MINTS: Final = tuple(token.mint for token in POPULAR)
BONK, JUP, MSOL, STSOL, WIF = (
    next(token.mint for token in POPULAR if token.symbol == symbol)
    for symbol in ("BONK", "JUP", "mSOL", "stSOL", "WIF")
)
PRICED: Final = tuple(mint for mint in POPULAR_MINTS if mint != STSOL)
"""The popular tokens that a source prices."""

DEEP_SHARE: Final = 3e-4
"""Of the market cap: a pool is thin below 1e-4, which a price that moves with the time of day may come near."""

__all__ = ["BONK", "JUP", "MSOL", "POPULAR_MINTS", "PRICED", "SOL", "STSOL", "USDC", "WIF"]


def is_deep(market: Market, mint: Mint) -> bool:
    """Return whether the liquidity stays above a 10,000th of the cap when the price doubles."""
    token = market.tokens[mint]
    cap = market.price(mint) * float(token.total_supply)
    return (token.liquidity_usd or 0) > cap / 5_000


def plain_tokens(market: Market, count: int) -> list[Mint]:
    """Return tokens off the popular list that every source prices well at any time, and that all circulate."""
    found = [
        token.mint
        for token in market.tokens.values()
        if token.mint not in (*POPULAR_MINTS, USD1, PYUSD)
        and (token.liquidity_usd or 0) > max(15_000, DEEP_SHARE * token.price_usd * float(token.total_supply))
        and token.quote in TRUSTED_QUOTE_MINTS
        and token.quote_side_of is None
        and token.scaled is None
        and token.circulating_supply == token.total_supply
        and is_deep(market, token.mint)
        and all(market.find(source, token.mint) is not None for source in SOURCES)
    ]
    assert len(found) >= count
    return found[:count]


def nobodys(count: int, first: int = 0) -> list[Mint]:
    """Return valid mints that no source and no chain knows."""
    return [address_of(f"nobody {number}") for number in range(first, first + count)]

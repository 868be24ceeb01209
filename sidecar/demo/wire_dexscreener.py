"""DexScreener: one pair per mint, prices as strings, money as numbers, and keys that are not always there."""

import zlib
from collections.abc import Sequence
from typing import Any, Final

from sidecar.demo.market import Market
from sidecar.demo.tokens import Token, address_of
from sidecar.demo.wire import RefusedError, plain
from sidecar.models import WRAPPED_SOL, Mint

MINTS_LIMIT: Final = 30
_BOOST_ROWS: Final = 30
_BOOSTS_OF_OTHER_CHAINS: Final = 3
"""Every third boost is for a token of another chain."""
_EXACT_BELOW: Final = 10_000
"""USD; larger caps come as whole numbers."""
_JUNK_USD: Final = 1e-4
_TXNS: Final = {window: {"buys": 31, "sells": 27} for window in ("m5", "h1", "h6", "h24")}

Row = dict[str, Any]


def tokens(market: Market, mints: Sequence[str]) -> list[Row]:
    """Answer `/tokens/v1/solana/{mints}`: one pair for each known mint, in no order that was asked for."""
    if len(mints) > MINTS_LIMIT:
        raise RefusedError(400, {"error": "too many token addresses"})
    found = (market.find("dexscreener", mint) for mint in sorted(set(mints)))
    return [_pair(market, token) for token in found if token is not None]


def boosts(market: Market) -> list[Row]:
    """Answer `/token-boosts/top/v1`: all chains mixed."""
    found = (market.find("dexscreener", mint) for mint in market.trending("dexscreener"))
    ours = [token.mint for token in found if token is not None and token.mint != WRAPPED_SOL][:_BOOST_ROWS]
    rows = []
    for number, mint in enumerate(ours):
        if number % _BOOSTS_OF_OTHER_CHAINS == _BOOSTS_OF_OTHER_CHAINS - 1:
            rows.append(_boost("base", f"0x{zlib.crc32(mint.encode()):040x}"))
        rows.append(_boost("solana", mint))
    return rows[:_BOOST_ROWS]


def _boost(chain: str, address: str) -> Row:
    row: Row = {
        "url": f"https://dexscreener.com/{chain}/{address.lower()}",
        "chainId": chain,
        "tokenAddress": address,
        "icon": "AbCdEfGhIjKlMnOp",
        "links": [{"url": "https://example.com"}, {"type": "twitter", "url": "https://x.com/example"}],
        "totalAmount": 500,
    }
    if chain == "solana":
        row |= {
            "header": "https://cdn.example.com/header.png",
            "description": "A token that is paid to be shown.",
        }
    return row


def _pair(market: Market, token: Token) -> Row:
    """Describe the token's main pool; the figures are those of the pool's base token."""
    base, quote = token, token.quote
    if token.quote_side_of is not None:
        base, quote = market.tokens[token.quote_side_of], token.mint
    pool = address_of(f"pool {token.mint}")
    pair: Row = {
        "chainId": "solana",
        "dexId": "pumpfun" if token.liquidity_usd is None else "raydium",
        "url": f"https://dexscreener.com/solana/{pool.lower()}",
        "pairAddress": pool,
        "baseToken": _named(market, base.mint),
        "quoteToken": _named(market, quote),
        "priceNative": plain(_price_native(market, base, quote)),
        "txns": _TXNS,
        "volume": {"h24": 508326.67, "h6": 48513.03, "h1": 10024.11, "m5": 956.45},
        "priceChange": {"h6": -0.31, "h24": 2.04},
        "pairCreatedAt": 1_756_577_941_000,
    }
    if token.verified:
        pair["labels"] = ["CLMM"]
    return pair | _money(market, token, base, quote)


def _money(market: Market, token: Token, base: Token, quote: Mint) -> Row:
    row: Row = {}
    usd = market.quoted_price("dexscreener", base.mint)
    if token.liquidity_usd is not None:
        half = token.liquidity_usd / 2 if token.quote_reserve_usd is None else token.quote_reserve_usd
        row["liquidity"] = {
            "usd": round(token.liquidity_usd, 2),
            "base": round((token.liquidity_usd - half) / usd) if usd else 0,
            "quote": half / _usd_of(market, quote),
        }
    if token.usd_quoted:
        row["priceUsd"] = plain(usd)
        row |= {} if base.mint == WRAPPED_SOL else _caps(market, base)
    return row


def _caps(market: Market, base: Token) -> Row:
    unix, usd = market.clock.time(), market.source_price("dexscreener", base.mint)
    fdv = float(base.total_supply * base.supply_multiplier(unix)) * usd
    known = base.listed_circulating(unix) if base.verified else None
    return {"fdv": _rounded(fdv), "marketCap": _rounded(fdv if known is None else float(known) * usd)}


def _rounded(usd: float) -> float:
    return round(usd, 2) if usd < _EXACT_BELOW else round(usd)


def _named(market: Market, mint: Mint) -> Row:
    token = market.tokens.get(mint)
    name, symbol = ("Junk", "JUNK") if token is None else (token.name, token.symbol)
    return {"address": mint, "name": name, "symbol": symbol}


def _price_native(market: Market, base: Token, quote: Mint) -> float:
    return market.quoted_price("dexscreener", base.mint) / _usd_of(market, quote)


def _usd_of(market: Market, quote: Mint) -> float:
    return market.price(quote) if quote in market.tokens else _JUNK_USD

"""Tokens made up from a seed: mostly memecoins, and every kind that an upstream describes oddly."""

import functools
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import base58
import msgspec

from sidecar.demo.extensions import interest_bearing, metadata
from sidecar.demo.popular import JUP, STSOL, popular_tokens
from sidecar.demo.tokens import TOKEN_2022_PROGRAM, Source, Token, address_of
from sidecar.models import USDC, Mint, ScaledUiAmount

_CURVE_SUPPLY: Final = Decimal(1_000_000_000)
_VERIFIED_SHARE: Final = 0.3
_LISTED: Final = 1_780_000_000
"""Unix time at which a made-up token's extensions begin."""
_NEXT_MULTIPLIER_FROM: Final = 1_900_000_000

Maker = Callable[[random.Random, Token, int], Token]


class Universe(msgspec.Struct, frozen=True):
    """The tokens by mint, popular ones first, and which source leaves which of them out."""

    tokens: dict[str, Token]
    forgotten: frozenset[tuple[Source, Mint]]


@functools.lru_cache(maxsize=8)
def build_universe(seed: int, count: int) -> Universe:
    """Make `count` tokens, never fewer than the fixed ones; a larger universe begins with the smaller one."""
    popular = popular_tokens()
    made = [_make(seed, number) for number in range(count - len(popular))]
    forgotten: set[tuple[Source, Mint]] = {(source, STSOL) for source in _PRICE_SOURCES}
    for number, token in enumerate(made):
        if (source := _ABSENT.get(number % _KINDS)) is not None:
            forgotten.add((source, token.mint))
    return Universe({token.mint: token for token in (*popular, *made)}, frozenset(forgotten))


def _make(seed: int, number: int) -> Token:
    rng = random.Random(f"{seed}:{number}")
    token = _memecoin(rng, number)
    maker = _MAKERS.get(number % _KINDS)
    return token if maker is None else maker(rng, token, number)


def _memecoin(rng: random.Random, number: int) -> Token:
    supply = Decimal(rng.randrange(10**13, 10**16)).scaleb(-6)
    return Token(
        mint=Mint(base58.b58encode(rng.randbytes(32)).decode()),
        symbol=f"{rng.choice(_SYMBOLS)}{number}",
        name=f"{rng.choice(_NAMES)} {number}",
        decimals=6,
        price_usd=rng.uniform(2e5, 4e8) / float(supply),
        total_supply=supply,
        circulating_supply=supply,
        liquidity_usd=rng.uniform(2e4, 4e6),
        volatility=rng.uniform(0.05, 0.3),
        verified=rng.random() < _VERIFIED_SHARE,
    )


def _changed(token: Token, **changes: Any) -> Token:
    return msgspec.structs.replace(token, **changes)


def _tokenised_stock(rng: random.Random, token: Token, number: int) -> Token:
    multiplier = Decimal(rng.choice(("1.0125", "2", "5", "0.5")))
    scaled = ScaledUiAmount(
        multiplier=multiplier, next_multiplier=multiplier * 2, next_from_unix=_NEXT_MULTIPLIER_FROM
    )
    return _changed(
        token,
        owner=TOKEN_2022_PROGRAM,
        scaled=scaled,
        priced_unscaled=number // _KINDS % 2 == 1,
        decimals=8,
        quote=USDC,
    )


def _interest_bearing(rng: random.Random, token: Token, _: int) -> Token:
    extension = interest_bearing(rng.randrange(100, 600), _LISTED)
    return _changed(token, owner=TOKEN_2022_PROGRAM, extensions=(extension,))


def _bonding_curve(rng: random.Random, token: Token, number: int) -> Token:
    mint = Mint(f"{token.mint[:-4]}pump")
    curve = _changed(
        token,
        mint=mint,
        total_supply=_CURVE_SUPPLY,
        circulating_supply=_CURVE_SUPPLY,
        price_usd=rng.uniform(4e-6, 6e-5),
        liquidity_usd=None,
        launchpad="pump.fun",
        verified=False,
    )
    if number % 2:
        return curve
    key = base58.b58decode(mint)
    told = metadata(token.name, token.symbol, f"https://example.com/{number}.json", bytes(32), key)
    return _changed(curve, owner=TOKEN_2022_PROGRAM, extensions=told)


def _dead(rng: random.Random, token: Token, _: int) -> Token:
    """Drain the pool: its last figures stay, a cap in the billions over a few cents."""
    price = rng.uniform(1e9, 4e9) / float(token.total_supply)
    return _changed(token, liquidity_usd=rng.uniform(0.0, 0.9), price_usd=price, volatility=0.0, verified=False)


def _quoted_in_junk(_: random.Random, token: Token, number: int) -> Token:
    junk = address_of(f"junk {number}")
    return _changed(token, quote=junk, usd_quoted=number // _KINDS % 2 == 0, liquidity_usd=2.2e9, verified=False)


def _quote_side(_: random.Random, token: Token, __: int) -> Token:
    return _changed(token, quote_side_of=JUP, liquidity_usd=3.1e5)


def _thin(rng: random.Random, token: Token, _: int) -> Token:
    return _changed(token, liquidity_usd=rng.uniform(200, 5000))


def _partly_circulating(rng: random.Random, token: Token, _: int) -> Token:
    share = Decimal(rng.randrange(20, 90)) / 100
    return _changed(
        token, circulating_supply=token.total_supply * share, coingecko_id=f"token-{token.symbol.lower()}"
    )


def _circulating_unknown(_: random.Random, token: Token, __: int) -> Token:
    return _changed(token, circulating_supply=None, coingecko_id=f"token-{token.symbol.lower()}")


_KINDS: Final = 20
"""Made-up tokens take turns: number modulo this picks the kind; numbers not named below are plain memecoins."""
_PRICE_SOURCES: Final[tuple[Source, ...]] = ("jupiter", "dexscreener", "geckoterminal")
_ABSENT: Final[dict[int, Source]] = {10: "jupiter", 11: "dexscreener", 12: "geckoterminal"}
_MAKERS: Final[dict[int, Maker]] = {
    0: _tokenised_stock,
    1: _interest_bearing,
    2: _bonding_curve,
    3: _bonding_curve,
    4: _bonding_curve,
    5: _bonding_curve,
    7: _dead,
    8: _quoted_in_junk,
    9: _quote_side,
    14: _thin,
    15: _partly_circulating,
    16: _circulating_unknown,
}
_SYMBOLS: Final = ("CAT", "DOGE", "FROG", "MOON", "PEPE", "BULL", "WAGMI", "CHAD", "SNAIL", "TOAD")
_NAMES: Final = ("Tiny Cat", "Loyal Dog", "Damp Frog", "Half Moon", "Slow Snail", "Calm Bull", "Old Toad")

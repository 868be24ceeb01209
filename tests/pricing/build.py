"""Small builders: a moment, quotes, token states and valuations with figures of our own."""

from collections.abc import Collection
from decimal import Decimal
from typing import Final, Literal

import base58
import msgspec

from sidecar.models import ChainSupply, MarketCap, Mint, Quote, ScaledUiAmount
from sidecar.pricing.grading import Policy
from sidecar.pricing.result import Valuation
from sidecar.pricing.token_state import Comparison, SourcedValue, TokenState
from sidecar.pricing.valuation import value
from sidecar.runtime.clock import Instant

START: Final = Instant(monotonic=500_000.0, unix=1_795_000_000.0)
DAY: Final = 86_400.0
POLICY: Final = Policy(
    min_liquidity_usd=Decimal(100),
    good_liquidity_usd=Decimal(10_000),
    agreement_factor=Decimal("1.05"),
    jump_factor=Decimal("1.5"),
    fresh_seconds=360.0,
)
"""What the default settings make of it."""

THIN: Final = 5_000
DEAD: Final = 50
"""USD in a pool, below `good_liquidity_usd` and below `min_liquidity_usd`."""

Source = Literal["jupiter", "dexscreener", "geckoterminal"]


def make_mint(number: int) -> Mint:
    """Make a valid address of our own."""
    return Mint(base58.b58encode(number.to_bytes(4, "big") * 8).decode())


TOKEN: Final = make_mint(7)


def at(seconds: float) -> Instant:
    """Return a moment so many seconds after the start."""
    return Instant(START.monotonic + seconds, START.unix + seconds)


def dec(number: str | float | None) -> Decimal | None:
    return None if number is None else Decimal(str(number))


def quote(
    price: str | float | None = 2,
    *,
    source: Source = "jupiter",
    liquidity: str | float | None = 5_000_000,
    total: str | float | None = None,
    circulating: str | float | None = None,
    seconds: float = 0.0,
    quote_side: bool = False,
    trusted: bool = True,
) -> Quote:
    """Build a quote of TOKEN; a good one unless told otherwise."""
    return Quote(
        source=source,
        mint=TOKEN,
        received=at(seconds),
        price_usd=dec(price),
        liquidity_usd=dec(liquidity),
        symbol="TKN",
        total_supply=dec(total),
        circulating_supply=dec(circulating),
        quote_side=quote_side,
        trusted=trusted,
    )


def jupiter(
    price: str | float | None = 2, liquidity: str | float | None = 5_000_000, seconds: float = 0.0
) -> Quote:
    return quote(price, source="jupiter", liquidity=liquidity, seconds=seconds)


def dexscreener(
    price: str | float | None = 2, liquidity: str | float | None = 5_000_000, seconds: float = 0.0
) -> Quote:
    return quote(price, source="dexscreener", liquidity=liquidity, seconds=seconds)


def gecko(price: str | float | None = 2, liquidity: str | float | None = 5_000_000, seconds: float = 0.0) -> Quote:
    return quote(price, source="geckoterminal", liquidity=liquidity, seconds=seconds)


def figure(number: str | float, *, source: Source = "jupiter", seconds: float = 0.0) -> SourcedValue:
    return SourcedValue(Decimal(str(number)), source, at(seconds))


def chain(
    total: str | float,
    *,
    circulating: str | float | None = None,
    scaled: ScaledUiAmount | None = None,
    seconds: float = 0.0,
) -> ChainSupply:
    total_supply = Decimal(str(total))
    return ChainSupply(received=at(seconds), total=total_supply, circulating=dec(circulating), scaled=scaled)


def agreed(
    seconds: float = 0.0,
    disagreements: int = 0,
    *,
    apart: float = 1.0,
    price: float | None = None,
    source: Source = "jupiter",
    agreeing: int = 1,
    spread: float = 0.0,
) -> Comparison:
    """Build a comparison whose farthest quote stands this factor `apart` from the chosen one, with its price."""
    served = None if price is None else figure(price, source=source, seconds=seconds)
    return Comparison(at(seconds), disagreements, float(Decimal(apart).ln()) / 2, served, agreeing, spread)


KNOWN: Final = TokenState(chain=chain(1_000_000), chain_answered=START, circulating=figure(800_000))
"""A million tokens on chain, of which Jupiter says 800,000 circulate."""


def last_good(
    price: str | float, *, source: Source = "jupiter", seconds: float = 0.0, held_upwards: bool | None = None
) -> TokenState:
    """KNOWN, and the price that a jump is measured against."""
    last = figure(price, source=source, seconds=seconds)
    return msgspec.structs.replace(KNOWN, last_good=last, held_upwards=held_upwards)


def valued(
    *quotes: Quote,
    state: TokenState = KNOWN,
    seconds: float = 0.0,
    has_value: bool = False,
    symbol: str | None = None,
    omitted: Collection[str] = (),
    slot: int | None = None,
) -> Valuation:
    """Value TOKEN so many seconds after the start."""
    return value(
        TOKEN,
        quotes,
        state,
        now=at(seconds),
        policy=POLICY,
        has_value=has_value,
        symbol=symbol,
        omitted=omitted,
        slot=slot,
    )


def cap_of(valuation: Valuation) -> MarketCap:
    """Return the market cap of a valuation that must have one."""
    assert valuation.kind == "priced"
    assert valuation.cap is not None
    return valuation.cap

"""The values that travel between the modules. All are immutable."""

import re
from decimal import Decimal
from enum import IntEnum
from typing import Annotated, Final, Generic, Literal, NamedTuple, NewType, TypeVar

import base58
import msgspec
from msgspec import Meta

from sidecar.errors import InvalidMintError, McSidecarError
from sidecar.runtime.clock import Instant

Mint = NewType("Mint", str)
"""The base58 address of a token's mint account. Case sensitive."""

WRAPPED_SOL: Final = Mint("So11111111111111111111111111111111111111112")
USDC: Final = Mint("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v")
USDT: Final = Mint("Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB")
USD1: Final = Mint("USD1ttGY1N17NEEHLmELoaybftRBUSErhqYiQzvEmuB")
TRUSTED_QUOTE_MINTS: Final = frozenset({WRAPPED_SOL, USDC, USDT, USD1})
"""Quote tokens that cannot be minted at will, so that the liquidity of a pool with them means something."""

Basis = Literal["circulating", "total"]
Confidence = Literal["high", "medium", "low"]
ConfidenceReason = Literal[
    "single_source",
    "disagreement",
    "jump",
    "thin_liquidity",
    "no_circulating_supply",
    "supply_not_on_chain",
    "supply_changed",
    "unit_unknown",
    "old_price",
    "preferred_source_silent",
]
"""What keeps a market cap from confidence high."""
Unit = Literal["displayed", "raw", "unknown"]
"""What one token is to a source, where Token-2022's ScaledUiAmount makes a difference (`ScaledUiAmount`)."""

_MINT_BYTES = 32
LONGEST_MINT_CHARS: Final = 44
_MINT_TEXT = re.compile(f"[1-9A-HJ-NP-Za-km-z]{{32,{LONGEST_MINT_CHARS}}}")
"""Checked before decoding: base58 strips blanks, which would make one mint many."""

Spread = Annotated[float, Meta(ge=0, le=1e9)]
"""Bounded, so that what is read back from elsewhere can be reckoned with."""

T = TypeVar("T")


def parse_mint(text: str) -> Mint:
    """Check that the text is base58 of 32 bytes and return it unchanged.

    Raises InvalidMintError otherwise.
    """
    if not is_mint(text):
        raise InvalidMintError(text)
    return Mint(text)


def is_mint(text: str) -> bool:
    """Return whether the text is base58 of 32 bytes."""
    return _MINT_TEXT.fullmatch(text) is not None and len(base58.b58decode(text)) == _MINT_BYTES


class Priority(IntEnum):
    """What an upstream call is for; a lower number goes first."""

    MISS = 0
    POPULAR = 1
    TRACKED = 2
    EARLY = 3

    @property
    def waits(self) -> bool:
        """Whether such a call may wait for its turn: a miss is asked elsewhere, an early one need not be."""
        return self in {Priority.POPULAR, Priority.TRACKED}


class Quote(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one source said of one mint. Amounts are exact; whether to believe it is valuation's business."""

    source: str
    mint: Mint
    received: Instant
    """When the answer arrived."""
    price_usd: Decimal | None
    """USD for one whole token; None: the source knows the token but gives no price."""
    liquidity_usd: Decimal | None
    """USD in the pool or pools behind the price; None: unknown, or nothing that can be relied on."""
    claimed_liquidity_usd: Decimal | None = None
    """USD in the pool as the source says it; `liquidity_usd` is what of it counts."""
    unit: Unit = "displayed"
    """What `price_usd` is the price of."""
    price_slot: int | None = None
    """The slot that the price was made at; None: the source does not tell."""
    symbol: str | None = None
    decimals: int | None = None
    total_supply: Decimal | None = None
    """Whole tokens, as the source has it."""
    circulating_supply: Decimal | None = None
    quote_side: bool = False
    """The mint is only the quote token of the pairs seen; their figures describe the other token."""
    trusted: bool = True
    """False: the pool's other side can be minted at will, so `liquidity_usd` may be inflated, never too low."""
    volume_24h_usd: Decimal | None = None
    price_change_24h: Decimal | None = None
    """A ratio: 0.05 is up by 5 %."""
    verified: bool | None = None
    """Whether the source has verified the token; None: it does not tell."""


class ScaledUiAmount(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Token-2022's multiplier between raw and displayed amounts."""

    multiplier: Decimal
    next_multiplier: Decimal
    next_from_unix: int

    def at(self, unix: float) -> Decimal:
        """Return the multiplier in force at a Unix time."""
        return self.next_multiplier if unix >= self.next_from_unix else self.multiplier


class ChainSupply(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A supply read on chain, in whole tokens, unscaled."""

    received: Instant
    total: Decimal
    circulating: Decimal | None = None
    """Only SOL's is known on chain."""
    scaled: ScaledUiAmount | None = None
    decimals: int | None = None
    slot: int | None = None
    """The slot that the chain was read at."""


class Parsed(msgspec.Struct, Generic[T], frozen=True):
    """What a parser made of one answer, and how many of its rows it could not read."""

    value: T
    unreadable: int = 0
    slot: int | None = None
    """The newest slot of the chain that the answer names."""


class MarketCap(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One token's market cap as it is served. Money in USD, supplies in whole tokens; unknown is None, never 0."""

    mint: Mint
    symbol: str | None
    price_usd: float
    market_cap_usd: float
    basis: Basis
    fdv_usd: float | None
    circulating_supply: float | None
    total_supply: float | None
    liquidity_usd: float | None
    confidence: Confidence
    source: str
    supply_source: str | None
    circulating_source: str | None
    timestamp: float
    """Unix time of the answer behind the price."""
    confidence_reasons: tuple[str, ...] = ()
    """What keeps the confidence from high, each a ConfidenceReason or one of a later release; empty at high."""
    sources_agreeing: Annotated[int, Meta(ge=0, le=100)] | None = None
    """How many good quotes stood together at the last comparison, the chosen one included."""
    price_spread: Spread | None = None
    """Largest ÷ smallest usable price of the last comparison, minus 1."""
    price_slot: int | None = None
    supply_slot: int | None = None
    volume_24h_usd: Spread | None = None
    price_change_24h: float | None = None
    """A ratio: 0.05 is up by 5 %."""
    verified: bool | None = None
    volatility: Spread | None = None
    """Standard deviation of the log price over an hour; None before enough refreshes have been seen."""
    uncertainty: Spread | None = None
    """Standard error of the market cap as a ratio, at this age; None without a volatility."""
    age_seconds: float = 0.0
    stale: bool = False
    cached: bool = True
    """False when the look-up had to wait for an upstream."""


class BatchResult(NamedTuple):
    """What came of several look-ups, by mint as it was asked for."""

    tokens: dict[str, MarketCap]
    errors: dict[str, McSidecarError]

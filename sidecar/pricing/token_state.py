"""What is remembered of a token between refreshes: small, immutable, in one place.

Nothing of it can be part of a cycle, so the garbage collector passes it over (`gc=False`): with 10,000 tokens it
would stop the event loop for a tenth of a second.
"""

import math
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from sidecar.models import ChainSupply
from sidecar.pricing.volatility import PriceMotion
from sidecar.runtime.clock import Instant


class SourcedValue(msgspec.Struct, frozen=True, gc=False):
    """A number, the source that gave it and when."""

    value: Decimal
    source: str
    received: Instant


class Comparison(msgspec.Struct, frozen=True, gc=False):
    """The last time two sources' good quotes stood side by side."""

    compared: Instant
    disagreements: int
    """How many comparisons in a row disagreed; 0: they agree."""
    distance: Annotated[float, Meta(ge=0, le=1e3)] = 0.0
    """Half the log distance of the farthest of them from the chosen one."""
    price: SourcedValue | None = None
    """The price in USD that the verdict is about, and the source that gave it."""
    agreeing: Annotated[int, Meta(ge=0, le=100)] = 1
    """How many good quotes stood together, the chosen one included."""
    spread: Annotated[float, Meta(ge=0, le=1e9)] = 0.0
    """Largest ÷ smallest usable price, minus 1."""


class Doubt(msgspec.Struct, frozen=True, gc=False):
    """What a source said that speaks against others' quotes, kept until the source answers for the mint again.

    A source that gave a thin quote is not asked for the mint alone for a while; one that gave a good one may fail.
    """

    price: SourcedValue
    is_good: bool = False
    made_up: bool = False
    """Its pool only claims its liquidity."""


class TokenState(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What is remembered of one token. Everything None: nothing is known yet."""

    chain: ChainSupply | None = None
    """The supply on chain that is in use: the last good read, unless it jumped."""
    chain_pending: ChainSupply | None = None
    """A supply that jumped, as it was first read: not in use before it has been read again."""
    chain_changed: Instant | None = None
    """When a supply that had jumped was taken into use."""
    chain_answered: Instant | None = None
    """When the chain last answered for this mint, also that there is no such mint."""
    contradicted_since: Instant | None = None
    """When the preferred source's total was first another one than the chain's, while it is."""
    source_total: SourcedValue | None = None
    """A source's total supply, for when the chain cannot be read."""
    source_total_pending: SourcedValue | None = None
    """One that jumped, as it was first said."""
    circulating: SourcedValue | None = None
    """The last credible circulating supply."""
    circulating_pending: SourcedValue | None = None
    """One that jumped, or is next to nothing of the total, as it was first said."""
    circulating_changed: Instant | None = None
    """When a circulating supply that had jumped was taken into use."""
    decimals: Annotated[int, Meta(ge=0, le=255)] | None = None
    """As a source has them: a mint's never change."""
    comparison: Comparison | None = None
    last_good: SourcedValue | None = None
    """The last price in USD taken from a good quote: what a jump is measured against."""
    held_upwards: bool | None = None
    """A jump is being held: True for up, False for down, None for none."""
    leapt: Instant | None = None
    """When a price was taken more than ten times off the one before, until a second refresh has seen it."""
    vetoed: Instant | None = None
    """When the preferred source last showed a dead pool or no price."""
    silent: Instant | None = None
    """When the preferred source, which knew the token, last answered without a price that can be used."""
    doubts: Annotated[tuple[Doubt, ...], Meta(max_length=8)] = ()
    """What sources that did not answer now last said against others."""
    unpriced_since: Instant | None = None
    """When every source first answered without a usable price, with a value still in memory."""
    motion: PriceMotion | None = None
    """How the prices that were taken have moved."""


def with_chain_of(state: TokenState, newer: TokenState) -> TokenState:
    """Return the state with what is newly known of the supply on chain."""
    return msgspec.structs.replace(
        state,
        chain=newer.chain,
        chain_pending=newer.chain_pending,
        chain_changed=newer.chain_changed,
        chain_answered=newer.chain_answered,
    )


def last_heard(state: TokenState) -> float:
    """Return the monotonic time of the last thing that was heard of a token, -inf when nothing was."""
    return _newest(state)


def _newest(value: object) -> float:
    if isinstance(value, Instant):
        return value.monotonic
    if isinstance(value, msgspec.Struct):
        value = tuple(getattr(value, name) for name in value.__struct_fields__)
    return max(map(_newest, value), default=-math.inf) if isinstance(value, tuple) else -math.inf

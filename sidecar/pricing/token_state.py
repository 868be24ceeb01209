"""What is remembered of a token between refreshes: small, immutable, in one place.

Nothing of it can be part of a cycle, so the garbage collector passes it over (`gc=False`): with 10,000 tokens it
would stop the event loop for a tenth of a second.
"""

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from sidecar.models import ChainSupply
from sidecar.pricing.volatility import PriceMotion
from sidecar.runtime.clock import Instant


class SourcedValue(msgspec.Struct, frozen=True, gc=False):
    """A number, who gave it and when."""

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


class TokenState(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One token's remembered facts. Everything None: nothing is known yet."""

    chain: ChainSupply | None = None
    """The last good read of the supply on chain."""
    chain_answered: Instant | None = None
    """When the chain last answered for this mint, also that there is no such mint."""
    source_total: SourcedValue | None = None
    """A source's total supply, for when the chain cannot be read."""
    circulating: SourcedValue | None = None
    """The last credible circulating supply."""
    comparison: Comparison | None = None
    last_good: SourcedValue | None = None
    """The last price in USD taken from a good quote: what a jump is measured against."""
    held_upwards: bool | None = None
    """A jump is being held: True for up, False for down, None for none."""
    unpriced_since: Instant | None = None
    """When every source first answered without a usable price, with a value still in memory."""
    motion: PriceMotion | None = None
    """How the prices that were taken have moved."""

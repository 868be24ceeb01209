"""Which supply to believe (design: what the figures mean, 2 to 4). Pure functions."""

from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Final

import msgspec

from sidecar.models import ChainSupply, Quote
from sidecar.pricing.token_state import SourcedValue, TokenState
from sidecar.runtime.clock import Instant

EXACT: Final = Context(prec=80)
"""Sources give up to 60 digits and exponents within 40: a product is exact in all digits that can matter."""

REMEMBERED_SECONDS: Final = 24 * 3600.0
CIRCULATING_TOLERANCE: Final = Decimal("1.01")
SCALING_TOLERANCE: Final = Decimal("0.01")
CHAIN: Final = "solana_rpc"
PREFERRED: Final = "jupiter"


class EffectiveSupply(msgspec.Struct, frozen=True, kw_only=True):
    """The supplies a price is multiplied with, in whole tokens."""

    total: Decimal | None = None
    total_source: str | None = None
    circulating: Decimal | None = None
    circulating_source: str | None = None
    on_chain: bool = False
    """The total was read on chain in the last 24 hours, and its scaling is understood."""

    @property
    def for_market_cap(self) -> Decimal | None:
        """The supply behind the market cap: circulating where known, else total; None when there is nothing."""
        return (self.total if self.circulating is None else self.circulating) or None


def is_remembered(received: Instant | None, now: Instant) -> bool:
    """Tell whether something received then still counts."""
    return received is not None and now.monotonic - received.monotonic <= REMEMBERED_SECONDS


def effective_supply(state: TokenState, now: Instant) -> EffectiveSupply:
    """Return the supplies in force now."""
    total, source, on_chain = _total(state, now)
    circulating = _circulating(state, now)
    if circulating is None or not _is_credible(circulating.value, total):
        return EffectiveSupply(total=total, total_source=source, on_chain=on_chain)
    return EffectiveSupply(
        total=total,
        total_source=source,
        circulating=circulating.value if total is None else min(circulating.value, total),
        circulating_source=circulating.source,
        on_chain=on_chain,
    )


def update_supplies(state: TokenState, quotes: Sequence[Quote], now: Instant) -> tuple[TokenState, list[str]]:
    """Take supplies over from quotes, the first source's last; also name the sources whose figure is refused.

    A circulating supply that is not positive, or above the total by more than 1 %, is ignored.
    """
    refused = []
    for quote in reversed(quotes):
        if _may_replace_total(state.source_total, quote, now):
            figure = SourcedValue(quote.total_supply or Decimal(), quote.source, quote.received)
            state = msgspec.structs.replace(state, source_total=figure)
        if quote.circulating_supply is None:
            continue
        if _is_credible(quote.circulating_supply, effective_supply(state, now).total):
            figure = SourcedValue(quote.circulating_supply, quote.source, quote.received)
            state = msgspec.structs.replace(state, circulating=figure)
        else:
            refused.append(quote.source)
    return state, refused


def _may_replace_total(known: SourcedValue | None, quote: Quote, now: Instant) -> bool:
    if quote.total_supply is None or quote.total_supply <= 0:
        return False
    if known is None or known.source != PREFERRED or quote.source == PREFERRED:
        return True
    return not is_remembered(known.received, now)


def _is_credible(circulating: Decimal, total: Decimal | None) -> bool:
    return circulating > 0 and (total is None or circulating <= EXACT.multiply(total, CIRCULATING_TOLERANCE))


def _total(state: TokenState, now: Instant) -> tuple[Decimal | None, str | None, bool]:
    chain, figure = state.chain, state.source_total
    if chain is not None and is_remembered(chain.received, now):
        total, certain = _scaled_total(chain, figure, now)
        return total, CHAIN, certain
    if figure is not None and is_remembered(figure.received, now):
        return figure.value, figure.source, False
    return None, None, False


def _scaled_total(chain: ChainSupply, figure: SourcedValue | None, now: Instant) -> tuple[Decimal, bool]:
    """Apply the UI multiplier in force, or not, as the preferred source's own total shows."""
    multiplier = Decimal(1) if chain.scaled is None else chain.scaled.at(now.unix)
    if multiplier == 1:
        return chain.total, True
    scaled = EXACT.multiply(chain.total, multiplier)
    if figure is None or figure.source != PREFERRED:
        return scaled, False
    for total in (scaled, chain.total):
        if abs(figure.value - total) <= EXACT.multiply(total, SCALING_TOLERANCE):
            return total, True
    return scaled, False


def _circulating(state: TokenState, now: Instant) -> SourcedValue | None:
    chain = state.chain
    if chain is not None and chain.circulating is not None and is_remembered(chain.received, now):
        return SourcedValue(chain.circulating, CHAIN, chain.received)
    figure = state.circulating
    return figure if figure is not None and is_remembered(figure.received, now) else None

"""What `?explain=true` shows of quotes and supplies (docs/rules.md: F13). Pure."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from sidecar.metrics.labels import RefusalReason
from sidecar.models import ChainSupply, MarketCap
from sidecar.pricing.agreement import agrees
from sidecar.pricing.grading import GradedQuote, Policy
from sidecar.pricing.supply import CHAIN, chain_in_use, effective_supply, multiplier_at
from sidecar.pricing.token_state import SourcedValue, TokenState
from sidecar.runtime.clock import Instant

_CHAIN_TAKEN: Final = "the chain was taken"


class QuoteExplanation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A quote as `?explain=true` shows it."""

    source: str
    price_usd: float | None
    liquidity_usd: float | None
    """What of the liquidity counts."""
    claimed_liquidity_usd: float | None = None
    """What the source says it is."""
    received_monotonic: float
    taken: bool
    reason: str | None
    """Why it was not taken, or that it agrees; None when it was taken."""


class SupplyExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """A supply as `?explain=true` shows it."""

    kind: str
    """`total` or `circulating`."""
    source: str
    tokens: float | None
    """Whole tokens, before any multiplier."""
    slot: int | None
    multiplier: float | None
    """ScaledUiAmount's, in force now."""
    received_monotonic: float
    taken: bool
    reason: str | None
    """Why it is not in use; None when it is."""


def explain_quotes(
    graded: Sequence[GradedQuote],
    chosen: GradedQuote | None,
    reasons: Mapping[str, RefusalReason],
    policy: Policy,
    cap: MarketCap | None = None,
) -> tuple[QuoteExplanation, ...]:
    """Return a row for each quote, in the order of sources. `cap`: what was made of the chosen one."""
    return tuple(_quote_row(entry, chosen, reasons, policy, cap) for entry in graded)


def explain_supplies(state: TokenState, now: Instant) -> list[SupplyExplanation]:
    """Return a row for each supply that is in use, waits to be, or has been passed over."""
    supply, chain = effective_supply(state, now), chain_in_use(state, now)
    rows = []
    if state.chain is not None:
        reason = None if chain is state.chain else "cannot be this token's, or is older than a day"
        rows.append(_chain_row(state.chain, now, reason))
    if state.chain_pending is not None:
        rows.append(_chain_row(state.chain_pending, now, "jumped; waits to be read again"))
    contradicts = "contradicts the chain" if supply.contradicted else _CHAIN_TAKEN
    reason = contradicts if supply.total_source == CHAIN else None
    rows += _source_rows("total", state.source_total, state.source_total_pending, reason)
    reason = _CHAIN_TAKEN if supply.circulating_source == CHAIN else None
    return rows + _source_rows("circulating", state.circulating, state.circulating_pending, reason)


def as_float(number: Decimal | None) -> float | None:
    """Return a figure as a double, None for what is unknown or not finite."""
    return None if number is None or not number.is_finite() else float(number)


def _quote_row(
    entry: GradedQuote,
    chosen: GradedQuote | None,
    reasons: Mapping[str, RefusalReason],
    policy: Policy,
    cap: MarketCap | None,
) -> QuoteExplanation:
    quote = entry.quote
    if cap is None or entry is not chosen:
        price, liquidity = as_float(quote.price_usd), as_float(quote.liquidity_usd)
    else:
        price, liquidity = cap.price_usd, cap.liquidity_usd  # the same numbers, kept once
    claimed = quote.claimed_liquidity_usd
    return QuoteExplanation(
        source=quote.source,
        price_usd=price,
        liquidity_usd=liquidity,
        claimed_liquidity_usd=liquidity if claimed == quote.liquidity_usd else as_float(claimed) or liquidity,
        received_monotonic=quote.received.monotonic,
        taken=entry is chosen,
        reason=None if entry is chosen else reasons.get(quote.source) or _why(entry, chosen, policy),
    )


def _why(entry: GradedQuote, chosen: GradedQuote | None, policy: Policy) -> str:
    if entry.reason is not None:
        return entry.reason
    if entry.grade == "silent":
        return "no price"
    return "agrees" if chosen is not None and agrees(chosen, entry, policy) else "another source was taken"


def _chain_row(chain: ChainSupply, now: Instant, reason: str | None) -> SupplyExplanation:
    return SupplyExplanation(
        kind="total",
        source=CHAIN,
        tokens=as_float(chain.total),
        slot=chain.slot,
        multiplier=as_float(multiplier_at(chain, now)),
        received_monotonic=chain.received.monotonic,
        taken=reason is None,
        reason=reason,
    )


def _source_rows(
    kind: str, known: SourcedValue | None, pending: SourcedValue | None, reason: str | None
) -> list[SupplyExplanation]:
    rows = [] if known is None else [_source_row(kind, known, reason)]
    return rows if pending is None else [*rows, _source_row(kind, pending, "jumped; waits to be said again")]


def _source_row(kind: str, said: SourcedValue, reason: str | None) -> SupplyExplanation:
    return SupplyExplanation(
        kind=kind,
        source=said.source,
        tokens=as_float(said.value),
        slot=None,
        multiplier=None,
        received_monotonic=said.received.monotonic,
        taken=reason is None,
        reason=reason,
    )

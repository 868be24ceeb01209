"""Quotes and supplies in, a market cap out (design: what the figures mean, 5 to 10). Pure functions.

`value` is the whole of it: it judges the quotes, chooses one, guards against jumps, compares sources and
says what to serve and what to remember.
"""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, Literal

import msgspec

from sidecar.metrics.labels import RefusalReason
from sidecar.models import Confidence, MarketCap, Mint, Quote
from sidecar.pricing.grading import GradedQuote, Policy, choose, grade_quote, within
from sidecar.pricing.supply import EXACT, EffectiveSupply, effective_supply, update_supplies
from sidecar.pricing.token_state import Comparison, SourcedValue, TokenState
from sidecar.pricing.volatility import fresh_uncertainty, hourly, observe
from sidecar.runtime.clock import Instant

JUMP_CONFIRMED_FACTOR: Final = Decimal("1.2")
SIDE_BY_SIDE_SECONDS: Final = 60.0
VERDICT_SECONDS: Final = 600.0
UNPRICED_CONFIRMED_SECONDS: Final = 30.0

_SUPPLY: Final[RefusalReason] = "supply"
_DISAGREEMENT: Final[RefusalReason] = "disagreement"
_JUMP: Final[RefusalReason] = "jump"


class QuoteExplanation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A quote as `?explain=true` shows it."""

    source: str
    price_usd: float | None
    liquidity_usd: float | None
    received_monotonic: float
    taken: bool
    reason: str | None
    """Why it was not taken; None when it was."""


class Valuation(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the quotes.

    `priced`: serve `cap`. `held`: a jump nobody confirms; go on serving the old value, at confidence low.
    `suspect`: the first answer without a price; likewise. `unpriced`: there is no market cap, for `reason`.
    """

    kind: Literal["priced", "held", "suspect", "unpriced"]
    state: TokenState
    conclusive: bool = False
    """No other source's answer is needed: a good price that nothing speaks against, and a supply."""
    cap: MarketCap | None = None
    received: Instant | None = None
    """When the answer behind the price of `cap` arrived."""
    jump: bool = False
    """The price jumped and no second source has confirmed it."""
    reason: str = ""
    lacks_supply: bool = False
    """There is a usable price, but nothing to multiply it with."""
    explanation: tuple[QuoteExplanation, ...] = ()
    refusals: tuple[tuple[str, RefusalReason], ...] = ()


def value(
    mint: Mint,
    quotes: Sequence[Quote],
    state: TokenState,
    *,
    now: Instant,
    policy: Policy,
    symbol: str | None = None,
    has_value: bool = False,
) -> Valuation:
    """Value one mint from the quotes at hand, in the order of sources.

    `state` are those of before this refresh, so that valuing again with one more quote starts from the same
    place. `has_value`: a value is being served.
    """
    state, refused_supplies = update_supplies(state, quotes, now)
    supply = effective_supply(state, now)
    graded = [grade_quote(quote, supply, policy) for quote in quotes]
    first = chosen = choose(graded)
    jump = first is not None and _is_jump(first, state, now, policy)
    unconfirmed = jump or (first is not None and _is_contradicted_cold(first, graded, state, now, policy))
    if first is not None and unconfirmed:
        chosen = _majority_quote(first, graded) or first
    confirmed = chosen is not None and (not unconfirmed or _is_confirmed(chosen, graded))
    refusals = [(source, _SUPPLY) for source in refused_supplies]
    refusals += [(entry.quote.source, entry.reason) for entry in graded if entry.reason and entry is not chosen]
    if chosen is None or supply.for_market_cap is None:
        return _without_price(graded, state, now, refusals, has_value=has_value)
    backing = None
    if jump and not confirmed and has_value:
        backing = _quote_backing_last_price(chosen, graded, state)
        if backing is None and not _confirms_itself(chosen, state):
            comparison, _ = _compare(chosen, graded, state, policy)
            return _held(chosen, graded, msgspec.structs.replace(state, comparison=comparison), refusals)
        chosen = backing or chosen
    comparison, disagreeing = _compare(chosen, graded, state, policy)
    reasons = dict.fromkeys(disagreeing, _DISAGREEMENT)
    if first is not None and first is not chosen:
        reasons[first.quote.source] = _JUMP
    refusals += reasons.items()
    state = _accepted(chosen, state, comparison) if backing is None else _unaccepted(state, comparison)
    cap = _market_cap(mint, chosen, supply, _confidence(chosen, supply, comparison, now), symbol)
    distance = 0.0 if comparison is None else comparison.distance
    cap = msgspec.structs.replace(
        cap, volatility=hourly(state.motion), uncertainty=fresh_uncertainty(state.motion, distance)
    )
    explanation = _explanation(graded, chosen, reasons)
    received = chosen.quote.received
    return Valuation(
        kind="priced",
        state=state,
        conclusive=chosen.grade == "good" and confirmed,
        cap=cap,
        received=received,
        jump=unconfirmed and not confirmed,
        explanation=explanation,
        refusals=tuple(refusals),
    )


def _is_jump(chosen: GradedQuote, state: TokenState, now: Instant, policy: Policy) -> bool:
    last = _fresh_last_good(state, now, policy)
    return last is not None and not within(chosen.price, last.value, policy.jump_factor)


def _fresh_last_good(state: TokenState, now: Instant, policy: Policy) -> SourcedValue | None:
    last = state.last_good
    is_fresh = last is not None and now.monotonic - last.received.monotonic < policy.fresh_seconds
    return last if is_fresh else None


def _is_contradicted_cold(
    first: GradedQuote, graded: Sequence[GradedQuote], state: TokenState, now: Instant, policy: Policy
) -> bool:
    """Tell whether good quotes are a jump apart with no fresh price to say who is right: a third may."""
    if first.grade != "good" or _fresh_last_good(state, now, policy) is not None:
        return False
    others = (entry for entry in graded if entry is not first and entry.grade == "good")
    return any(not within(first.price, entry.price, policy.jump_factor) for entry in others)


def _is_confirmed(chosen: GradedQuote, graded: Sequence[GradedQuote]) -> bool:
    return any(
        entry is not chosen and entry.usable and within(chosen.price, entry.price, JUMP_CONFIRMED_FACTOR)
        for entry in graded
    )


def _majority_quote(chosen: GradedQuote, graded: Sequence[GradedQuote]) -> GradedQuote | None:
    """Return the quote of two other sources that confirm each other, where nobody confirms the chosen one.

    One of the two at least is good: two thin pools outvote nobody.
    """
    if _is_confirmed(chosen, graded):
        return None
    others = [entry for entry in graded if entry is not chosen and entry.usable]
    good = (entry for entry in others if entry.grade == "good")
    return next((entry for entry in good if _is_confirmed(entry, others)), None)


def _confirms_itself(chosen: GradedQuote, state: TokenState) -> bool:
    """Tell whether a jump, held once, may be taken on the word of the source that made it (design 4.9)."""
    last = state.last_good
    return (
        last is not None
        and state.held_upwards == (chosen.price > last.value)
        and chosen.grade == "good"
        and chosen.quote.source == last.source
    )


def _quote_backing_last_price(
    chosen: GradedQuote, graded: Sequence[GradedQuote], state: TokenState
) -> GradedQuote | None:
    """Return another good quote that stands by the last good price, where the jump has been held before.

    Old price and other source are two against one: nonsense that goes on is not taken on its own word, for as
    long as the old price is fresh.
    """
    last = state.last_good
    if last is None or state.held_upwards != (chosen.price > last.value):
        return None
    others = (entry for entry in graded if entry is not chosen and entry.grade == "good")
    return next((entry for entry in others if within(entry.price, last.value, JUMP_CONFIRMED_FACTOR)), None)


def _held(
    chosen: GradedQuote,
    graded: Sequence[GradedQuote],
    state: TokenState,
    refusals: list[tuple[str, RefusalReason]],
) -> Valuation:
    last = state.last_good
    upwards = last is not None and chosen.price > last.value
    return Valuation(
        kind="held",
        state=msgspec.structs.replace(state, held_upwards=upwards, unpriced_since=None),
        jump=True,
        explanation=_explanation(graded, None, {chosen.quote.source: _JUMP}),
        refusals=(*refusals, (chosen.quote.source, _JUMP)),
    )


def _without_price(
    graded: Sequence[GradedQuote],
    state: TokenState,
    now: Instant,
    refusals: list[tuple[str, RefusalReason]],
    *,
    has_value: bool,
) -> Valuation:
    """Tell apart the first answer without a price, which only casts doubt, from the second (design 4.10)."""
    since = state.unpriced_since or now
    certain = not has_value or now.monotonic - since.monotonic >= UNPRICED_CONFIRMED_SECONDS
    return Valuation(
        kind="unpriced" if certain else "suspect",
        reason=_why_unpriced(graded),
        lacks_supply=any(entry.usable for entry in graded),
        state=msgspec.structs.replace(state, unpriced_since=None if certain else since, held_upwards=None),
        explanation=_explanation(graded, None, {}),
        refusals=tuple(refusals),
    )


def _why_unpriced(graded: Sequence[GradedQuote]) -> str:
    if any(entry.usable for entry in graded):
        return "there is a price but no supply"
    reasons = [f"{entry.quote.source}: {entry.reason or 'no price'}" for entry in graded]
    return "no source has a trustworthy price" + (f" ({', '.join(reasons)})" if reasons else "")


def _compare(
    chosen: GradedQuote, graded: Sequence[GradedQuote], state: TokenState, policy: Policy
) -> tuple[Comparison | None, list[str]]:
    """Compare the chosen quote with the other good ones; also name those that disagree (design 4.7)."""
    others = [entry for entry in graded if entry is not chosen and _is_side_by_side(chosen, entry)]
    if chosen.grade != "good" or not others:
        return state.comparison, []
    disagreeing = [
        entry.quote.source for entry in others if not within(chosen.price, entry.price, policy.agreement_factor)
    ]
    distance = max(abs(math.log(entry.price / chosen.price)) for entry in others) / 2
    if len(disagreeing) < len(others):
        return Comparison(chosen.quote.received, 0, distance), disagreeing
    before = state.comparison.disagreements if state.comparison else 0
    return Comparison(chosen.quote.received, before + 1, distance), disagreeing


def _is_side_by_side(chosen: GradedQuote, other: GradedQuote) -> bool:
    apart = abs(chosen.quote.received.monotonic - other.quote.received.monotonic)
    return other.grade == "good" and apart <= SIDE_BY_SIDE_SECONDS


def verdict_stands(comparison: Comparison | None, now: Instant) -> bool:
    """Tell whether the last comparison still counts."""
    return comparison is not None and now.monotonic - comparison.compared.monotonic <= VERDICT_SECONDS


def _confidence(
    chosen: GradedQuote, supply: EffectiveSupply, comparison: Comparison | None, now: Instant
) -> Confidence:
    if chosen.grade != "good" or not supply.on_chain:
        return "low"
    if comparison is None or not verdict_stands(comparison, now):
        return "medium"
    if comparison.disagreements > 1:
        return "low"
    return "high" if comparison.disagreements == 0 and supply.circulating is not None else "medium"


def _accepted(chosen: GradedQuote, state: TokenState, comparison: Comparison | None) -> TokenState:
    quote = chosen.quote
    last = SourcedValue(chosen.price, quote.source, quote.received) if chosen.grade == "good" else state.last_good
    motion = observe(state.motion, quote.source, chosen.price, quote.received)
    return msgspec.structs.replace(
        state, comparison=comparison, last_good=last, held_upwards=None, unpriced_since=None, motion=motion
    )


def _unaccepted(state: TokenState, comparison: Comparison | None) -> TokenState:
    """Go on measuring jumps against the price of before: when it is no longer fresh, the order decides again."""
    return msgspec.structs.replace(state, comparison=comparison, unpriced_since=None)


def _market_cap(
    mint: Mint, chosen: GradedQuote, supply: EffectiveSupply, confidence: Confidence, symbol: str | None
) -> MarketCap:
    quote, price = chosen.quote, chosen.price
    tokens = supply.for_market_cap or Decimal()
    return MarketCap(
        mint=mint,
        symbol=symbol or quote.symbol,
        price_usd=float(price),
        market_cap_usd=float(EXACT.multiply(price, tokens)),
        basis="total" if supply.circulating is None else "circulating",
        fdv_usd=None if supply.total is None else float(EXACT.multiply(price, supply.total)),
        circulating_supply=_float(supply.circulating),
        total_supply=_float(supply.total),
        liquidity_usd=_float(quote.liquidity_usd),
        confidence=confidence,
        source=quote.source,
        supply_source=supply.total_source,
        circulating_source=supply.circulating_source,
        timestamp=quote.received.unix,
    )


def _explanation(
    graded: Sequence[GradedQuote], chosen: GradedQuote | None, reasons: Mapping[str, RefusalReason]
) -> tuple[QuoteExplanation, ...]:
    return tuple(
        QuoteExplanation(
            source=entry.quote.source,
            price_usd=_float(entry.quote.price_usd),
            liquidity_usd=_float(entry.quote.liquidity_usd),
            received_monotonic=entry.quote.received.monotonic,
            taken=entry is chosen,
            reason=None if entry is chosen else reasons.get(entry.quote.source, _why_not_taken(entry)),
        )
        for entry in graded
    )


def _why_not_taken(entry: GradedQuote) -> str:
    return entry.reason or ("no price" if entry.grade == "silent" else "another source was taken")


def _float(number: Decimal | None) -> float | None:
    return None if number is None or not number.is_finite() else float(number)

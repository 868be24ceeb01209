"""Quotes and supplies in, a market cap out (design: what the figures mean, 5 to 10). Pure functions.

`value` is the whole of it: it judges the quotes, chooses one, guards against jumps, compares sources and
says what to serve and what to remember.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, Literal

import msgspec

from sidecar.clock import Instant
from sidecar.metrics import RefusalReason
from sidecar.models import Confidence, MarketCap, Mint, Quote
from sidecar.pricing.facts import Comparison, Facts, Figure
from sidecar.pricing.grading import Judged, Policy, choose, judge, within
from sidecar.pricing.supply import EXACT, BelievedSupply, believed_supply, learn_from_quotes

JUMP_CONFIRMED_FACTOR: Final = Decimal("1.2")
SIDE_BY_SIDE_SECONDS: Final = 60.0
VERDICT_SECONDS: Final = 600.0
UNPRICED_CONFIRMED_SECONDS: Final = 30.0

_SUPPLY: Final[RefusalReason] = "supply"
_DISAGREEMENT: Final[RefusalReason] = "disagreement"
_JUMP: Final[RefusalReason] = "jump"


class SeenQuote(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
    `doubted`: the first answer without a price; likewise. `unpriced`: there is no market cap, for `reason`.
    `ask`: another source could settle it.
    """

    kind: Literal["priced", "held", "doubted", "unpriced", "ask"]
    facts: Facts
    cap: MarketCap | None = None
    received: Instant | None = None
    """When the answer behind the price of `cap` arrived."""
    jump: bool = False
    """The price jumped and no second source has confirmed it."""
    reason: str = ""
    lacks_supply: bool = False
    """There is a usable price, but nothing to multiply it with."""
    seen: tuple[SeenQuote, ...] = ()
    refusals: tuple[tuple[str, RefusalReason], ...] = ()


def value(
    mint: Mint,
    quotes: Sequence[Quote],
    facts: Facts,
    *,
    now: Instant,
    policy: Policy,
    more: bool,
    symbol: str | None = None,
    has_value: bool = False,
) -> Valuation:
    """Value one mint from the quotes at hand, in the order of sources.

    `facts` are those of before this refresh, so that valuing again with one more quote starts from the same
    place. `more`: another source can still answer. `has_value`: a value is being served.
    """
    facts, refused_supplies = learn_from_quotes(facts, quotes, now)
    supply = believed_supply(facts, now)
    judged = [judge(quote, supply, policy) for quote in quotes]
    first = chosen = choose(judged)
    jump = first is not None and _is_jump(first, facts, now, policy)
    doubtful = jump or (first is not None and _is_contradicted_cold(first, judged, facts, now, policy))
    if first is not None and doubtful:
        chosen = _outvoted(first, judged) or first
    confirmed = chosen is not None and (not doubtful or _is_confirmed(chosen, judged))
    settled = chosen is not None and chosen.grade == "good" and confirmed
    if more and not (settled and supply.for_market_cap is not None):
        return Valuation(kind="ask", facts=facts, jump=doubtful and not confirmed)
    refusals = [(source, _SUPPLY) for source in refused_supplies]
    refusals += [(entry.quote.source, entry.reason) for entry in judged if entry.reason and entry is not chosen]
    if chosen is None or supply.for_market_cap is None:
        return _without_price(judged, facts, now, refusals, has_value=has_value)
    loyal = None
    if jump and not confirmed and has_value:
        loyal = _loyal(chosen, judged, facts)
        if loyal is None and not _confirms_itself(chosen, facts):
            comparison, _ = _compare(chosen, judged, facts, policy)
            return _held(chosen, judged, msgspec.structs.replace(facts, comparison=comparison), refusals)
        chosen = loyal or chosen
    comparison, disagreeing = _compare(chosen, judged, facts, policy)
    reasons = dict.fromkeys(disagreeing, _DISAGREEMENT)
    if first is not None and first is not chosen:
        reasons[first.quote.source] = _JUMP
    refusals += reasons.items()
    facts = _accepted(chosen, facts, comparison) if loyal is None else _doubtful(facts, comparison)
    cap = _market_cap(mint, chosen, supply, _confidence(chosen, supply, comparison, now), symbol)
    seen = _seen(judged, chosen, reasons)
    received = chosen.quote.received
    return Valuation(kind="priced", facts=facts, cap=cap, received=received, seen=seen, refusals=tuple(refusals))


def _is_jump(chosen: Judged, facts: Facts, now: Instant, policy: Policy) -> bool:
    last = _fresh_last_good(facts, now, policy)
    return last is not None and not within(chosen.price, last.value, policy.jump_factor)


def _fresh_last_good(facts: Facts, now: Instant, policy: Policy) -> Figure | None:
    last = facts.last_good
    is_fresh = last is not None and now.monotonic - last.received.monotonic < policy.fresh_seconds
    return last if is_fresh else None


def _is_contradicted_cold(
    first: Judged, judged: Sequence[Judged], facts: Facts, now: Instant, policy: Policy
) -> bool:
    """Tell whether good quotes are a jump apart with no fresh price to say who is right: a third may."""
    if first.grade != "good" or _fresh_last_good(facts, now, policy) is not None:
        return False
    others = (entry for entry in judged if entry is not first and entry.grade == "good")
    return any(not within(first.price, entry.price, policy.jump_factor) for entry in others)


def _is_confirmed(chosen: Judged, judged: Sequence[Judged]) -> bool:
    return any(
        entry is not chosen and entry.usable and within(chosen.price, entry.price, JUMP_CONFIRMED_FACTOR)
        for entry in judged
    )


def _outvoted(chosen: Judged, judged: Sequence[Judged]) -> Judged | None:
    """Return the quote of two other sources that confirm each other, where nobody confirms the chosen one.

    One of the two at least is good: two thin pools outvote nobody.
    """
    if _is_confirmed(chosen, judged):
        return None
    others = [entry for entry in judged if entry is not chosen and entry.usable]
    good = (entry for entry in others if entry.grade == "good")
    return next((entry for entry in good if _is_confirmed(entry, others)), None)


def _confirms_itself(chosen: Judged, facts: Facts) -> bool:
    """Tell whether a jump, held once, may be taken on the word of the source that made it (design 4.9)."""
    last = facts.last_good
    return (
        last is not None
        and facts.held_upwards == (chosen.price > last.value)
        and chosen.grade == "good"
        and chosen.quote.source == last.source
    )


def _loyal(chosen: Judged, judged: Sequence[Judged], facts: Facts) -> Judged | None:
    """Return another good quote that stands by the last good price, where the jump has been held before.

    Old price and other source are two against one: nonsense that goes on is not taken on its own word, for as
    long as the old price is fresh.
    """
    last = facts.last_good
    if last is None or facts.held_upwards != (chosen.price > last.value):
        return None
    others = (entry for entry in judged if entry is not chosen and entry.grade == "good")
    return next((entry for entry in others if within(entry.price, last.value, JUMP_CONFIRMED_FACTOR)), None)


def _held(
    chosen: Judged, judged: Sequence[Judged], facts: Facts, refusals: list[tuple[str, RefusalReason]]
) -> Valuation:
    last = facts.last_good
    upwards = last is not None and chosen.price > last.value
    return Valuation(
        kind="held",
        facts=msgspec.structs.replace(facts, held_upwards=upwards, unpriced_since=None),
        seen=_seen(judged, None, {chosen.quote.source: _JUMP}),
        refusals=(*refusals, (chosen.quote.source, _JUMP)),
    )


def _without_price(
    judged: Sequence[Judged],
    facts: Facts,
    now: Instant,
    refusals: list[tuple[str, RefusalReason]],
    *,
    has_value: bool,
) -> Valuation:
    """Tell apart the first answer without a price, which only casts doubt, from the second (design 4.10)."""
    since = facts.unpriced_since or now
    certain = not has_value or now.monotonic - since.monotonic >= UNPRICED_CONFIRMED_SECONDS
    return Valuation(
        kind="unpriced" if certain else "doubted",
        reason=_why_unpriced(judged),
        lacks_supply=any(entry.usable for entry in judged),
        facts=msgspec.structs.replace(facts, unpriced_since=None if certain else since, held_upwards=None),
        seen=_seen(judged, None, {}),
        refusals=tuple(refusals),
    )


def _why_unpriced(judged: Sequence[Judged]) -> str:
    if any(entry.usable for entry in judged):
        return "there is a price but no supply"
    reasons = [f"{entry.quote.source}: {entry.reason or 'no price'}" for entry in judged]
    return "no source has a trustworthy price" + (f" ({', '.join(reasons)})" if reasons else "")


def _compare(
    chosen: Judged, judged: Sequence[Judged], facts: Facts, policy: Policy
) -> tuple[Comparison | None, list[str]]:
    """Compare the chosen quote with the other good ones; also name those that disagree (design 4.7)."""
    others = [entry for entry in judged if entry is not chosen and _is_side_by_side(chosen, entry)]
    if chosen.grade != "good" or not others:
        return facts.comparison, []
    disagreeing = [
        entry.quote.source for entry in others if not within(chosen.price, entry.price, policy.agreement_factor)
    ]
    if len(disagreeing) < len(others):
        return Comparison(chosen.quote.received, 0), disagreeing
    before = facts.comparison.disagreements if facts.comparison else 0
    return Comparison(chosen.quote.received, before + 1), disagreeing


def _is_side_by_side(chosen: Judged, other: Judged) -> bool:
    apart = abs(chosen.quote.received.monotonic - other.quote.received.monotonic)
    return other.grade == "good" and apart <= SIDE_BY_SIDE_SECONDS


def verdict_stands(comparison: Comparison | None, now: Instant) -> bool:
    """Tell whether the last comparison still counts."""
    return comparison is not None and now.monotonic - comparison.compared.monotonic <= VERDICT_SECONDS


def _confidence(chosen: Judged, supply: BelievedSupply, comparison: Comparison | None, now: Instant) -> Confidence:
    if chosen.grade != "good" or not supply.on_chain:
        return "low"
    if comparison is None or not verdict_stands(comparison, now):
        return "medium"
    if comparison.disagreements > 1:
        return "low"
    return "high" if comparison.disagreements == 0 and supply.circulating is not None else "medium"


def _accepted(chosen: Judged, facts: Facts, comparison: Comparison | None) -> Facts:
    quote = chosen.quote
    last = Figure(chosen.price, quote.source, quote.received) if chosen.grade == "good" else facts.last_good
    return msgspec.structs.replace(
        facts, comparison=comparison, last_good=last, held_upwards=None, unpriced_since=None
    )


def _doubtful(facts: Facts, comparison: Comparison | None) -> Facts:
    """Go on measuring jumps against the price of before: when it is no longer fresh, the order decides again."""
    return msgspec.structs.replace(facts, comparison=comparison, unpriced_since=None)


def _market_cap(
    mint: Mint, chosen: Judged, supply: BelievedSupply, confidence: Confidence, symbol: str | None
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


def _seen(
    judged: Sequence[Judged], chosen: Judged | None, reasons: Mapping[str, RefusalReason]
) -> tuple[SeenQuote, ...]:
    return tuple(
        SeenQuote(
            source=entry.quote.source,
            price_usd=_float(entry.quote.price_usd),
            liquidity_usd=_float(entry.quote.liquidity_usd),
            received_monotonic=entry.quote.received.monotonic,
            taken=entry is chosen,
            reason=None if entry is chosen else reasons.get(entry.quote.source, _why_not_taken(entry)),
        )
        for entry in judged
    )


def _why_not_taken(entry: Judged) -> str:
    return entry.reason or ("no price" if entry.grade == "silent" else "another source was taken")


def _float(number: Decimal | None) -> float | None:
    return None if number is None or not number.is_finite() else float(number)

"""Quotes and supplies in, a market cap out (docs/rules.md). Pure functions.

`value` is the whole of it: it takes over supplies, grades the quotes, chooses one, guards against jumps, compares
sources and says what to serve and what to remember.
"""

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from sidecar.metrics.labels import RefusalReason
from sidecar.models import Mint, Quote
from sidecar.pricing.agreement import compare, is_dissent, verdict
from sidecar.pricing.case import Case, make_case
from sidecar.pricing.confidence import Evidence, confidence
from sidecar.pricing.doubts import is_doubted, raised
from sidecar.pricing.explain import explain_quotes
from sidecar.pricing.grading import GradedQuote, Policy, choose
from sidecar.pricing.jump import (
    confirms_itself,
    is_confirmed,
    is_contradicted_cold,
    is_jump,
    is_upwards,
    leapt,
    majority_quote,
    quote_backing_last_price,
)
from sidecar.pricing.market_cap import market_cap
from sidecar.pricing.preferred import without_good_quote
from sidecar.pricing.result import Valuation
from sidecar.pricing.slots import is_aging
from sidecar.pricing.token_state import Comparison, SourcedValue, TokenState
from sidecar.pricing.units import price_now
from sidecar.pricing.volatility import observe
from sidecar.runtime.clock import Instant

UNPRICED_CONFIRMED_SECONDS: Final = 30.0

_SUPPLY: Final[RefusalReason] = "supply"
_DISAGREEMENT: Final[RefusalReason] = "disagreement"
_JUMP: Final[RefusalReason] = "jump"


def value(
    mint: Mint,
    quotes: Sequence[Quote],
    state: TokenState,
    *,
    now: Instant,
    policy: Policy,
    omitted: Collection[str] = (),
    slot: int | None = None,
    symbol: str | None = None,
    has_value: bool = False,
) -> Valuation:
    """Value one mint from the quotes at hand, in the order of sources.

    `state` is the one of before this refresh, so that valuing again with one more quote starts from the same
    place. `omitted`: the sources that answered and left the mint out. `slot`: the chain's newest, None when
    unknown. `has_value`: a value is being served.
    """
    case = make_case(
        mint,
        quotes,
        state,
        now=now,
        policy=policy,
        omitted=omitted,
        slot=slot,
        symbol=symbol,
        has_value=has_value,
    )
    first = choose(case.graded)
    if first is None or case.supply.for_market_cap is None:
        return _without_price(case)
    return _with_price(case, first)


def _with_price(case: Case, first: GradedQuote) -> Valuation:
    """Take the first quote, or the one that outvotes it; an unconfirmed jump is held once (F9)."""
    jump = is_jump(first, case.fresh, case.policy)
    unconfirmed = jump or is_contradicted_cold(first, case.graded, case.fresh, case.policy)
    chosen = (majority_quote(first, case.graded) or first) if unconfirmed else first
    confirmed = not unconfirmed or is_confirmed(chosen, case.graded)
    if not jump or confirmed or not case.has_value:
        return _priced(case, first, chosen, confirmed=confirmed, is_backing=False)
    held = case.state.held_upwards
    backing = quote_backing_last_price(chosen, case.graded, case.fresh, held_upwards=held)
    if backing is not None:
        return _priced(case, first, backing, confirmed=False, is_backing=True)
    if confirms_itself(chosen, case.fresh, held_upwards=held):
        return _priced(case, first, chosen, confirmed=False, is_backing=False)
    return _held(case, chosen)


def _priced(
    case: Case, first: GradedQuote, chosen: GradedQuote, *, confirmed: bool, is_backing: bool
) -> Valuation:
    """Serve the chosen quote. `is_backing`: it only stands by a price from which another one jumped."""
    comparison, disagreeing = _compare(case, chosen)
    reasons = dict.fromkeys(disagreeing, _DISAGREEMENT)
    if first is not chosen:
        reasons[first.quote.source] = _JUMP
    since = leapt(chosen, case.last, case.state.leapt, case.policy)
    evidence = _evidence(case, chosen, comparison, leapt_since=since)
    accepted = _unaccepted if is_backing else _accepted
    state = accepted(_doubting(case, chosen.price), chosen, comparison, since)
    cap = market_cap(
        case.mint,
        chosen.quote,
        [entry.quote for entry in case.graded],
        case.supply,
        confidence(evidence),
        comparison=comparison,
        motion=state.motion,
        symbol=case.symbol,
        now=case.now,
    )
    return Valuation(
        kind="priced",
        state=state,
        conclusive=chosen.grade == "good" and confirmed,
        compared=evidence.verdict != "none",
        cap=cap,
        received=chosen.quote.received,
        jump=not confirmed,
        explanation=explain_quotes(case.graded, chosen, reasons, case.policy, cap),
        refusals=case.refusals(chosen, reasons),
    )


def _compare(case: Case, chosen: GradedQuote) -> tuple[Comparison | None, list[str]]:
    return compare(chosen, case.graded, case.state.comparison, case.policy, earlier=case.unanswered)


def _evidence(
    case: Case, chosen: GradedQuote, comparison: Comparison | None, *, leapt_since: Instant | None
) -> Evidence:
    compared = price_now(comparison.price if comparison else None, case.state, case.supply, case.now)
    return Evidence(
        chosen=chosen,
        supply=case.supply,
        verdict=verdict(
            chosen,
            comparison,
            compared,
            case.now,
            case.policy,
            preferred_silent=without_good_quote(case.graded, case.omitted),
        ),
        dissent=is_dissent(chosen, case.graded, case.policy)
        or is_doubted(chosen, case.doubts, now=case.now, policy=case.policy),
        leapt=leapt_since is not None,
        aging=is_aging(chosen.quote.price_slot, case.slot),
        preferred_silent=case.state.silent is not None,
    )


def _doubting(case: Case, served: Decimal | None) -> TokenState:
    """Return the state with what speaks against the price that is served, should its source not answer again."""
    return replace(case.state, doubts=(*case.doubts, *raised(case.graded, served, case.policy)))


def _held(case: Case, chosen: GradedQuote) -> Valuation:
    comparison, _ = _compare(case, chosen)
    reasons = {chosen.quote.source: _JUMP}
    return Valuation(
        kind="held",
        state=replace(
            _doubting(case, None if case.fresh is None else case.fresh.value),
            comparison=comparison,
            held_upwards=is_upwards(chosen, case.fresh),
            unpriced_since=None,
        ),
        doubt="jump",
        jump=True,
        explanation=explain_quotes(case.graded, None, reasons, case.policy),
        refusals=case.refusals(None, reasons),
    )


def _without_price(case: Case) -> Valuation:
    """Tell apart the first answer without a price, which only casts doubt, from the second (F10)."""
    since = case.state.unpriced_since or case.now
    certain = not case.has_value or case.now.monotonic - since.monotonic >= UNPRICED_CONFIRMED_SECONDS
    return Valuation(
        kind="unpriced" if certain else "suspect",
        reason=_why_unpriced(case.graded),
        lacks_supply=any(entry.usable for entry in case.graded),
        state=replace(case.state, unpriced_since=None if certain else since, held_upwards=None),
        doubt="preferred_source_silent",
        explanation=explain_quotes(case.graded, None, {}, case.policy),
        refusals=case.refusals(None, {}),
    )


def _why_unpriced(graded: Sequence[GradedQuote]) -> str:
    if any(entry.usable for entry in graded):
        return "there is a price but no supply"
    reasons = [f"{entry.quote.source}: {entry.reason or 'no price'}" for entry in graded]
    return "no source has a trustworthy price" + (f" ({', '.join(reasons)})" if reasons else "")


def _accepted(
    state: TokenState, chosen: GradedQuote, comparison: Comparison | None, leapt_since: Instant | None
) -> TokenState:
    quote, is_good = chosen.quote, chosen.grade == "good"
    return replace(
        state,
        comparison=comparison,
        last_good=SourcedValue(chosen.price, quote.source, quote.received) if is_good else state.last_good,
        leapt=leapt_since if is_good else state.leapt,
        held_upwards=None,
        unpriced_since=None,
        motion=observe(state.motion, quote.source, chosen.price, quote.received),
    )


def _unaccepted(
    state: TokenState, _chosen: GradedQuote, comparison: Comparison | None, _leapt_since: Instant | None
) -> TokenState:
    """Go on measuring jumps against the price of before: when it is no longer fresh, the order decides again."""
    return replace(state, comparison=comparison, unpriced_since=None)

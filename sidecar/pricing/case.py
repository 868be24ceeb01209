"""One mint's quotes next to all that they are held against. Pure."""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from sidecar.metrics.labels import RefusalReason
from sidecar.models import Mint, Quote
from sidecar.pricing.doubts import made_up_prices, raised, standing
from sidecar.pricing.grading import Grade, GradedQuote, Policy, grade_quote, grade_quotes
from sidecar.pricing.preferred import is_vetoed, last_silence, last_veto
from sidecar.pricing.result import Refusals
from sidecar.pricing.supply import EffectiveSupply, effective_supply
from sidecar.pricing.supply_updates import update_supplies
from sidecar.pricing.token_state import Doubt, SourcedValue, TokenState
from sidecar.pricing.units import in_supply_unit, price_now
from sidecar.runtime.clock import Instant

_SUPPLY: Final[RefusalReason] = "supply"


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One mint's valuation: the quotes, graded and in the supply's unit, and all that they are held against."""

    mint: Mint
    symbol: str | None
    graded: Sequence[GradedQuote]
    omitted: Collection[str]
    state: TokenState
    supply: EffectiveSupply
    last: SourcedValue | None
    """The last good price, in the unit of now, of any age."""
    fresh: SourcedValue | None
    """The same, None where it is not fresh."""
    doubts: Sequence[Doubt]
    """Of sources that did not answer now."""
    refused_supplies: Sequence[str]
    now: Instant
    slot: int | None
    policy: Policy
    has_value: bool

    @property
    def unanswered(self) -> SourcedValue | None:
        """The last good price, where its source has not answered now."""
        answered = {one.quote.source for one in self.graded}.union(self.omitted)
        return self.last if self.last is not None and self.last.source not in answered else None

    def refusals(self, chosen: GradedQuote | None, reasons: dict[str, RefusalReason]) -> Refusals:
        """Return the sources of which something was not believed, and why."""
        supplies = [(source, _SUPPLY) for source in self.refused_supplies]
        graded = [(one.quote.source, one.reason) for one in self.graded if one.reason and one is not chosen]
        return (*supplies, *graded, *reasons.items())


def make_case(
    mint: Mint,
    quotes: Sequence[Quote],
    state: TokenState,
    *,
    now: Instant,
    policy: Policy,
    omitted: Collection[str],
    slot: int | None,
    symbol: str | None,
    has_value: bool,
) -> Case:
    """Take over the quotes' supplies, bring prices into the supply's unit and grade them."""
    state, refused = update_supplies(state, quotes, now, policy.jump_factor)
    supply = effective_supply(state, now)
    last = price_now(state.last_good, state, supply, now)
    is_fresh = last is not None and now.monotonic - last.received.monotonic < policy.fresh_seconds
    fresh = last if is_fresh else None
    quotes = in_supply_unit(quotes, supply, fresh, policy.agreement_factor)
    doubts = standing(state.doubts, {quote.source for quote in quotes}.union(omitted), now)
    graded = grade_quotes(
        quotes,
        supply,
        policy,
        slot=slot,
        vetoed=is_vetoed(state.vetoed, quotes, now),
        made_up=made_up_prices(doubts),
    )
    return Case(
        mint=mint,
        symbol=symbol,
        graded=graded,
        omitted=omitted,
        state=replace(
            state,
            contradicted_since=(state.contradicted_since or now) if supply.contradicted else None,
            vetoed=last_veto(state.vetoed, graded, now),
            silent=last_silence(graded, omitted, state, now),
            doubts=(*doubts, *raised(graded, None, policy)),
        ),
        doubts=doubts,
        supply=supply,
        last=last,
        fresh=fresh,
        refused_supplies=refused,
        now=now,
        slot=slot,
        policy=policy,
        has_value=has_value,
    )


def grade_of(quote: Quote, state: TokenState, *, now: Instant, policy: Policy) -> Grade:
    """Return the grade of a quote by itself, whatever other sources say."""
    supply = effective_supply(state, now)
    last = price_now(state.last_good, state, supply, now)
    [quote] = in_supply_unit([quote], supply, last, policy.agreement_factor)
    return grade_quote(quote, supply, policy).grade

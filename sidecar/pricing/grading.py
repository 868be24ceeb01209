"""Grading quotes, each on its own, and choosing among them (docs/rules.md: F5, F6 and F11). Pure."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Literal

import msgspec

from sidecar.metrics.labels import RefusalReason
from sidecar.models import Quote
from sidecar.pricing.ratios import EXACT, within
from sidecar.pricing.slots import is_old
from sidecar.pricing.supply import PREFERRED, EffectiveSupply

LARGEST_CAP_USD: Final = Decimal("1e14")
SMALLEST_CAP_USD: Final = Decimal(1)
THIN_SHARE_OF_CAP: Final = Decimal(10_000)
"""The smallest share of its cap that a good pool was recorded to hold is a 6,000th."""
THIN_GIVES_WAY_FACTOR: Final = Decimal(2)
SAME_POOL_FACTOR: Final = Decimal("1.2")
INFLATED_FACTOR: Final = Decimal(20)
"""A pool that claims so many times the liquidity that counts of it has been made up."""

Grade = Literal["good", "thin", "refused", "silent"]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that valuation needs. Ratios become factors: 0.05 is a factor of 1.05 either way."""

    min_liquidity_usd: Decimal
    good_liquidity_usd: Decimal
    agreement_factor: Decimal
    jump_factor: Decimal
    fresh_seconds: float


class GradedQuote(msgspec.Struct, frozen=True):
    """A quote and what is thought of it. `silent`: the source knows the token but gives no price."""

    quote: Quote
    grade: Grade
    reason: RefusalReason | None = None

    @property
    def usable(self) -> bool:
        """Whether its price may be served at all."""
        return self.grade in {"good", "thin"}

    @property
    def is_evidence(self) -> bool:
        """Whether its price says anything about another one: not in an unknown unit."""
        return self.usable and self.quote.unit != "unknown"

    @property
    def price(self) -> Decimal:
        """Its price, 0 where it has none."""
        return self.quote.price_usd or Decimal()


def grade_quotes(
    quotes: Sequence[Quote],
    supply: EffectiveSupply,
    policy: Policy,
    *,
    slot: int | None,
    vetoed: bool,
    made_up: Sequence[Decimal] = (),
) -> list[GradedQuote]:
    """Grade quotes on their own and next to each other.

    `vetoed`: the preferred source vetoed others lately. `made_up`: prices of pools that were made up, lately.
    """
    graded = [grade_quote(quote, supply, policy, slot=slot) for quote in quotes]
    vetoed = vetoed or any(map(is_veto, graded))
    prices = [*made_up, *(entry.price for entry in graded if is_made_up(entry.quote, policy))]
    return [_in_company(entry, prices, vetoed=vetoed) for entry in graded]


def grade_quote(quote: Quote, supply: EffectiveSupply, policy: Policy, *, slot: int | None = None) -> GradedQuote:
    """Grade one quote on its own (F5); `slot`: the chain's newest, None when unknown."""
    if quote.quote_side:
        return GradedQuote(quote, "refused", "quote_side")
    price = quote.price_usd
    if price is None:
        return GradedQuote(quote, "silent")
    if not price.is_finite() or price <= 0:
        return GradedQuote(quote, "refused", "not_positive")
    tokens = supply.for_market_cap
    cap = None if tokens is None else EXACT.multiply(price, tokens)
    # A supply that nothing has confirmed refuses no price.
    if cap is not None and not supply.contradicted and not SMALLEST_CAP_USD <= cap <= LARGEST_CAP_USD:
        return GradedQuote(quote, "refused", "absurd")
    return _grade_usable(quote, cap, policy, slot)


def is_veto(entry: GradedQuote) -> bool:
    """Return whether the preferred source knows the token and shows no price, or a dead pool."""
    return entry.quote.source == PREFERRED and (entry.grade == "silent" or entry.reason == "dead_pool")


def choose(graded: Sequence[GradedQuote]) -> GradedQuote | None:
    """Choose the quote to serve (F6): the first one, or where it is thin a good one that agrees."""
    usable = [entry for entry in graded if entry.is_evidence] or [entry for entry in graded if entry.usable]
    first = next(iter(usable), None)
    if first is None or first.grade == "good":
        return first
    good = (entry for entry in usable if entry.grade == "good")
    return next((entry for entry in good if within(first.price, entry.price, THIN_GIVES_WAY_FACTOR)), first)


def _grade_usable(quote: Quote, cap: Decimal | None, policy: Policy, slot: int | None) -> GradedQuote:
    liquidity = quote.liquidity_usd
    if liquidity is not None and liquidity < policy.min_liquidity_usd:
        return GradedQuote(quote, "refused", "dead_pool")
    if quote.unit == "unknown":
        return GradedQuote(quote, "thin", "unit_unknown")
    if is_old(quote.price_slot, slot):
        return GradedQuote(quote, "thin", "old_price")
    if liquidity is None or not quote.trusted or liquidity < policy.good_liquidity_usd:
        return GradedQuote(quote, "thin", "thin")
    if cap is not None and EXACT.multiply(liquidity, THIN_SHARE_OF_CAP) < cap:
        return GradedQuote(quote, "thin", "thin")
    return GradedQuote(quote, "good")


def is_made_up(quote: Quote, policy: Policy) -> bool:
    """Return whether a pool claims liquidity that its quote side shows not to be there."""
    if quote.price_usd is None:
        return False
    claimed, counted = quote.claimed_liquidity_usd, quote.liquidity_usd
    if claimed is None or counted is None or counted >= policy.good_liquidity_usd:
        return False
    return claimed >= policy.good_liquidity_usd and claimed > EXACT.multiply(counted, INFLATED_FACTOR)


def _in_company(entry: GradedQuote, made_up: Sequence[Decimal], *, vetoed: bool) -> GradedQuote:
    """Let a good quote be thin that the preferred source vetoes, or that repeats the price of a made-up pool."""
    if entry.grade != "good":
        return entry
    if vetoed and entry.quote.source != PREFERRED:
        return GradedQuote(entry.quote, "thin", "preferred_source_silent")
    if any(within(entry.price, price, SAME_POOL_FACTOR) for price in made_up):
        return GradedQuote(entry.quote, "thin", "thin")
    return entry

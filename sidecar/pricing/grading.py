"""Grading quotes, each on its own, and choosing among them (design: what the figures mean, 5 and 6). Pure."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Literal

import msgspec

from sidecar.metrics.labels import RefusalReason
from sidecar.models import Quote
from sidecar.pricing.supply import EXACT, EffectiveSupply

LARGEST_CAP_USD: Final = Decimal("1e14")
SMALLEST_CAP_USD: Final = Decimal(1)
THIN_SHARE_OF_CAP: Final = 100_000
THIN_GIVES_WAY_FACTOR: Final = Decimal(2)

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
    def price(self) -> Decimal:
        """Its price, 0 where it has none."""
        return self.quote.price_usd or Decimal()


def grade_quote(quote: Quote, supply: EffectiveSupply, policy: Policy) -> GradedQuote:
    """Grade one quote on its own (design 4.5)."""
    if quote.quote_side:
        return GradedQuote(quote, "refused", "quote_side")
    price = quote.price_usd
    if price is None:
        return GradedQuote(quote, "silent")
    if not price.is_finite() or price <= 0:
        return GradedQuote(quote, "refused", "not_positive")
    tokens = supply.for_market_cap
    cap = None if tokens is None else EXACT.multiply(price, tokens)
    if cap is not None and not SMALLEST_CAP_USD <= cap <= LARGEST_CAP_USD:
        return GradedQuote(quote, "refused", "absurd")
    return _grade_liquidity(quote, cap, policy)


def _grade_liquidity(quote: Quote, cap: Decimal | None, policy: Policy) -> GradedQuote:
    liquidity = quote.liquidity_usd
    if liquidity is not None and liquidity < policy.min_liquidity_usd:
        return GradedQuote(quote, "refused", "dead_pool")
    if liquidity is None or not quote.trusted or liquidity < policy.good_liquidity_usd:
        return GradedQuote(quote, "thin", "thin")
    if cap is not None and EXACT.multiply(liquidity, Decimal(THIN_SHARE_OF_CAP)) < cap:
        return GradedQuote(quote, "thin", "thin")
    return GradedQuote(quote, "good")


def choose(graded: Sequence[GradedQuote]) -> GradedQuote | None:
    """Choose the quote to serve (design 4.6): the first one, or where it is thin a good one that agrees."""
    first = next((entry for entry in graded if entry.usable), None)
    if first is None or first.grade == "good":
        return first
    good = (entry for entry in graded if entry.grade == "good")
    return next((entry for entry in good if within(first.price, entry.price, THIN_GIVES_WAY_FACTOR)), first)


def within(one: Decimal, other: Decimal, factor: Decimal) -> bool:
    """Tell whether two prices are within a factor of each other."""
    return max(one, other) <= EXACT.multiply(min(one, other), factor)

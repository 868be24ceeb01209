"""Comparing good quotes, and how long the verdict stands (docs/rules.md: F7). Pure."""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Literal

from sidecar.pricing.grading import GradedQuote, Policy
from sidecar.pricing.ratios import EXACT, ONE, within
from sidecar.pricing.token_state import Comparison, SourcedValue
from sidecar.runtime.clock import Instant

SIDE_BY_SIDE_SECONDS: Final = 60.0
VERDICT_SECONDS: Final = 600.0
STILL_AGREED: Final = Decimal("1.2")
"""Quotes that agree go on agreeing up to so many times `agreement_ratio`; a spread close to it changes nothing."""

MOVED_FACTOR: Final = Decimal("1.2")
"""A verdict does not speak for a price that has moved further since: a source may drift without a jump."""

Verdict = Literal["agreed", "disagreed", "disagreed_again", "none"]


def compare(
    chosen: GradedQuote,
    graded: Sequence[GradedQuote],
    before: Comparison | None,
    policy: Policy,
    *,
    earlier: SourcedValue | None = None,
) -> tuple[Comparison | None, list[str]]:
    """Compare the chosen quote with the other good ones; also name the sources that disagree.

    `earlier`: the last good price, where its source has not answered since. It may confirm the chosen quote where
    no other one stands beside it, and never contradicts it: the price may have moved.
    """
    if chosen.grade != "good":
        return before, []
    factor = _agreement_factor(chosen, before, policy)
    others = {one.quote.source: one.price for one in graded if one is not chosen and _is_side_by_side(chosen, one)}
    prices = [entry.price for entry in graded if entry.is_evidence]
    if not others:
        if earlier is None or not _confirms(earlier, chosen, factor):
            return before, []
        others = {earlier.source: earlier.value}
        prices.append(earlier.value)
    disagreeing = [source for source, price in others.items() if not within(chosen.price, price, factor)]
    agreeing = len(others) - len(disagreeing)
    disagreements = 0 if agreeing else 1 + (before.disagreements if before else 0)
    comparison = Comparison(
        chosen.quote.received,
        disagreements,
        max(abs(math.log(price / chosen.price)) for price in others.values()) / 2,
        SourcedValue(chosen.price, chosen.quote.source, chosen.quote.received),
        1 + agreeing,
        _spread(prices),
    )
    return comparison, disagreeing


def agrees(chosen: GradedQuote, other: GradedQuote, policy: Policy) -> bool:
    """Return whether a usable quote stands by the chosen one."""
    return other.is_evidence and within(chosen.price, other.price, policy.agreement_factor)


def verdict_stands(comparison: Comparison | None, now: Instant) -> bool:
    """Return whether the last comparison still counts, whatever is served now."""
    return comparison is not None and now.monotonic - comparison.compared.monotonic <= VERDICT_SECONDS


def verdict(
    chosen: GradedQuote,
    comparison: Comparison | None,
    compared: SourcedValue | None,
    now: Instant,
    policy: Policy,
    *,
    preferred_silent: bool,
) -> Verdict:
    """Return what the last comparison says of the price that is served now.

    `compared`: its price, in the unit of now. `preferred_silent`: the preferred source answered without a good
    quote; then only a comparison of this very refresh counts.
    """
    if comparison is None or not verdict_stands(comparison, now):
        return "none"
    if compared is not None and comparison.compared != chosen.quote.received:
        other_price = not within(chosen.price, compared.value, min(MOVED_FACTOR, policy.jump_factor))
        if compared.source != chosen.quote.source or other_price or preferred_silent:
            return "none"
    if comparison.disagreements == 0:
        return "agreed"
    return "disagreed" if comparison.disagreements == 1 else "disagreed_again"


def is_dissent(chosen: GradedQuote, graded: Sequence[GradedQuote], policy: Policy) -> bool:
    """Return whether a usable quote of the same refresh, thin ones included, is a jump away (F8)."""
    others = (entry for entry in graded if entry is not chosen and entry.is_evidence)
    return any(not within(chosen.price, entry.price, policy.jump_factor) for entry in others)


def _agreement_factor(chosen: GradedQuote, before: Comparison | None, policy: Policy) -> Decimal:
    """Return the factor within which quotes agree; wider for those that did when last compared."""
    agreed = before is not None and before.disagreements == 0 and verdict_stands(before, chosen.quote.received)
    if not agreed:
        return policy.agreement_factor
    return ONE + EXACT.multiply(policy.agreement_factor - ONE, STILL_AGREED)


def _is_side_by_side(chosen: GradedQuote, other: GradedQuote) -> bool:
    return other.grade == "good" and _apart(chosen, other.quote.received) <= SIDE_BY_SIDE_SECONDS


def _confirms(earlier: SourcedValue, chosen: GradedQuote, factor: Decimal) -> bool:
    is_another = earlier.source != chosen.quote.source
    is_recent = _apart(chosen, earlier.received) <= SIDE_BY_SIDE_SECONDS
    return is_another and is_recent and within(chosen.price, earlier.value, factor)


def _apart(chosen: GradedQuote, received: Instant) -> float:
    return abs(chosen.quote.received.monotonic - received.monotonic)


def _spread(prices: Sequence[Decimal]) -> float:
    return min(1e9, float(EXACT.divide(max(prices), min(prices))) - 1.0)

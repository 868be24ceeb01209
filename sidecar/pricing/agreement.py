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
    chosen: GradedQuote, graded: Sequence[GradedQuote], before: Comparison | None, policy: Policy
) -> tuple[Comparison | None, list[str]]:
    """Compare the chosen quote with the other good ones; also name the sources that disagree."""
    others = [entry for entry in graded if entry is not chosen and _is_side_by_side(chosen, entry)]
    if chosen.grade != "good" or not others:
        return before, []
    factor = _agreement_factor(chosen, before, policy)
    disagreeing = [entry.quote.source for entry in others if not within(chosen.price, entry.price, factor)]
    agreeing = len(others) - len(disagreeing)
    disagreements = 0 if agreeing else 1 + (before.disagreements if before else 0)
    comparison = Comparison(
        chosen.quote.received,
        disagreements,
        max(abs(math.log(entry.price / chosen.price)) for entry in others) / 2,
        SourcedValue(chosen.price, chosen.quote.source, chosen.quote.received),
        1 + agreeing,
        _spread(graded),
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
    apart = abs(chosen.quote.received.monotonic - other.quote.received.monotonic)
    return other.grade == "good" and apart <= SIDE_BY_SIDE_SECONDS


def _spread(graded: Sequence[GradedQuote]) -> float:
    prices = [entry.price for entry in graded if entry.is_evidence]
    return min(1e9, float(EXACT.divide(max(prices), min(prices))) - 1.0)

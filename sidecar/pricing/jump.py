"""Prices that jump: which sources confirm them, which outvote them (docs/rules.md: F9). Pure."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from sidecar.pricing.grading import GradedQuote, Policy
from sidecar.pricing.ratios import within
from sidecar.pricing.token_state import SourcedValue
from sidecar.runtime.clock import Instant

CONFIRMED_FACTOR: Final = Decimal("1.2")
LEAP_FACTOR: Final = Decimal(10)
SECOND_REFRESH_SECONDS: Final = 30.0


def is_jump(chosen: GradedQuote, last: SourcedValue | None, policy: Policy) -> bool:
    """Return whether a price is a jump away from the last good one, None without a fresh one."""
    return last is not None and not within(chosen.price, last.value, policy.jump_factor)


def is_contradicted_cold(
    first: GradedQuote, graded: Sequence[GradedQuote], last: SourcedValue | None, policy: Policy
) -> bool:
    """Return whether good quotes are a jump apart with no fresh price to say which is right: a third may."""
    if first.grade != "good" or last is not None:
        return False
    others = (entry for entry in graded if entry is not first and entry.grade == "good")
    return any(not within(first.price, entry.price, policy.jump_factor) for entry in others)


def is_confirmed(chosen: GradedQuote, graded: Sequence[GradedQuote]) -> bool:
    """Return whether another usable quote stands by a price."""
    return any(
        entry is not chosen and entry.is_evidence and within(chosen.price, entry.price, CONFIRMED_FACTOR)
        for entry in graded
    )


def majority_quote(chosen: GradedQuote, graded: Sequence[GradedQuote]) -> GradedQuote | None:
    """Return the quote of two other sources that confirm each other, where nothing confirms the chosen one.

    One of the two at least is good: two thin pools outvote nothing.
    """
    if is_confirmed(chosen, graded):
        return None
    others = [entry for entry in graded if entry is not chosen and entry.is_evidence]
    good = (entry for entry in others if entry.grade == "good")
    return next((entry for entry in good if is_confirmed(entry, others)), None)


def is_upwards(chosen: GradedQuote, last: SourcedValue | None) -> bool:
    """Return whether a jump goes up."""
    return last is not None and chosen.price > last.value


def confirms_itself(chosen: GradedQuote, last: SourcedValue | None, *, held_upwards: bool | None) -> bool:
    """Return whether a jump, held once, may be taken on the word of the source that made it."""
    return (
        last is not None
        and held_upwards == is_upwards(chosen, last)
        and chosen.grade == "good"
        and chosen.quote.source == last.source
    )


def quote_backing_last_price(
    chosen: GradedQuote,
    graded: Sequence[GradedQuote],
    last: SourcedValue | None,
    *,
    held_upwards: bool | None,
) -> GradedQuote | None:
    """Return another good quote that stands by the last good price, where the jump has been held before.

    Old price and other source are two against one: nonsense that goes on is not taken on its own word, for as
    long as the old price is fresh.
    """
    if last is None or held_upwards != is_upwards(chosen, last):
        return None
    others = (entry for entry in graded if entry is not chosen and entry.grade == "good")
    return next((entry for entry in others if within(entry.price, last.value, CONFIRMED_FACTOR)), None)


def leapt(
    chosen: GradedQuote, last: SourcedValue | None, before: Instant | None, policy: Policy
) -> Instant | None:
    """Return when a price more than ten times off the last good one was taken, None once it was seen again.

    `last` may be of any age; `before`: what this returned for the price before.
    """
    received = chosen.quote.received
    if last is None:
        return None
    if not within(chosen.price, last.value, LEAP_FACTOR):
        return received
    if before is None or received.monotonic - before.monotonic < SECOND_REFRESH_SECONDS:
        return before
    return None if within(chosen.price, last.value, policy.jump_factor) else received

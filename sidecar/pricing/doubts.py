"""What sources said against others' quotes, until they answer again (docs/rules.md: F5 and F8). Pure.

A source that gave a thin quote is not asked for the mint alone for up to an hour: what it said does not become
untrue by that.
"""

from collections.abc import Collection, Sequence
from decimal import Decimal

from sidecar.pricing.agreement import VERDICT_SECONDS
from sidecar.pricing.grading import GradedQuote, Policy, is_made_up
from sidecar.pricing.preferred import REMEMBERED_SECONDS
from sidecar.pricing.ratios import within
from sidecar.pricing.supply import PREFERRED
from sidecar.pricing.token_state import Doubt, SourcedValue
from sidecar.runtime.clock import Instant


def standing(before: Sequence[Doubt], answered: Collection[str], now: Instant) -> tuple[Doubt, ...]:
    """Return the earlier doubts that still count: of sources that have not answered since, and not too old."""
    return tuple(
        doubt
        for doubt in before
        if doubt.price.source not in answered
        and now.monotonic - doubt.price.received.monotonic <= REMEMBERED_SECONDS
    )


def raised(graded: Sequence[GradedQuote], served: Decimal | None, policy: Policy) -> tuple[Doubt, ...]:
    """Return the doubts that the quotes of a refresh raise about each other and the price served after it.

    Thin ones, whatever they say; the preferred source's, where good ones disagree; those of pools made up.
    """
    good = [entry.price for entry in graded if entry.grade == "good"] + ([] if served is None else [served])
    disagree = bool(good) and not within(min(good), max(good), policy.agreement_factor)
    return tuple(
        Doubt(
            SourcedValue(entry.price, entry.quote.source, entry.quote.received),
            entry.grade == "good",
            is_made_up(entry.quote, policy),
        )
        for entry in graded
        if is_made_up(entry.quote, policy)
        or (entry.is_evidence and entry.grade == "thin")
        or (disagree and entry.quote.source == PREFERRED and entry.is_evidence)
    )


def made_up_prices(doubts: Sequence[Doubt]) -> list[Decimal]:
    """Return the prices of pools that only claim their liquidity."""
    return [doubt.price.value for doubt in doubts if doubt.made_up]


def is_doubted(chosen: GradedQuote, doubts: Sequence[Doubt], *, now: Instant, policy: Policy) -> bool:
    """Return whether a source without an answer now last stood a jump away, or lately disagreed."""
    return any(
        not within(chosen.price, doubt.price.value, policy.jump_factor)
        or (
            doubt.is_good
            and now.monotonic - doubt.price.received.monotonic <= VERDICT_SECONDS
            and not within(chosen.price, doubt.price.value, policy.agreement_factor)
        )
        for doubt in doubts
    )

"""What the preferred source's silence means for the others' quotes (docs/rules.md: F5, F7 and F8)."""

from collections.abc import Collection, Sequence
from typing import Final

from sidecar.models import Quote
from sidecar.pricing.grading import GradedQuote, is_veto
from sidecar.pricing.supply import PREFERRED, is_remembered
from sidecar.pricing.token_state import TokenState
from sidecar.runtime.clock import Instant

REMEMBERED_SECONDS: Final = 3600.0
"""What a source said against others counts for as long as it may go unasked."""


def is_vetoed(vetoed: Instant | None, quotes: Sequence[Quote], now: Instant) -> bool:
    """Return whether a veto of before still holds: not once the preferred source has a quote again."""
    if vetoed is None or any(quote.source == PREFERRED for quote in quotes):
        return False
    return now.monotonic - vetoed.monotonic <= REMEMBERED_SECONDS


def last_veto(before: Instant | None, graded: Sequence[GradedQuote], now: Instant) -> Instant | None:
    """Return when the preferred source last showed a dead pool or no price, None where it has a quote again."""
    said = _preferred(graded)
    if said is None:
        return before
    return now if is_veto(said) else None


def without_good_quote(graded: Sequence[GradedQuote], omitted: Collection[str]) -> bool:
    """Return whether the preferred source has answered without a good quote."""
    said = _preferred(graded)
    return PREFERRED in omitted if said is None else said.grade != "good"


def last_silence(
    graded: Sequence[GradedQuote], omitted: Collection[str], state: TokenState, now: Instant
) -> Instant | None:
    """Return when the preferred source, which knew the token within a day, last answered without any price.

    None where it has one again, or has not answered for an hour.
    """
    said = _preferred(graded)
    if said is not None:
        return None if said.usable else now
    known = state.circulating
    knew = known is not None and known.source == PREFERRED and is_remembered(known.received, now)
    if PREFERRED in omitted and knew:
        return now
    since = state.silent
    return since if since is not None and now.monotonic - since.monotonic <= REMEMBERED_SECONDS else None


def _preferred(graded: Sequence[GradedQuote]) -> GradedQuote | None:
    return next((entry for entry in graded if entry.quote.source == PREFERRED), None)

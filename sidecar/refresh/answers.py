"""What a round has heard so far, by mint and source, and whom it need not ask."""

from collections.abc import Iterable, Sequence
from typing import Final

from sidecar.errors import UpstreamError
from sidecar.models import Mint, Parsed, Quote
from sidecar.pricing.grading import grade_quote
from sidecar.pricing.supply import effective_supply
from sidecar.pricing.token_state import TokenState
from sidecar.refresh.backoff import Shortfall
from sidecar.refresh.context import RefreshContext
from sidecar.runtime.aio import yielding
from sidecar.runtime.clock import now
from sidecar.sources import PriceSource

SOURCES_OF_TOTALS: Final = frozenset({"jupiter", "geckoterminal"})
"""Who can stand in for the chain; DexScreener tells no supply."""


class Answers:
    """Answers and failures of one round. None as an answer: the source left the mint out."""

    def __init__(self, context: RefreshContext, mints: Iterable[Mint]) -> None:
        self._context = context
        self._asked: set[tuple[str, Mint]] = set()
        self.answers: dict[Mint, dict[str, Quote | None]] = {mint: {} for mint in mints}
        self.failures: dict[Mint, dict[str, UpstreamError]] = {mint: {} for mint in self.answers}
        self.chain_failure: UpstreamError | None = None

    def quotes(self, mint: Mint) -> list[Quote]:
        """Return the quotes for a mint, in the order of sources."""
        answers = self.answers[mint]
        return [quote for one in self._context.sources if (quote := answers.get(one.name)) is not None]

    def all_answered(self, mint: Mint) -> bool:
        """Tell whether every source has spoken of a mint, or is known to leave it out."""
        return all(source.name in self.answers[mint] for source in self._context.sources)

    def all_totals_known(self, mint: Mint) -> bool:
        """Tell whether all who could give a total supply have spoken, and reading the chain did not fail."""
        answers = self.answers[mint]
        return self.chain_failure is None and all(
            source.name in answers for source in self._context.sources if source.name in SOURCES_OF_TOTALS
        )

    def was_asked(self, source: PriceSource, mint: Mint) -> bool:
        """Tell whether a source was asked for a mint in this round, or need not be."""
        return (source.name, mint) in self._asked

    def is_paused(self, source: PriceSource, mint: Mint) -> bool:
        """Tell whether not to ask for a mint alone; whose price is being served from this source is asked."""
        shortfall = self._context.backoff.shortfall(source.name, mint)
        if shortfall is None:
            return False
        entry = self._context.cache.get(mint)
        if entry is None:
            return shortfall == "omitted"
        return entry.cap.source != source.name

    def may_top_up(self, source: PriceSource, mint: Mint) -> bool:
        """Tell whether asking a source for a mint could still bring something."""
        return not self.was_asked(source, mint) and not self.is_paused(source, mint)

    def mark_asked(self, source: PriceSource, mints: Iterable[Mint]) -> None:
        """Note that a source is being asked."""
        self._asked.update((source.name, mint) for mint in mints)

    def reuse_omission(self, source: PriceSource, mint: Mint) -> None:
        """Take the last answer of a source that left the mint out for an answer of now, where it did."""
        if self._context.backoff.shortfall(source.name, mint) == "omitted":
            self.answers[mint][source.name] = None
            self.mark_asked(source, [mint])

    async def record(self, source: PriceSource, mints: Sequence[Mint], answer: Parsed[dict[Mint, Quote]]) -> None:
        """Take an answer. A mint that is missing from one with unreadable rows counts as failed."""
        unreadable = UpstreamError(source.name, "schema", "its row could not be read")
        async for mint in yielding(mints):
            quote = answer.value.get(mint)
            if quote is None and answer.unreadable:
                self.failures[mint][source.name] = unreadable
                continue
            self.answers[mint][source.name] = quote
            self._context.backoff.note(source.name, mint, self._shortfall(mint, quote))

    def record_failure(self, source: PriceSource, mints: Iterable[Mint], error: UpstreamError) -> None:
        """Take a failure."""
        for mint in mints:
            self.failures[mint][source.name] = error

    def _shortfall(self, mint: Mint, quote: Quote | None) -> Shortfall | None:
        if quote is None or quote.price_usd is None:
            return "omitted"
        state = self._context.token_states.get(mint) or TokenState()
        supply = effective_supply(state, now(self._context.clock))
        return None if grade_quote(quote, supply, self._context.policy).grade == "good" else "thin"

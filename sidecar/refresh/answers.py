"""What a batch asks each source for, what the sources answered, and what that makes of each mint."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sidecar.errors import UpstreamError
from sidecar.models import Mint, Parsed, Quote
from sidecar.pricing.case import grade_of
from sidecar.pricing.result import Valuation
from sidecar.pricing.token_state import TokenState, with_chain_of
from sidecar.pricing.valuation import value
from sidecar.refresh.backoff import Shortfall
from sidecar.refresh.circulating import CIRCULATING, lacks_circulating
from sidecar.refresh.context import RefreshContext
from sidecar.runtime.aio import yielding
from sidecar.runtime.clock import Instant, now
from sidecar.sources.source import MarketSource

_SHORTFALLS: Final[Mapping[str, Shortfall]] = {"thin": "thin", "refused": "refused", "silent": "omitted"}


class Answers:
    """The answers and failures of one batch, by mint and source name. None: the source left the mint out."""

    def __init__(self, context: RefreshContext, mints: Iterable[Mint], *, is_popular: bool) -> None:
        self._context = context
        self._is_popular = is_popular
        self._asked: set[tuple[str, Mint]] = set()
        self._before: dict[Mint, TokenState] = {}
        self._valuations: dict[Mint, tuple[Instant | None, Valuation]] = {}
        """With the time of the reading of the chain that each was made from."""
        self.by_source: dict[Mint, dict[str, Quote | None]] = {mint: {} for mint in mints}
        self.failures: dict[Mint, dict[str, UpstreamError]] = {mint: {} for mint in self.by_source}
        self.chain_failure: UpstreamError | None = None

    # Asking

    def select(self, source: MarketSource, wanted: Sequence[Mint], top_up: Sequence[Mint]) -> list[Mint]:
        """Return the mints to ask a source for, marked as asked; none when no call is worth it.

        A mint that the source fell short of lately takes a free place, and so does a top-up. Where there is no
        place for it, what the source omitted or had refused counts as answered again.
        """
        wanted = [mint for mint in wanted if not self.was_asked(source, mint)]
        paused = [mint for mint in wanted if self._is_paused(source, mint)]
        batch = [mint for mint in wanted if mint not in set(paused)]
        if batch or (self._is_popular and source is self._context.sources[0]):
            free = -len(batch) % source.batch_size if batch else source.batch_size
            batch += [*paused, *(mint for mint in top_up if self.may_top_up(source, mint))][:free]
        for mint in set(paused).difference(batch):
            if self._context.backoff.shortfall(source.name, mint) != "thin":
                self.by_source[mint][source.name] = None
                self.mark_asked(source, [mint])
        self.mark_asked(source, batch)
        return batch

    def mark_asked(self, source: MarketSource, mints: Iterable[Mint]) -> None:
        """Note that a source is being asked."""
        self._asked.update((source.name, mint) for mint in mints)

    def was_asked(self, source: MarketSource, mint: Mint) -> bool:
        """Return whether a source was asked for a mint in this batch, or need not be."""
        return (source.name, mint) in self._asked

    def may_top_up(self, source: MarketSource, mint: Mint) -> bool:
        """Return whether asking a source for a mint could still bring something."""
        return not self.was_asked(source, mint) and not self._is_paused(source, mint)

    def may_ask_after_all(self, source: MarketSource, mint: Mint) -> bool:
        """Return whether a source was passed over for a mint that no other prices."""
        if self.was_asked(source, mint) or source.name in self.failures[mint]:
            return False
        return self.valuation(mint).kind in {"unpriced", "suspect"}

    def select_for_circulating(self, source: MarketSource, mints: Iterable[Mint]) -> list[Mint]:
        """Return the mints with an unknown or old circulating supply, noting that they are asked for."""
        unasked = (mint for mint in mints if not self.was_asked(source, mint))
        lacking = [mint for mint in unasked if lacks_circulating(self._context, mint)]
        for mint in lacking:
            self._context.backoff.note(CIRCULATING, mint, "omitted")
        return lacking

    def _is_paused(self, source: MarketSource, mint: Mint) -> bool:
        """Return whether not to ask for a mint alone; the source of the price being served is asked."""
        shortfall = self._context.backoff.shortfall(source.name, mint)
        if shortfall is None:
            return False
        entry = self._context.cache.get(mint)
        if entry is None:
            return shortfall != "thin"
        return entry.cap.source != source.name

    # Recording

    async def record(self, source: MarketSource, mints: Sequence[Mint], answer: Parsed[dict[Mint, Quote]]) -> None:
        """Record an answer. A mint that is missing from one with unreadable rows counts as failed."""
        unreadable = UpstreamError(source.name, "schema", "its row could not be read")
        self._context.chain_time.note(answer.slot)
        now = self._context.clock.monotonic()
        async for mint in yielding(mints):
            quote = answer.value.get(mint)
            if quote is None and answer.unreadable:
                self.failures[mint][source.name] = unreadable
                continue
            self.by_source[mint][source.name] = quote
            self._valuations.pop(mint, None)
            self._context.backoff.note(source.name, mint, _shortfall(self._context, mint, quote), now)

    def record_failure(self, source: str, mints: Iterable[Mint], error: UpstreamError) -> None:
        """Record a failure."""
        for mint in mints:
            self.failures[mint][source] = error

    def errors(self, mint: Mint) -> list[UpstreamError]:
        """Return what failed for a mint, the reading of the chain last."""
        chain = [] if self.chain_failure is None else [self.chain_failure]
        return [*self.failures[mint].values(), *chain]

    # Valuing

    def valuation(self, mint: Mint) -> Valuation:
        """Return what the answers make of a mint: computed once, until there is a new quote or supply.

        It starts from what was known before the batch, so that one more quote does not count the others twice.
        """
        context = self._context
        current = context.token_states.get(mint) or TokenState()
        known = self._valuations.get(mint)
        if known is not None and known[0] is current.chain_answered:
            return known[1]
        before = self._before.setdefault(mint, current)
        result = value(
            mint,
            self.quotes(mint),
            with_chain_of(before, current),
            now=now(context.clock),
            policy=context.policy,
            omitted=self._omitted(mint),
            slot=context.chain_time.slot(),
            symbol=context.symbols.get(mint),
            has_value=context.cache.get(mint) is not None,
        )
        self._valuations[mint] = (current.chain_answered, result)
        return result

    def _omitted(self, mint: Mint) -> list[str]:
        """Return the sources that left a mint out; one with a lately refused quote, which stands, did not."""
        none = (source for source, quote in self.by_source[mint].items() if quote is None)
        return [source for source in none if self._context.backoff.shortfall(source, mint) != "refused"]

    def quotes(self, mint: Mint) -> list[Quote]:
        """Return the quotes for a mint, in the order of sources."""
        answers = self.by_source[mint]
        return [quote for one in self._context.sources if (quote := answers.get(one.name)) is not None]

    def all_answered(self, mint: Mint) -> bool:
        """Return whether every source has answered for a mint, or is known to leave it out."""
        return all(source.name in self.by_source[mint] for source in self._context.sources)

    def all_totals_known(self, mint: Mint) -> bool:
        """Return whether every source of total supplies has answered, and reading the chain did not fail."""
        answers = self.by_source[mint]
        return self.chain_failure is None and all(
            source.name in answers for source in self._context.sources if source.gives_totals
        )


def _shortfall(context: RefreshContext, mint: Mint, quote: Quote | None) -> Shortfall | None:
    if quote is None or quote.price_usd is None:
        return "omitted"
    state = context.token_states.get(mint) or TokenState()
    return _SHORTFALLS.get(grade_of(quote, state, now=now(context.clock), policy=context.policy))

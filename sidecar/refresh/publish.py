"""Makes the outcome of a batch public: a value is published, held, doubted or dropped, and every waiter told."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from sidecar.cache.cache import Entry
from sidecar.errors import (
    McSidecarError,
    NotPricedError,
    OverloadedError,
    UpstreamError,
    UpstreamUnavailableError,
)
from sidecar.metrics.labels import LoopName, RefreshOutcome
from sidecar.models import Confidence, ConfidenceReason, MarketCap, Mint
from sidecar.pricing.agreement import verdict_stands
from sidecar.pricing.explain import QuoteExplanation
from sidecar.pricing.result import Valuation
from sidecar.refresh import top_up
from sidecar.refresh.answers import Answers
from sidecar.refresh.context import RefreshContext
from sidecar.runtime.clock import now

RETRY_AFTER_SECONDS: Final = 5.0

FetchResult = McSidecarError | None
"""What came of a mint: None when a market cap is in memory now."""


class ResultPublisher:
    """The outcome of one batch, mint by mint. A mint may be published again when more answers have come."""

    def __init__(
        self,
        context: RefreshContext,
        answers: Answers,
        results: Mapping[Mint, asyncio.Future[FetchResult]],
        loop: LoopName,
    ) -> None:
        self._context = context
        self._answers = answers
        self._results = results
        self._loop = loop
        self._counted: set[tuple[Mint, str, str]] = set()
        self._updated_top_up: set[Mint] = set()

    def publish(self, mint: Mint, *, pending: bool) -> None:
        """Publish a mint that the batch is for and resolve its future.

        Does neither while that depends on an answer still to come (`pending`).
        """
        if self._is_outdated(mint):
            self._resolve(mint, None, "updated")
            return
        result = self._answers.valuation(mint)
        if result.kind in {"priced", "held"}:
            self._publish(mint, result)
            self._resolve(mint, None, "updated")
        elif pending:
            return
        elif self._all_answered(mint, result):
            self._publish(mint, result)
            unpriced = NotPricedError(result.reason) if result.kind == "unpriced" else None
            self._resolve(mint, unpriced, "not_priced")
        else:
            self._let_verdict_lapse(mint)
            if self._loop != "early":  # its interval is not over
                self._context.schedule.failed(mint, has_value=self._context.cache.get(mint) is not None)
            last = self._context.cache.last_unpriced_reason(mint)
            self._resolve(
                mint, failure(self._answers.errors(mint)) if last is None else NotPricedError(last), "failed"
            )

    def _let_verdict_lapse(self, mint: Mint) -> None:
        """Serve a value that cannot be refreshed at most at medium once its comparison no longer counts."""
        entry, state = self._context.cache.get(mint), self._context.token_states.get(mint)
        if entry is None or entry.cap.confidence != "high" or state is None:
            return
        if not verdict_stands(state.comparison, now(self._context.clock)):
            cap = doubted(entry.cap, "medium", "single_source")
            self._context.publisher.publish(Entry(cap, entry.received, entry.explanation))

    def publish_top_up(self, mint: Mint) -> None:
        """Publish a mint that took a free place, unless another source would have to be asked to be sure of it."""
        if (
            not any(self._answers.by_source[mint].values())
            or self._is_outdated(mint)
            or not top_up.asked_its_source(self._context, self._answers, mint)
        ):
            return
        result = self._answers.valuation(mint)
        if result.kind == "suspect":
            self._doubt(mint)
            return
        if not top_up.is_sure_enough(self._context, self._answers, mint, result):
            return
        if result.kind in {"priced", "held"}:
            if mint not in self._updated_top_up:
                self._updated_top_up.add(mint)
                self._count_token("updated")
            self._publish(mint, result)

    def _doubt(self, mint: Mint) -> None:
        """Serve a value that its own source has no price for any more at most at medium, and look again soon."""
        entry = self._context.cache.get(mint)
        if entry is None or entry.cap.source not in self._answers.by_source[mint]:
            return
        if entry.cap.confidence == "high":
            cap = doubted(entry.cap, "medium", "preferred_source_silent")
            self._context.publisher.publish(Entry(cap, entry.received, entry.explanation))
        self._context.schedule.hasten(mint)

    def _is_outdated(self, mint: Mint) -> bool:
        """Return whether what is in memory is newer than every answer of this batch."""
        entry = self._context.cache.get(mint)
        newest = max(
            (quote.received.monotonic for quote in self._answers.by_source[mint].values() if quote), default=None
        )
        return entry is not None and newest is not None and entry.received > newest

    def _all_answered(self, mint: Mint, result: Valuation) -> bool:
        """Return whether every source that should know has answered: then no price is an answer (F10)."""
        if result.lacks_supply:
            return self._context.supplies.has_answered(mint) and self._answers.all_totals_known(mint)
        return self._answers.all_answered(mint)

    def _publish(self, mint: Mint, result: Valuation) -> None:
        context = self._context
        context.token_states.put(mint, result.state)
        self._count_refusals(mint, result)
        rows = explain(context, self._answers, mint, result)
        if result.kind == "unpriced":
            context.publisher.publish_unpriced(mint, result.reason, rows)
        elif result.cap is not None and result.received is not None:
            context.publisher.publish(Entry(result.cap, result.received.monotonic, rows))
        elif (entry := context.cache.get(mint)) is not None:
            cap = doubted(entry.cap, "low", result.doubt)
            context.publisher.publish(Entry(cap, entry.received, rows))
        if result.kind == "held":
            context.schedule.held(mint)
        elif result.kind == "suspect" and self._loop != "popular":  # that loop comes back within a minute anyway
            context.schedule.doubted(mint)
        else:
            context.schedule.refreshed(mint, certain_for=self._certain_for(mint))

    def _certain_for(self, mint: Mint) -> float:
        """Return in how many seconds the uncertainty will pass `refresh.target_uncertainty`."""
        entry, target = self._context.cache.get(mint), self._context.target_uncertainty
        if entry is None or target is None:
            return math.inf
        return entry.certain_for(target) - (self._context.clock.monotonic() - entry.received)

    def _resolve(self, mint: Mint, result: FetchResult, outcome: RefreshOutcome) -> None:
        if not self._results[mint].done():
            self._results[mint].set_result(result)
            self._count_token(outcome)

    def _count_token(self, outcome: RefreshOutcome) -> None:
        self._context.metrics.refresh_tokens.labels(self._loop, outcome).inc()

    def _count_refusals(self, mint: Mint, result: Valuation) -> None:
        for source, reason in result.refusals:
            if (mint, source, reason) not in self._counted:
                self._counted.add((mint, source, reason))
                self._context.metrics.rejected_quotes.labels(source, reason).inc()


def explain(
    context: RefreshContext, answers: Answers, mint: Mint, result: Valuation
) -> tuple[QuoteExplanation, ...]:
    """Explain a value, at most one row for each source; a source that gave no quote keeps its row of before."""
    entry = context.cache.get(mint)
    before = {row.source: row for row in entry.explanation} if entry else {}
    rows = {row.source: row for row in result.explanation}
    for source in context.sources:
        if source.name in rows:
            continue
        last = before.get(source.name)
        if last is not None and last.taken and result.kind in {"held", "suspect"}:
            rows[source.name] = last  # The value of before is served on, and this is its price.
        elif reason := _why_no_quote(answers, mint, source.name, last):
            rows[source.name] = _row_without_quote(source.name, reason, last, context.clock.monotonic())
    return tuple(rows[source.name] for source in context.sources if source.name in rows)


def _why_no_quote(answers: Answers, mint: Mint, source: str, last: QuoteExplanation | None) -> str | None:
    """Return why there is no new quote of a source; None for one never asked.

    Where a source has not been asked again, what kept its last quote from counting goes on being true.
    """
    if source in answers.by_source[mint]:
        return "left out"
    if error := answers.failures[mint].get(source):
        return error.detail
    if last is None:
        return None
    counted = last.taken or last.reason in {"agrees", "another source was taken"}
    return "not asked since" if counted else last.reason


def _row_without_quote(
    source: str, reason: str, last: QuoteExplanation | None, monotonic: float
) -> QuoteExplanation:
    if last is not None:
        return msgspec.structs.replace(last, taken=False, reason=reason)
    return QuoteExplanation(
        source=source,
        price_usd=None,
        liquidity_usd=None,
        received_monotonic=monotonic,
        taken=False,
        reason=reason,
    )


def doubted(cap: MarketCap, confidence: Confidence, reason: ConfidenceReason | None) -> MarketCap:
    """Return a value that is served on, at this confidence, and why."""
    reasons = cap.confidence_reasons if reason is None else (*cap.confidence_reasons, reason)
    return msgspec.structs.replace(cap, confidence=confidence, confidence_reasons=tuple(dict.fromkeys(reasons)))


def failure(errors: Sequence[UpstreamError]) -> McSidecarError:
    """Return why there is no answer: 429 when nothing but call budgets stood in the way, 503 otherwise."""
    detail = "; ".join(map(str, errors)) or "the supply of SOL could not be read"
    retry_after = min((error.retry_after or RETRY_AFTER_SECONDS for error in errors), default=RETRY_AFTER_SECONDS)
    if errors and all(error.outcome == "rate_limited" for error in errors):
        return OverloadedError(detail, retry_after=retry_after)
    return UpstreamUnavailableError(detail, retry_after=retry_after)

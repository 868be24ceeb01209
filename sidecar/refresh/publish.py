"""What comes of what a round has heard: a value is published, held, doubted or dropped, and who waits is told."""

import asyncio
import math
from collections.abc import Mapping
from typing import Final

import msgspec

from sidecar.cache.cache import Entry
from sidecar.errors import (
    McSidecarError,
    NotAskedError,
    NotPricedError,
    OverloadedError,
    UpstreamUnavailableError,
)
from sidecar.metrics.labels import LoopName, RefreshOutcome
from sidecar.models import Mint
from sidecar.pricing.token_state import TokenState
from sidecar.pricing.valuation import QuoteExplanation, Valuation, value, verdict_stands
from sidecar.refresh.answers import Answers
from sidecar.refresh.context import RefreshContext
from sidecar.runtime.clock import now

RETRY_AFTER_SECONDS: Final = 5.0

FetchResult = McSidecarError | None
"""What came of a mint: None when a market cap is in memory now."""


class ResultPublisher:
    """The outcome of one round, mint by mint. Settling again with more answers starts from the same facts."""

    def __init__(
        self,
        context: RefreshContext,
        answers: Answers,
        settled: Mapping[Mint, asyncio.Future[FetchResult]],
        loop: LoopName,
    ) -> None:
        self._context = context
        self._answers = answers
        self._settled = settled
        self._loop = loop
        self._before: dict[Mint, TokenState] = {}
        self._counted: set[tuple[Mint, str, str]] = set()
        self._updated_top_up: set[Mint] = set()

    def value(self, mint: Mint) -> Valuation:
        """Value a mint from what has been heard."""
        context = self._context
        current = context.token_states.get(mint) or TokenState()
        before = self._before.setdefault(mint, current)
        state = msgspec.structs.replace(before, chain=current.chain, chain_answered=current.chain_answered)
        return value(
            mint,
            self._answers.quotes(mint),
            state,
            now=now(context.clock),
            policy=context.policy,
            symbol=context.symbols.get(mint),
            has_value=context.cache.get(mint) is not None,
        )

    def settle(self, mint: Mint, *, pending: bool) -> None:
        """Settle a mint that the round is for, if it can be; `pending`: an answer for it is still to come."""
        if self._is_outdated(mint):
            self._resolve(mint, None, "updated")
            return
        result = self.value(mint)
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
            self._resolve(mint, self._failure(mint), "failed")

    def _let_verdict_lapse(self, mint: Mint) -> None:
        """Serve a value that cannot be refreshed at most at medium once its comparison no longer counts."""
        entry, state = self._context.cache.get(mint), self._context.token_states.get(mint)
        if entry is None or entry.cap.confidence != "high" or state is None:
            return
        if not verdict_stands(state.comparison, now(self._context.clock)):
            cap = msgspec.structs.replace(entry.cap, confidence="medium")
            self._context.publisher.publish(Entry(cap, entry.received, entry.explanation))

    def publish_top_up(self, mint: Mint) -> None:
        """Publish what riding along brought, where nobody else need be asked for it."""
        if (
            not any(self._answers.answers[mint].values())
            or self._is_outdated(mint)
            or not self._asked_its_source(mint)
        ):
            return
        result = self.value(mint)
        if not (result.conclusive or result.jump) and self._could_ask_more(mint):
            return
        if result.kind in {"priced", "held"}:
            if mint not in self._updated_top_up:
                self._updated_top_up.add(mint)
                self._count_token("updated")
            self._publish(mint, result)

    def _asked_its_source(self, mint: Mint) -> bool:
        """Tell whether the source behind a fresh value was asked too: riding along with another moves nobody."""
        entry = self._context.cache.get(mint)
        if entry is None or self._context.clock.monotonic() - entry.received > self._context.policy.fresh_seconds:
            return True
        return entry.cap.source in self._answers.answers[mint] or entry.cap.source in self._answers.failures[mint]

    def _could_ask_more(self, mint: Mint) -> bool:
        return any(self._answers.may_top_up(source, mint) for source in self._context.sources)

    def _is_outdated(self, mint: Mint) -> bool:
        """Tell whether what is in memory is newer than all that this round has heard."""
        entry = self._context.cache.get(mint)
        newest = max(
            (quote.received.monotonic for quote in self._answers.answers[mint].values() if quote), default=None
        )
        return entry is not None and newest is not None and entry.received > newest

    def _all_answered(self, mint: Mint, result: Valuation) -> bool:
        """Tell a real answer from a failure (design 4.10): every source that should know has spoken."""
        if result.lacks_supply:
            return self._context.supplies.has_answered(mint) and self._answers.all_totals_known(mint)
        return self._answers.all_answered(mint)

    def _publish(self, mint: Mint, result: Valuation) -> None:
        context = self._context
        context.token_states.put(mint, result.state)
        self._count_refusals(mint, result)
        if result.kind == "unpriced":
            context.publisher.publish_unpriced(mint, result.reason)
        elif result.cap is not None and result.received is not None:
            context.publisher.publish(
                Entry(result.cap, result.received.monotonic, self._explanation(mint, result))
            )
        elif (entry := context.cache.get(mint)) is not None:
            cap = msgspec.structs.replace(entry.cap, confidence="low")
            context.publisher.publish(Entry(cap, entry.received, self._explanation(mint, result)))
        if result.kind == "held":
            context.schedule.held(mint)
        else:
            context.schedule.refreshed(mint, certain_for=self._certain_for(mint))

    def _certain_for(self, mint: Mint) -> float:
        """Return in how many seconds the uncertainty will pass `refresh.target_uncertainty`."""
        entry, target = self._context.cache.get(mint), self._context.target_uncertainty
        if entry is None or target is None:
            return math.inf
        return entry.certain_for(target) - (self._context.clock.monotonic() - entry.received)

    def _explanation(self, mint: Mint, result: Valuation) -> tuple[QuoteExplanation, ...]:
        """Explain a value, at most one row for each source; who was not heard keeps the row of before."""
        entry = self._context.cache.get(mint)
        before = {row.source: row for row in entry.explanation} if entry else {}
        heard = {row.source: row for row in result.explanation}
        names = (source.name for source in self._context.sources)
        rows = (heard.get(name) or self._unanswered_row(mint, name, before.get(name), result) for name in names)
        return tuple(row for row in rows if row is not None)

    def _unanswered_row(
        self, mint: Mint, source: str, before: QuoteExplanation | None, result: Valuation
    ) -> QuoteExplanation | None:
        """Say why there is no new quote of a source; None for one never asked."""
        if before is not None and before.taken and result.cap is None:
            return before  # The value of before is served on, and this is its price.
        if source in self._answers.answers[mint]:
            reason = "left out"
        elif error := self._answers.failures[mint].get(source):
            reason = error.detail
        elif before is not None:
            reason = "not asked since"
        else:
            return None
        if before is not None:
            return msgspec.structs.replace(before, taken=False, reason=reason)
        missed = self._context.clock.monotonic()
        return QuoteExplanation(
            source=source,
            price_usd=None,
            liquidity_usd=None,
            received_monotonic=missed,
            taken=False,
            reason=reason,
        )

    def _resolve(self, mint: Mint, settled: FetchResult, outcome: RefreshOutcome) -> None:
        if not self._settled[mint].done():
            self._settled[mint].set_result(settled)
            self._count_token(outcome)

    def _failure(self, mint: Mint) -> McSidecarError:
        """Say why nobody could answer: 429 when no source had budget, 503 otherwise."""
        errors = list(self._answers.failures[mint].values())
        out_of_budget = [isinstance(error, NotAskedError) and error.reason == "budget" for error in errors]
        overloaded = len(errors) == len(self._context.sources) and all(out_of_budget)
        if self._answers.chain_failure is not None:
            errors.append(self._answers.chain_failure)
        detail = "; ".join(map(str, errors)) or "the supply of SOL could not be read"
        waits = [error.retry_after or RETRY_AFTER_SECONDS for error in errors]
        retry_after = min(waits, default=RETRY_AFTER_SECONDS)
        if overloaded:
            return OverloadedError(detail, retry_after=retry_after)
        return UpstreamUnavailableError(detail, retry_after=retry_after)

    def _count_token(self, outcome: RefreshOutcome) -> None:
        self._context.metrics.refresh_tokens.labels(self._loop, outcome).inc()

    def _count_refusals(self, mint: Mint, result: Valuation) -> None:
        for source, reason in result.refusals:
            if (mint, source, reason) not in self._counted:
                self._counted.add((mint, source, reason))
                self._context.metrics.rejected_quotes.labels(source, reason).inc()

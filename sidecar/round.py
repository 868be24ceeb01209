"""One refresh of up to a hundred mints: who is asked, in which order, and what comes of the answers.

Sources are asked in the order of `pricing.sources`, each for what the ones before it did not settle. Nobody
waits for a slow source while somebody waits for the round: after `PATIENCE_SECONDS` the next one is asked,
and the late answer is valued when it comes.
"""

import asyncio
import math
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from sidecar.backoff import OmissionBackoff, Shortfall
from sidecar.cache import Entry, MarketCapCache
from sidecar.clock import Clock, now
from sidecar.errors import (
    McSidecarError,
    NotAskedError,
    NotPricedError,
    OverloadedError,
    UpstreamError,
    UpstreamUnavailableError,
)
from sidecar.facts import Facts
from sidecar.metrics import LoopName, Metrics, RefreshOutcome
from sidecar.models import WRAPPED_SOL, Lane, Mint, Quote
from sidecar.publisher import Publisher
from sidecar.schedule import Schedule
from sidecar.sources import PriceSource
from sidecar.supplies import Ledger, SupplyReader
from sidecar.supply import believed_supply
from sidecar.tracker import Tracker
from sidecar.upstream import Upstream
from sidecar.valuation import Policy, Valuation, judge, value, verdict_stands
from sidecar.waiting import in_slices

PATIENCE_SECONDS: Final = 0.8
"""How long a source may keep somebody waiting before the next one is asked."""
SUPPLY_PATIENCE_SECONDS: Final = 2.0
"""How long background work waits for the chain before it makes do with a source's supply."""
SIDE_BY_SIDE_PATIENCE_SECONDS: Final = 2.0
"""How long a refresh waits for the source that is only asked to compare."""
RETRY_AFTER_SECONDS: Final = 5.0

Settled = McSidecarError | None
"""What came of a mint: None when a market cap is in memory now."""


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What every round works with."""

    sources: Sequence[PriceSource]
    upstreams: Mapping[str, Upstream]
    supplies: SupplyReader
    backoff: OmissionBackoff
    ledger: Ledger
    cache: MarketCapCache
    publisher: Publisher
    schedule: Schedule
    tracker: Tracker
    policy: Policy
    clock: Clock
    metrics: Metrics
    symbols: dict[Mint, str]
    """As written in the popular list; replaced there when the list is."""


class Round:
    """One refresh. `settled` has a future for each mint that it is for; `riders` only take free places."""

    def __init__(
        self,
        desk: Desk,
        settled: Mapping[Mint, asyncio.Future[Settled]],
        *,
        lane: Lane,
        loop: LoopName,
        riders: Sequence[Mint] = (),
    ) -> None:
        self.settled = settled
        core = self.core = tuple(settled)
        self._desk = desk
        self._riders = riders
        self._lane = lane
        self._loop = loop
        self._hurried = asyncio.Event()
        if lane is Lane.MISS:
            self._hurried.set()
        self._answers: dict[Mint, dict[str, Quote | None]] = {mint: {} for mint in (*core, *riders)}
        self._failures: dict[Mint, dict[str, UpstreamError]] = {mint: {} for mint in (*core, *riders)}
        self._chain_failure: UpstreamError | None = None
        self._before: dict[Mint, Facts] = {}
        self._counted: set[tuple[Mint, str, str]] = set()
        self._asked: set[tuple[str, Mint]] = set()
        self._pending: dict[asyncio.Task[None], frozenset[Mint]] = {}
        self._news: set[Mint] = set(self._answers)
        """Of whom something has been heard since they were last settled, or nothing yet."""
        self._started = desk.clock.monotonic()

    def hurry(self) -> None:
        """Somebody waits for this round now."""
        self._hurried.set()

    async def run(self) -> None:
        """Do the whole refresh; every future of `settled` has its result afterwards."""
        try:
            chain = self._ask_chain()
            await self._ask_sources(chain)
            await self._wait(chain, SUPPLY_PATIENCE_SECONDS, self._started)
            await self._settle(frozenset(self._answers))
            while self._pending:
                await asyncio.wait(self._pending, return_when=asyncio.FIRST_COMPLETED)
                await self._settle(self._reap())
        finally:
            for task in self._pending:
                task.cancel()
            await asyncio.gather(*self._pending, return_exceptions=True)
            for future in self.settled.values():
                if not future.done():
                    future.set_result(UpstreamUnavailableError("the refresh was given up", retry_after=1))

    # Asking

    def _ask_chain(self) -> list[asyncio.Task[None]]:
        supplies, mints = self._desk.supplies, (*self.core, *self._riders)
        due = supplies.due(mints)
        tasks = []
        if due:
            tasks.append(self._spawn(self._read_supplies(due), due))
        if WRAPPED_SOL in mints and supplies.sol_is_due():
            tasks.append(self._spawn(self._read_sol(), [WRAPPED_SOL]))
        return tasks

    async def _read_supplies(self, mints: Sequence[Mint]) -> None:
        self._chain_failure = await self._desk.supplies.read(mints, self._lane) or self._chain_failure

    async def _read_sol(self) -> None:
        await self._desk.supplies.read_sol(self._lane)

    async def _ask_sources(self, chain: list[asyncio.Task[None]]) -> None:
        available = [source for source in self._desk.sources if self._is_available(source)]
        for position, source in enumerate(available):
            wanted = await self._wanted() if position else list(self.core)
            await self._settle(frozenset(self.core).difference(wanted))  # nobody waits for what others still need
            if not wanted:
                return
            since = self._desk.clock.monotonic()
            tasks = self._ask_source(source, wanted, self._riders)
            second = self._ask_to_compare(available[1:]) if position == 0 else []
            await self._wait(tasks, math.inf, since)
            await self._wait(second, SIDE_BY_SIDE_PATIENCE_SECONDS, since)
            await self._wait(chain, SUPPLY_PATIENCE_SECONDS, self._started)
        await self._ask_thin_sources(available)

    async def _ask_thin_sources(self, sources: Sequence[PriceSource]) -> None:
        """Ask those passed over as thin after all, for whom nobody else prices: thin is better than nothing."""
        for source in sources:
            lonely = [mint for mint in self.core if self._lacks_only(source, mint)]
            since = self._desk.clock.monotonic()
            await self._wait(self._send(source, lonely), math.inf, since)

    def _lacks_only(self, source: PriceSource, mint: Mint) -> bool:
        if (source.name, mint) in self._asked or source.name in self._failures[mint]:
            return False
        return self._value(mint, more=False).kind in {"unpriced", "doubted"}

    def _is_available(self, source: PriceSource) -> bool:
        """Pass over a source whose circuit is open or, for a miss, which has no budget now."""
        upstream = self._desk.upstreams[source.name]
        retry_in = upstream.breaker.retry_in()
        reason: NotAskedError | None = None
        if retry_in:
            reason = NotAskedError(source.name, "circuit", retry_in)
        elif self._lane is Lane.MISS and (delay := upstream.budget.delay(self._lane)):
            reason = NotAskedError(source.name, "budget", delay)
        if reason is not None:
            for failures in self._failures.values():
                failures[source.name] = reason
        return reason is None

    async def _wanted(self) -> list[Mint]:
        """Return whom another source could still help; riders only where a jump wants a second opinion."""
        core = [mint async for mint in in_slices(self.core) if self._value(mint, more=True).kind == "ask"]
        return core + [mint async for mint in in_slices(self._riders) if self._value(mint, more=True).jump]

    def _ask_to_compare(self, others: Sequence[PriceSource]) -> list[asyncio.Task[None]]:
        """Ask a second source side by side; its free places go to whose comparison is oldest (design 4.7)."""
        if self._lane is not Lane.POPULAR or not others:
            return []
        riders = sorted(self._riders, key=lambda mint: (self._compared_at(mint), mint))
        return self._ask_source(others[0], self.core, riders)

    def _compared_at(self, mint: Mint) -> float:
        facts = self._desk.ledger.get(mint)
        return facts.comparison.compared.monotonic if facts and facts.comparison else -math.inf

    def _ask_source(
        self, source: PriceSource, wanted: Sequence[Mint], riders: Sequence[Mint]
    ) -> list[asyncio.Task[None]]:
        """Send what needs sending; who was left out lately rides along where there is room."""
        wanted = [mint for mint in wanted if (source.name, mint) not in self._asked]
        paused = [mint for mint in wanted if self._is_paused(source, mint)]
        batch = [mint for mint in wanted if mint not in set(paused)]
        if batch:
            room = -len(batch) % source.batch_size
            batch += [*paused, *(mint for mint in riders if self._may_ride(source, mint))][:room]
        for mint in set(paused).difference(batch):
            if self._desk.backoff.shortfall(source.name, mint) == "omitted":
                self._answers[mint][source.name] = None
                self._asked.add((source.name, mint))
        return self._send(source, batch)

    def _send(self, source: PriceSource, batch: Sequence[Mint]) -> list[asyncio.Task[None]]:
        self._asked.update((source.name, mint) for mint in batch)
        chunks = [batch[i : i + source.batch_size] for i in range(0, len(batch), source.batch_size)]
        return [self._spawn(self._ask(source, chunk), chunk) for chunk in chunks]

    def _may_ride(self, source: PriceSource, mint: Mint) -> bool:
        return (source.name, mint) not in self._asked and not self._is_paused(source, mint)

    def _is_paused(self, source: PriceSource, mint: Mint) -> bool:
        """Tell whether not to ask for a mint alone; whose price is being served from this source is asked."""
        shortfall = self._desk.backoff.shortfall(source.name, mint)
        if shortfall is None:
            return False
        entry = self._desk.cache.get(mint)
        if entry is None:
            return shortfall == "omitted"
        return entry.cap.source != source.name

    async def _ask(self, source: PriceSource, mints: Sequence[Mint]) -> None:
        try:
            answer = await source.quotes(mints, self._lane)
        except UpstreamError as error:
            for mint in mints:
                self._failures[mint][source.name] = error
            return
        unreadable = UpstreamError(source.name, "schema", "its row could not be read")
        for mint in mints:
            quote = answer.value.get(mint)
            if quote is None and answer.unreadable:
                self._failures[mint][source.name] = unreadable
                continue
            self._answers[mint][source.name] = quote
            self._desk.backoff.note(source.name, mint, self._shortfall(mint, quote))

    def _shortfall(self, mint: Mint, quote: Quote | None) -> Shortfall | None:
        if quote is None or quote.price_usd is None:
            return "omitted"
        facts = self._desk.ledger.get(mint) or Facts()
        supply = believed_supply(facts, now(self._desk.clock))
        return None if judge(quote, supply, self._desk.policy).grade == "good" else "thin"

    # Waiting

    def _spawn(self, work: Coroutine[Any, Any, None], mints: Iterable[Mint]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._pending[task] = frozenset(mints)
        return task

    async def _wait(self, tasks: Iterable[asyncio.Task[None]], calm_seconds: float, since: float) -> None:
        """Wait for these tasks, at most `calm_seconds`, or `PATIENCE_SECONDS` once somebody is waiting."""
        while waiting := [task for task in tasks if not task.done()]:
            hurried = self._hurried.is_set()
            patience = min(PATIENCE_SECONDS, calm_seconds) if hurried else calm_seconds
            left = since + patience - self._desk.clock.monotonic()
            if left <= 0:
                break
            await self._first(waiting, left, watch_hurry=not hurried)
        self._reap()

    async def _first(self, tasks: Iterable[asyncio.Task[None]], seconds: float, *, watch_hurry: bool) -> None:
        """Wait for the first of: a task, the time running out, somebody beginning to wait."""
        helpers: list[asyncio.Task[Any]] = []
        if seconds < math.inf:
            helpers.append(asyncio.create_task(self._desk.clock.sleep(seconds)))
        if watch_hurry:
            helpers.append(asyncio.create_task(self._hurried.wait()))
        try:
            await asyncio.wait([*tasks, *helpers], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for helper in helpers:
                helper.cancel()

    def _reap(self) -> frozenset[Mint]:
        """Forget the finished tasks and return whom they were for; a bug in one is raised here."""
        done = [task for task in self._pending if task.done()]
        mints = frozenset[Mint]().union(*(self._pending.pop(task) for task in done))
        self._news |= mints
        for task in done:
            task.result()
        return mints

    # Settling

    def _value(self, mint: Mint, *, more: bool) -> Valuation:
        desk = self._desk
        current = desk.ledger.get(mint) or Facts()
        before = self._before.setdefault(mint, current)
        facts = msgspec.structs.replace(before, chain=current.chain, chain_answered=current.chain_answered)
        answers = self._answers[mint]
        quotes = [quote for source in desk.sources if (quote := answers.get(source.name)) is not None]
        return value(
            mint,
            quotes,
            facts,
            now=now(desk.clock),
            policy=desk.policy,
            more=more,
            symbol=desk.symbols.get(mint),
            has_value=desk.cache.get(mint) is not None,
        )

    async def _settle(self, mints: frozenset[Mint]) -> None:
        """Publish what has come of these mints since they were last looked at, others having their turn."""
        async for mint in in_slices(mints & self._news):
            self._news.discard(mint)
            if mint in self.settled:
                self._settle_core(mint)
            else:
                self._settle_rider(mint)

    def _settle_core(self, mint: Mint) -> None:
        if self._is_outdated(mint):
            self._resolve(mint, None, "updated")
            return
        result = self._value(mint, more=False)
        if result.kind in {"priced", "held"}:
            self._publish(mint, result)
            self._resolve(mint, None, "updated")
        elif any(mint in mints for mints in self._pending.values()):
            return
        elif self._everybody_answered(mint, result):
            self._publish(mint, result)
            unpriced = NotPricedError(result.reason) if result.kind == "unpriced" else None
            self._resolve(mint, unpriced, "not_priced")
        else:
            self._let_verdict_lapse(mint)
            self._desk.schedule.failed(mint, has_value=self._desk.cache.get(mint) is not None)
            self._resolve(mint, self._failure(mint), "failed")

    def _let_verdict_lapse(self, mint: Mint) -> None:
        """Serve a value that cannot be refreshed at most at medium once its comparison no longer counts."""
        entry, facts = self._desk.cache.get(mint), self._desk.ledger.get(mint)
        if entry is None or entry.cap.confidence != "high" or facts is None:
            return
        if not verdict_stands(facts.comparison, now(self._desk.clock)):
            cap = msgspec.structs.replace(entry.cap, confidence="medium")
            self._desk.publisher.publish(Entry(cap, entry.received, entry.seen))

    def _settle_rider(self, mint: Mint) -> None:
        if not any(self._answers[mint].values()) or self._is_outdated(mint) or not self._heard_its_source(mint):
            return
        result = self._value(mint, more=self._could_ask_more(mint))
        if result.jump:
            result = self._value(mint, more=False)
        if result.kind in {"priced", "held"}:
            if not self._counted_rider(mint):
                self._count_token("updated")
            self._publish(mint, result)

    def _heard_its_source(self, mint: Mint) -> bool:
        """Tell whether the source behind a fresh value was asked too: riding along with another moves nobody."""
        entry = self._desk.cache.get(mint)
        if entry is None or self._desk.clock.monotonic() - entry.received > self._desk.policy.fresh_seconds:
            return True
        return entry.cap.source in self._answers[mint] or entry.cap.source in self._failures[mint]

    def _could_ask_more(self, mint: Mint) -> bool:
        return any(self._may_ride(source, mint) for source in self._desk.sources)

    def _counted_rider(self, mint: Mint) -> bool:
        mark = (mint, "", "")
        known = mark in self._counted
        self._counted.add(mark)
        return known

    def _is_outdated(self, mint: Mint) -> bool:
        """Tell whether what is in memory is newer than all that this round has heard."""
        entry = self._desk.cache.get(mint)
        newest = max((quote.received.monotonic for quote in self._answers[mint].values() if quote), default=None)
        return entry is not None and newest is not None and entry.received > newest

    def _everybody_answered(self, mint: Mint, result: Valuation) -> bool:
        """Tell a real answer from a failure (design 4.10): every source that should know has spoken."""
        if result.lacks_supply:
            return result.facts.chain_answered is not None
        return all(source.name in self._answers[mint] for source in self._desk.sources)

    def _publish(self, mint: Mint, result: Valuation) -> None:
        desk = self._desk
        desk.ledger.put(mint, result.facts)
        self._count_refusals(mint, result)
        if result.kind == "unpriced":
            desk.publisher.publish_unpriced(mint, result.reason)
        elif result.cap is not None and result.received is not None:
            desk.publisher.publish(Entry(result.cap, result.received.monotonic, result.seen))
        elif (entry := desk.cache.get(mint)) is not None:
            cap = msgspec.structs.replace(entry.cap, confidence="low")
            desk.publisher.publish(Entry(cap, entry.received, result.seen))
        if result.kind == "held":
            desk.schedule.held(mint)
        else:
            desk.schedule.refreshed(mint)

    def _resolve(self, mint: Mint, settled: Settled, outcome: RefreshOutcome) -> None:
        if not self.settled[mint].done():
            self.settled[mint].set_result(settled)
            self._count_token(outcome)

    def _failure(self, mint: Mint) -> McSidecarError:
        """Say why nobody could answer: 429 when no source had budget, 503 otherwise."""
        errors = list(self._failures[mint].values())
        out_of_budget = [isinstance(error, NotAskedError) and error.reason == "budget" for error in errors]
        overloaded = len(errors) == len(self._desk.sources) and all(out_of_budget)
        if self._chain_failure is not None:
            errors.append(self._chain_failure)
        detail = "; ".join(map(str, errors)) or "the supply of SOL could not be read"
        waits = [error.retry_after or RETRY_AFTER_SECONDS for error in errors]
        retry_after = min(waits, default=RETRY_AFTER_SECONDS)
        if overloaded:
            return OverloadedError(detail, retry_after=retry_after)
        return UpstreamUnavailableError(detail, retry_after=retry_after)

    def _count_token(self, outcome: RefreshOutcome) -> None:
        self._desk.metrics.refresh_tokens.labels(self._loop, outcome).inc()

    def _count_refusals(self, mint: Mint, result: Valuation) -> None:
        for source, reason in result.refusals:
            if (mint, source, reason) not in self._counted:
                self._counted.add((mint, source, reason))
                self._desk.metrics.rejected_quotes.labels(source, reason).inc()

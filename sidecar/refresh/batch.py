"""One refresh of up to a hundred mints: who is asked, in which order, and what comes of the answers.

Sources are asked in the order of `pricing.sources`, each for what the ones before it did not settle. Nobody
waits for a slow source while somebody waits for the round: after `FALLBACK_AFTER_SECONDS` the next one is asked,
and the late answer is valued when it comes.
"""

import asyncio
import math
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final

from sidecar.errors import NotAskedError, UpstreamError, UpstreamUnavailableError
from sidecar.metrics.labels import LoopName
from sidecar.models import WRAPPED_SOL, Mint, Priority
from sidecar.pricing.supply import PREFERRED
from sidecar.refresh.answers import Answers
from sidecar.refresh.context import RefreshContext
from sidecar.refresh.publish import FetchResult, ResultPublisher
from sidecar.runtime.aio import yielding
from sidecar.sources import PriceSource

FALLBACK_AFTER_SECONDS: Final = 0.8
"""How long a source may keep somebody waiting before the next one is asked."""
SUPPLY_WAIT_SECONDS: Final = 2.0
"""How long background work waits for the chain before it makes do with a source's supply."""
COMPARISON_WAIT_SECONDS: Final = 2.0
"""How long a refresh waits for the source that is only asked to compare."""

CIRCULATING_SECONDS: Final = 3600.0
"""How old a circulating supply may get before it is asked for on its own account."""
CIRCULATING: Final = "circulating supply"
"""What stands for the source in the back-off when that has been done, whether it was told or not."""


class Batch:
    """One refresh. `settled` has a future for each mint that it is for; `top_up` only take free places."""

    def __init__(
        self,
        context: RefreshContext,
        settled: Mapping[Mint, asyncio.Future[FetchResult]],
        *,
        priority: Priority,
        loop: LoopName,
        top_up: Sequence[Mint] = (),
    ) -> None:
        self.settled = settled
        core = self.core = tuple(settled)
        self._context = context
        self._top_up = top_up
        self._lane = priority
        self._expedited = asyncio.Event()
        if priority is Priority.MISS:
            self._expedited.set()
        self._answers = Answers(context, (*core, *top_up))
        self._publisher = ResultPublisher(context, self._answers, settled, loop)
        self._pending: dict[asyncio.Task[None], frozenset[Mint]] = {}
        self._news: set[Mint] = {*core, *top_up}
        """Of whom something has been heard since they were last settled, or nothing yet."""
        self._started = context.clock.monotonic()

    def expedite(self) -> None:
        """Somebody waits for this round now."""
        self._expedited.set()

    async def run(self) -> None:
        """Do the whole refresh; every future of `settled` has its result afterwards."""
        try:
            chain = self._ask_chain()
            await self._ask_sources(chain)
            await self._ask_what_circulates()
            await self._wait(chain, SUPPLY_WAIT_SECONDS, self._started)
            await self._settle(frozenset(self._news))
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
        supplies, mints = self._context.supplies, (*self.core, *self._top_up)
        due = supplies.due(mints)
        tasks = []
        if due:
            tasks.append(self._spawn(self._read_supplies(due), due))
        if WRAPPED_SOL in mints and supplies.sol_is_due():
            tasks.append(self._spawn(self._read_sol(), [WRAPPED_SOL]))
        return tasks

    async def _read_supplies(self, mints: Sequence[Mint]) -> None:
        failure = await self._context.supplies.read(mints, self._lane)
        self._answers.chain_failure = failure or self._answers.chain_failure

    async def _read_sol(self) -> None:
        await self._context.supplies.read_sol(self._lane)

    async def _ask_sources(self, chain: list[asyncio.Task[None]]) -> None:
        available = [source for source in self._context.sources if self._is_available(source)]
        for position, source in enumerate(available):
            wanted = await self._wanted() if position else list(self.core)
            await self._settle(frozenset(self.core).difference(wanted))  # nobody waits for what others still need
            if not wanted:
                return
            since = self._context.clock.monotonic()
            tasks = self._ask_source(source, wanted, self._top_up)
            second = self._ask_to_compare(available[1:]) if position == 0 else []
            await self._wait(tasks, math.inf, since)
            await self._wait(second, COMPARISON_WAIT_SECONDS, since)
            await self._wait(chain, SUPPLY_WAIT_SECONDS, self._started)
        await self._ask_thin_sources(available)

    async def _ask_what_circulates(self) -> None:
        """Ask the source of circulating supplies where the order of prices does not get to it (design 4.4)."""
        source = next((source for source in self._context.sources if source.name == PREFERRED), None)
        if source is None or self._lane is Priority.MISS or not self._is_available(source):
            return
        wanted = [mint for mint in self.core if self._lacks_circulating(source, mint)]
        for mint in wanted:
            self._context.backoff.note(CIRCULATING, mint, "omitted")
        since = self._context.clock.monotonic()
        await self._wait(self._ask_source(source, wanted, self._top_up), COMPARISON_WAIT_SECONDS, since)

    def _lacks_circulating(self, source: PriceSource, mint: Mint) -> bool:
        state = self._context.token_states.get(mint)
        known = state.circulating if state else None
        if known and self._context.clock.monotonic() - known.received.monotonic < CIRCULATING_SECONDS:
            return False
        asked_lately = self._context.backoff.shortfall(CIRCULATING, mint) is not None
        return not asked_lately and not self._answers.was_asked(source, mint)

    async def _ask_thin_sources(self, sources: Sequence[PriceSource]) -> None:
        """Ask those passed over as thin after all, for whom nobody else prices: thin is better than nothing."""
        for source in sources:
            lonely = [mint for mint in self.core if self._lacks_only(source, mint)]
            since = self._context.clock.monotonic()
            await self._wait(self._send(source, lonely), math.inf, since)

    def _lacks_only(self, source: PriceSource, mint: Mint) -> bool:
        if self._answers.was_asked(source, mint) or source.name in self._answers.failures[mint]:
            return False
        return self._publisher.value(mint).kind in {"unpriced", "suspect"}

    def _is_available(self, source: PriceSource) -> bool:
        """Pass over a source whose circuit is open or, for who does not wait, which has no budget now."""
        upstream = self._context.upstreams[source.name]
        retry_in = upstream.breaker.retry_in()
        reason: NotAskedError | None = None
        if retry_in:
            reason = NotAskedError(source.name, "circuit", retry_in)
        elif not self._lane.waits and (delay := upstream.budget.delay(self._lane)):
            reason = NotAskedError(source.name, "budget", delay)
        if reason is not None:
            self._answers.record_failure(source, (*self.core, *self._top_up), reason)
        return reason is None

    async def _wanted(self) -> list[Mint]:
        """Return whom another source could still help; riders only where a jump wants a second opinion."""
        core = [mint async for mint in yielding(self.core) if not self._publisher.value(mint).conclusive]
        return core + [mint async for mint in yielding(self._top_up) if self._publisher.value(mint).jump]

    def _ask_to_compare(self, others: Sequence[PriceSource]) -> list[asyncio.Task[None]]:
        """Ask a second source side by side; its free places go to whose comparison is oldest (design 4.7)."""
        if self._lane is not Priority.POPULAR or not others:
            return []
        top_up = sorted(self._top_up, key=lambda mint: (self._compared_at(mint), mint))
        return self._ask_source(others[0], self.core, top_up)

    def _compared_at(self, mint: Mint) -> float:
        state = self._context.token_states.get(mint)
        return state.comparison.compared.monotonic if state and state.comparison else -math.inf

    def _ask_source(
        self, source: PriceSource, wanted: Sequence[Mint], top_up: Sequence[Mint]
    ) -> list[asyncio.Task[None]]:
        """Send what needs sending; who was left out lately rides along where there is room."""
        wanted = [mint for mint in wanted if not self._answers.was_asked(source, mint)]
        paused = [mint for mint in wanted if self._answers.is_paused(source, mint)]
        batch = [mint for mint in wanted if mint not in set(paused)]
        if batch:
            package = -len(batch) % source.batch_size
            batch += [*paused, *(mint for mint in top_up if self._answers.may_top_up(source, mint))][:package]
        for mint in set(paused).difference(batch):
            self._answers.reuse_omission(source, mint)
        return self._send(source, batch)

    def _send(self, source: PriceSource, batch: Sequence[Mint]) -> list[asyncio.Task[None]]:
        self._answers.mark_asked(source, batch)
        chunks = [batch[i : i + source.batch_size] for i in range(0, len(batch), source.batch_size)]
        return [self._spawn(self._ask(source, chunk), chunk) for chunk in chunks]

    async def _ask(self, source: PriceSource, mints: Sequence[Mint]) -> None:
        try:
            await self._answers.record(source, mints, await source.quotes(mints, self._lane))
        except UpstreamError as error:
            self._answers.record_failure(source, mints, error.with_traceback(None))  # its frames hold this round

    # Waiting

    def _spawn(self, work: Coroutine[Any, Any, None], mints: Iterable[Mint]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._pending[task] = frozenset(mints)
        return task

    async def _wait(self, tasks: Iterable[asyncio.Task[None]], calm_seconds: float, since: float) -> None:
        """Wait for these tasks, at most `calm_seconds`, or `FALLBACK_AFTER_SECONDS` once somebody is waiting."""
        while waiting := [task for task in tasks if not task.done()]:
            expedited = self._expedited.is_set()
            patience = min(FALLBACK_AFTER_SECONDS, calm_seconds) if expedited else calm_seconds
            left = since + patience - self._context.clock.monotonic()
            if left <= 0:
                break
            await self._first(waiting, left, watch_expedite=not expedited)
        self._reap()

    async def _first(self, tasks: Iterable[asyncio.Task[None]], seconds: float, *, watch_expedite: bool) -> None:
        """Wait for the first of: a task, the time running out, somebody beginning to wait."""
        helpers: list[asyncio.Task[Any]] = []
        if seconds < math.inf:
            helpers.append(asyncio.create_task(self._context.clock.sleep(seconds)))
        if watch_expedite:
            helpers.append(asyncio.create_task(self._expedited.wait()))
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

    async def _settle(self, mints: frozenset[Mint]) -> None:
        """Settle those of whom something has been heard since, the event loop having its turn in between."""
        async for mint in yielding(mints & self._news):
            self._news.discard(mint)
            if mint in self.settled:
                self._publisher.settle(mint, pending=any(mint in asked for asked in self._pending.values()))
            else:
                self._publisher.publish_top_up(mint)

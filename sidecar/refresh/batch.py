"""One batch: up to a hundred mints are asked for, waited for and published.

Sources are asked in the order of `pricing.sources`, each for the mints that the ones before it left open. While a
look-up waits for the batch, a slow source is passed over after `FALLBACK_AFTER_SECONDS`, and its late answer is
valued when it comes.
"""

import asyncio
import math
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final

from sidecar.errors import UpstreamError, UpstreamUnavailableError
from sidecar.metrics.labels import LoopName
from sidecar.models import WRAPPED_SOL, Mint, Priority
from sidecar.pricing.supply import PREFERRED
from sidecar.refresh.answers import Answers
from sidecar.refresh.context import RefreshContext
from sidecar.refresh.publish import FetchResult, ResultPublisher
from sidecar.runtime.aio import race, yielding
from sidecar.runtime.clock import Clock
from sidecar.sources.source import MarketSource

FALLBACK_AFTER_SECONDS: Final = 0.8
"""How long a source may keep a look-up waiting before the next one is asked."""
SUPPLY_WAIT_SECONDS: Final = 2.0
"""How long background work waits for the chain before it makes do with a source's supply."""
COMPARISON_WAIT_SECONDS: Final = 2.0
"""How long a refresh waits for a source that is only asked to compare, or for what circulates."""

Tasks = list[asyncio.Task[object]]


class _Calls:
    """The calls of a batch that are under way, and the mints that each is for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pending: dict[asyncio.Task[object], frozenset[Mint]] = {}
        self.expedited = asyncio.Event()
        """Set once a look-up waits for the batch."""

    def begin(self, call: Coroutine[Any, Any, object], mints: Iterable[Mint]) -> asyncio.Task[object]:
        task = asyncio.create_task(call)
        self._pending[task] = frozenset(mints)
        return task

    def concern(self, mint: Mint) -> bool:
        """Return whether an answer for a mint is still to come."""
        return any(mint in mints for mints in self._pending.values())

    async def wait(self, tasks: Tasks, calm_seconds: float, since: float) -> None:
        """Wait for these calls, at most `calm_seconds`, or `FALLBACK_AFTER_SECONDS` once a look-up waits."""
        while waiting := [task for task in tasks if not task.done()]:
            expedited = self.expedited.is_set()
            most = min(FALLBACK_AFTER_SECONDS, calm_seconds) if expedited else calm_seconds
            left = since + most - self._clock.monotonic()
            if left <= 0:
                return
            sooner: list[Coroutine[Any, Any, Any]] = [] if expedited else [self.expedited.wait()]
            sooner += [self._clock.sleep(left)] if left < math.inf else []
            await race(*sooner, futures=waiting)

    async def next_ended(self) -> bool:
        """Wait until one more call has ended; False when none is under way."""
        if self._pending:
            await asyncio.wait(self._pending, return_when=asyncio.FIRST_COMPLETED)
        return bool(self._pending)

    def reap(self) -> frozenset[Mint]:
        """Forget the calls that have ended and return their mints; a bug in one is raised here."""
        done = [task for task in self._pending if task.done()]
        mints = frozenset[Mint]().union(*(self._pending.pop(task) for task in done))
        for bug in [error for task in done if (error := task.exception()) is not None]:
            raise bug
        return mints

    async def cancel(self) -> None:
        """End the calls that are under way."""
        for task in self._pending:
            task.cancel()
        await asyncio.gather(*self._pending, return_exceptions=True)


class Batch:
    """One refresh. `results` has a future for each mint that it is for; `top_up` only take free places.

    `sources`: those that can be asked now, in order; `not_asked`: why the others cannot.
    """

    def __init__(
        self,
        context: RefreshContext,
        results: Mapping[Mint, asyncio.Future[FetchResult]],
        *,
        priority: Priority,
        loop: LoopName,
        sources: Sequence[MarketSource],
        not_asked: Iterable[UpstreamError] = (),
        top_up: Sequence[Mint] = (),
    ) -> None:
        self.results = results
        self._context = context
        self._core = tuple(results)
        self._top_up = top_up
        self._priority = priority
        self._sources = sources
        self._answers = Answers(context, (*results, *top_up), is_popular=priority is Priority.POPULAR)
        for error in not_asked:
            self._answers.record_failure(error.source, (*results, *top_up), error)
        self._publisher = ResultPublisher(context, self._answers, results, loop)
        self._calls = _Calls(context.clock)
        self._news: set[Mint] = {*results, *top_up}
        """The mints with an answer since they were last published, or none yet."""
        self._started = context.clock.monotonic()
        if priority is Priority.MISS:
            self.expedite()

    def expedite(self) -> None:
        """From now on a look-up waits for this batch."""
        self._calls.expedited.set()

    async def run(self) -> None:
        """Do the whole refresh; every future of `results` is done afterwards."""
        try:
            chain = self._ask_chain()
            await self._ask_sources(chain)
            await self._ask_what_circulates()
            await self._wait(chain, SUPPLY_WAIT_SECONDS, self._started)
            await self._publish(self._news)
            while await self._calls.next_ended():
                self._news |= self._calls.reap()
                await self._publish(self._news)
        finally:
            await self._calls.cancel()
            for future in self.results.values():
                if not future.done():
                    future.set_result(UpstreamUnavailableError("the refresh was given up", retry_after=1))

    # Asking

    def _ask_chain(self) -> Tasks:
        supplies, mints = self._context.supplies, (*self._core, *self._top_up)
        tasks = []
        if due := supplies.due(mints):
            tasks.append(self._calls.begin(self._read_supplies(due), due))
        if WRAPPED_SOL in mints and supplies.sol_is_due():
            tasks.append(self._calls.begin(supplies.read_sol(self._priority), [WRAPPED_SOL]))
        return tasks

    async def _read_supplies(self, mints: Sequence[Mint]) -> None:
        failure = await self._context.supplies.read(mints, self._priority)
        self._answers.chain_failure = failure or self._answers.chain_failure

    async def _ask_sources(self, chain: Tasks) -> None:
        wanted: Sequence[Mint] = self._core
        for position, source in enumerate(self._sources):
            since = self._context.clock.monotonic()
            tasks = self._ask_source(source, wanted, self._top_up)
            second = self._ask_to_compare() if position == 0 else []
            await self._wait(tasks, math.inf, since)
            await self._wait(second, COMPARISON_WAIT_SECONDS, since)
            await self._wait(chain, SUPPLY_WAIT_SECONDS, self._started)
            wanted = await self._open_mints()
            await self._publish(frozenset(self._core).difference(wanted))  # no waiter waits for another's mint
            if not wanted:
                return
        for source in self._sources:  # a thin quote of a source that was passed over is better than none
            since = self._context.clock.monotonic()
            lonely = [mint for mint in self._core if self._answers.may_ask_after_all(source, mint)]
            self._answers.mark_asked(source, lonely)
            await self._wait(self._send(source, lonely), math.inf, since)

    async def _open_mints(self) -> list[Mint]:
        """Return the mints that another source could still help; of top-ups only those with a jumping price."""
        answers = self._answers
        core = [mint async for mint in yielding(self._core) if self._is_open(mint)]
        return core + [mint async for mint in yielding(self._top_up) if answers.valuation(mint).jump]

    def _is_open(self, mint: Mint) -> bool:
        """Return whether another source is wanted: to decide the price, or to compare it where one has failed."""
        result = self._answers.valuation(mint)
        lacks_comparison = self._priority is Priority.POPULAR and not result.compared
        return not result.conclusive or (lacks_comparison and bool(self._answers.failures[mint]))

    def _ask_to_compare(self) -> Tasks:
        """Ask a second source side by side; its free places go to the oldest comparisons (F7)."""
        if self._priority is not Priority.POPULAR or len(self._sources) < 2:  # noqa: PLR2004 - the second
            return []
        top_up = sorted(self._top_up, key=lambda mint: (_compared_at(self._context, mint), mint))
        return self._ask_source(self._sources[1], self._core, top_up)

    async def _ask_what_circulates(self) -> None:
        """Ask the source of circulating supplies where the order of prices does not get to it (F4)."""
        source = next((source for source in self._sources if source.name == PREFERRED), None)
        if source is None or self._priority is Priority.MISS:
            return
        wanted = self._answers.select_for_circulating(source, self._core)
        since = self._context.clock.monotonic()
        await self._wait(self._ask_source(source, wanted, self._top_up), COMPARISON_WAIT_SECONDS, since)

    def _ask_source(self, source: MarketSource, wanted: Sequence[Mint], top_up: Sequence[Mint]) -> Tasks:
        return self._send(source, self._answers.select(source, wanted, top_up))

    def _send(self, source: MarketSource, mints: Sequence[Mint]) -> Tasks:
        calls = [mints[start : start + source.batch_size] for start in range(0, len(mints), source.batch_size)]
        return [self._calls.begin(self._ask(source, call), call) for call in calls]

    async def _ask(self, source: MarketSource, mints: Sequence[Mint]) -> None:
        expected = self._context.backoff.priced(source.name, mints)
        try:
            answer = await source.quotes(mints, self._priority, expected)
        except UpstreamError as error:
            self._answers.record_failure(source.name, mints, error.detached())
        except Exception as error:  # noqa: BLE001 - a bug in one source ends its part of the batch and no more
            outcomes = self._context.upstreams[source.name].outcomes
            self._answers.record_failure(source.name, mints, outcomes.broke(error))
        else:
            await self._answers.record(source, mints, answer)

    async def _wait(self, tasks: Tasks, calm_seconds: float, since: float) -> None:
        await self._calls.wait(tasks, calm_seconds, since)
        self._news |= self._calls.reap()

    async def _publish(self, mints: Iterable[Mint]) -> None:
        """Publish the mints with news, the event loop having its turn in between."""
        async for mint in yielding(self._news.intersection(mints)):
            self._news.discard(mint)
            if mint in self.results:
                self._publisher.publish(mint, pending=self._calls.concern(mint))
            else:
                self._publisher.publish_top_up(mint)


def _compared_at(context: RefreshContext, mint: Mint) -> float:
    """Return the monotonic time of a mint's last comparison, minus infinity without one."""
    state = context.token_states.get(mint)
    return state.comparison.compared.monotonic if state and state.comparison else -math.inf

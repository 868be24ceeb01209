"""Refreshes mints in batches of up to a hundred, each mint in one batch at a time.

The loops refresh what is wanted; look-ups that found nothing are gathered for a moment and share batches.
"""

import asyncio
import logging
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final

import msgspec

from sidecar.errors import (
    McSidecarError,
    NotAskedError,
    NotPricedError,
    OverloadedError,
    UpstreamUnavailableError,
)
from sidecar.metrics.labels import LoopName
from sidecar.models import Mint, Priority
from sidecar.refresh.batch import Batch
from sidecar.refresh.context import RefreshContext
from sidecar.refresh.publish import RETRY_AFTER_SECONDS, FetchResult, failure
from sidecar.refresh.schedule import BATCH_MINTS
from sidecar.sources.source import MarketSource

GATHER_SECONDS: Final = 0.005
"""How long a miss waits for others to share its calls."""
GATHER_SCARCE_SECONDS: Final = 0.2
"""Likewise when more than half of the first source's call budget is used up."""
ASK_AGAIN_SECONDS: Final = 15.0
"""What is remembered to have no price is asked about again this much sooner where another such mint is."""
MAX_BATCHES: Final = 4
"""Background batches under way: memory, and what the garbage collector has to look at, stay small."""
LONGEST_REFRESH_SECONDS: Final = 60.0
MAX_MISSES: Final = 2000
"""Misses waiting or under way; one more is refused."""

Future = asyncio.Future[FetchResult]

log = logging.getLogger(__name__)


class Report(msgspec.Struct, frozen=True):
    """What came of a refresh, in mints."""

    refreshed: int
    failed: int


class Refresher:
    """Owns every fetch: a caller that goes away does not end it, `stop` does."""

    def __init__(self, context: RefreshContext, *, deadline_seconds: float) -> None:
        self._context = context
        self._deadline_seconds = deadline_seconds
        self._upstreams = {source: context.upstreams[source.name] for source in context.sources}
        self._batches: dict[Mint, Batch] = {}
        self._waiting: dict[Mint, Future] = {}
        self._misses = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._background: set[asyncio.Task[None]] = set()
        self._stopped = False

    async def refresh(
        self, mints: Sequence[Mint], *, priority: Priority, loop: LoopName, top_up: Sequence[Mint] = ()
    ) -> Report:
        """Refresh these mints and wait for the outcome; free places go to `top_up`, then to the mints due next.

        Thousands are begun a few batches at a time, for `LONGEST_REFRESH_SECONDS`: what is left then stays due.
        """
        began = self._context.clock.monotonic()
        futures = [self._batches[mint].results[mint] for mint in mints if mint in self._batches]
        fresh = [mint for mint in mints if mint not in self._batches]
        for start in range(0, len(fresh), BATCH_MINTS):
            if not await self._has_room(began, priority):
                break
            chunk = fresh[start : start + BATCH_MINTS]
            futures += [self._batches[mint].results[mint] for mint in chunk if mint in self._batches]
            if core := [mint for mint in chunk if mint not in self._batches]:
                futures += self._start_background(core, mints, priority, loop, top_up)
                await asyncio.sleep(0)  # a hundred batches begun in one go would keep requests waiting
        results = await _results(futures)
        failed = sum(result is not None and not isinstance(result, NotPricedError) for result in results)
        return Report(refreshed=len(results) - failed, failed=failed)

    def ask(self, mints: Iterable[Mint]) -> dict[Mint, Future]:
        """Fetch mints that look-ups wait for. Each future gets what came of its mint, never an exception."""
        package = min(MAX_MISSES - self._misses, self._capacity() - len(self._waiting))
        futures = {}
        refusal: McSidecarError | None = None
        for mint in mints:
            future = self._under_way(mint)
            if future is None and package > 0 and not self._stopped:
                future = self._queue(mint)
            elif future is None:
                refusal = refusal or self._refusal()  # once for all: a flood is refused a thousand at a time
                future = _new_future()
                last = self._context.cache.last_unpriced_reason(mint)
                future.set_result(refusal if last is None else NotPricedError(last))
            futures[mint] = future
            package -= 1
        return futures

    async def stop(self) -> None:
        """End every fetch, for good."""
        self._stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for future in self._waiting.values():
            future.set_result(_stopping())
        self._waiting.clear()

    # Misses

    def _under_way(self, mint: Mint) -> Future | None:
        if (batch := self._batches.get(mint)) is not None:
            batch.expedite()
            return batch.results[mint]
        return self._waiting.get(mint)

    def _queue(self, mint: Mint) -> Future:
        future = _new_future()
        self._misses += 1
        future.add_done_callback(self._miss_settled)
        self._waiting[mint] = future
        if len(self._waiting) == 1:
            self._spawn(self._gather())
        return future

    def _miss_settled(self, _: Future) -> None:
        self._misses -= 1

    def _capacity(self) -> int:
        """How many mints the price sources can be asked for within the deadline."""
        return sum(
            source.batch_size * upstream.budget.free_slots(Priority.MISS, self._deadline_seconds / 2)
            for source, upstream in self._upstreams.items()
            if not upstream.breaker.retry_in()
        )

    def _refusal(self) -> McSidecarError:
        """Say why a miss is refused at once."""
        if self._stopped:
            return _stopping()
        _, refusals = self._able(Priority.MISS)
        if refusals:
            return failure(refusals)
        return OverloadedError("the upstreams' call budgets are used up", retry_after=RETRY_AFTER_SECONDS)

    async def _gather(self) -> None:
        """Start batches for the waiting misses, when their turn comes, until none is left."""
        while self._waiting:
            await self._context.clock.sleep(self._gather_seconds())
            sources, refusals = self._able(Priority.MISS)
            if not sources:
                await self._context.clock.sleep(min(self._deadline_seconds, *map(_wait_of, refusals)))
                sources, refusals = self._able(Priority.MISS)
            first = list(self._waiting)[:BATCH_MINTS]
            futures = {mint: self._waiting.pop(mint) for mint in first}
            for mint in futures.keys() & self._batches.keys():
                self._batches[mint].expedite()
                self._batches[mint].results[mint].add_done_callback(partial(_pass_on, futures.pop(mint)))
            if futures:
                futures |= self._unpriced_alongside(futures)
                self._start(futures, sources, refusals, priority=Priority.MISS, loop="miss")
                self._spawn(self._measure(list(futures.values())))

    def _unpriced_alongside(self, asked: Mapping[Mint, Future]) -> dict[Mint, Future]:
        """Return the mints to ask for along with one that had no price before: what else is so, and asked for.

        A hundred tokens that no source prices, and that are asked for all the time, cost one batch a minute.
        """
        cache, free = self._context.cache, BATCH_MINTS - len(asked)
        if not free or all(cache.last_unpriced_reason(mint) is None for mint in asked):
            return {}
        others = (mint for mint in cache.unpriced_to_ask_again(ASK_AGAIN_SECONDS) if mint not in asked)
        idle = (mint for mint in others if mint not in self._batches and mint not in self._waiting)
        return {mint: _new_future() for mint in islice(idle, free)}

    async def _measure(self, futures: Sequence[Future]) -> None:
        """Time a batch of misses until the last one is settled; no look-up waits for what comes later."""
        started, metrics = self._context.clock.monotonic(), self._context.metrics
        results = await _results(futures)
        metrics.refresh_duration.labels("miss").observe(self._context.clock.monotonic() - started)
        if any(result is None or isinstance(result, NotPricedError) for result in results):
            metrics.refresh_last_success.labels("miss").set(self._context.clock.time())

    def _gather_seconds(self) -> float:
        budget = self._context.upstreams[self._context.sources[0].name].budget
        is_scarce = budget.free_slots(Priority.MISS, 0.0) * 2 < max(1, budget.requests_per_minute // 6)
        return GATHER_SCARCE_SECONDS if is_scarce else GATHER_SECONDS

    # Batches

    def _able(self, priority: Priority) -> tuple[list[MarketSource], list[NotAskedError]]:
        """Return the sources that a batch can ask now, in order, and why it cannot ask the others."""
        refusals = {source: upstream.refusal(priority) for source, upstream in self._upstreams.items()}
        able = [source for source, refusal in refusals.items() if refusal is None]
        return able, [refusal for refusal in refusals.values() if refusal is not None]

    def _start_background(
        self,
        core: Sequence[Mint],
        others: Sequence[Mint],
        priority: Priority,
        loop: LoopName,
        first: Sequence[Mint],
    ) -> Iterable[Future]:
        """Start a batch; its free places go to `first`, then to the mints due next that are not among `others`."""
        sources, refusals = self._able(priority)
        retry = all(map(self._context.schedule.is_retry, core))
        room = -len(core) % sources[0].batch_size if sources and not retry else 0
        top_up = self._top_up(room, first, excluded={*others, *self._batches})
        results = {mint: _new_future() for mint in core}
        task = self._start(results, sources, refusals, priority=priority, loop=loop, top_up=top_up)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return results.values()

    def _top_up(self, room: int, first: Sequence[Mint], excluded: set[Mint]) -> list[Mint]:
        """Fill the free places of the first source's call."""
        chosen = [mint for mint in first if mint not in excluded][:room]
        return chosen + self._context.schedule.soonest(room - len(chosen), excluded.union(chosen))

    async def _has_room(self, began: float, priority: Priority) -> bool:
        """Wait until one more background batch may begin; False when it is too late for that.

        Tracked mints also wait for the first source's budget here, where they hold up nothing.
        """
        while len(self._background) >= MAX_BATCHES:
            await asyncio.wait(self._background, return_when=asyncio.FIRST_COMPLETED)
        sources, _ = self._able(priority)
        if priority is Priority.TRACKED and sources:
            await self._upstreams[sources[0]].budget.wait(priority, LONGEST_REFRESH_SECONDS)
        return self._context.clock.monotonic() - began < LONGEST_REFRESH_SECONDS

    def _start(
        self,
        results: Mapping[Mint, Future],
        sources: Sequence[MarketSource],
        refusals: Sequence[NotAskedError],
        *,
        priority: Priority,
        loop: LoopName,
        top_up: Sequence[Mint] = (),
    ) -> asyncio.Task[None]:
        batch = Batch(
            self._context,
            results,
            priority=priority,
            loop=loop,
            sources=sources,
            not_asked=refusals,
            top_up=top_up,
        )
        for mint, future in results.items():
            self._batches[mint] = batch
            future.add_done_callback(partial(self._resolved, mint))
        return self._spawn(batch.run())

    def _resolved(self, mint: Mint, _: Future) -> None:
        self._batches.pop(mint, None)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="refresh")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a refresh broke off", exc_info=error)


def _stopping() -> McSidecarError:
    return UpstreamUnavailableError("the service is stopping", retry_after=1)


def _wait_of(refusal: NotAskedError) -> float:
    return refusal.retry_after or 0.0


def _new_future() -> Future:
    return asyncio.get_running_loop().create_future()


async def _results(futures: Collection[Future]) -> list[FetchResult]:
    """Wait for futures that others wait for too; unlike `gather`, being cancelled does not cancel them."""
    if futures:
        await asyncio.wait(futures)
    return [future.result() for future in futures]


def _pass_on(waiting: Future, settled: Future) -> None:
    if not waiting.done():
        waiting.set_result(settled.result())

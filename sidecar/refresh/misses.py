"""Look-ups that found nothing in memory: gathered for a moment, they share batches; too many are refused."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Final

from sidecar.errors import McSidecarError, NotAskedError, NotPricedError, OverloadedError, UpstreamUnavailableError
from sidecar.models import Mint, Priority
from sidecar.refresh.batches import Batches, Future, new_future, results_of
from sidecar.refresh.context import RefreshContext
from sidecar.refresh.publish import RETRY_AFTER_SECONDS, failure
from sidecar.refresh.schedule import BATCH_MINTS

GATHER_SECONDS: Final = 0.005
"""How long a miss waits for others to share its calls."""
GATHER_SCARCE_SECONDS: Final = 0.2
"""Likewise when more than half of the first source's call budget is used up."""
ASK_SOONER_SECONDS: Final = 15.0
"""What is remembered to have no price is asked about again this much sooner where another such mint is."""
MAX_MISSES: Final = 2000
"""Misses waiting or under way; one more is refused."""


class Misses:
    """The mints that look-ups wait for, and the batches made of them."""

    def __init__(self, context: RefreshContext, batches: Batches, *, deadline_seconds: float) -> None:
        self._context = context
        self._batches = batches
        self._deadline_seconds = deadline_seconds
        self._upstreams = {source: context.upstreams[source.name] for source in context.sources}
        self._waiting: dict[Mint, Future] = {}
        self._count = 0
        self._stopped = False
        self.begun = asyncio.Event()
        """Set by the first miss."""

    def ask(self, mints: Iterable[Mint]) -> dict[Mint, Future]:
        """Fetch mints that look-ups wait for. Each future gets what came of its mint, never an exception."""
        room = min(MAX_MISSES - self._count, self._capacity() - len(self._waiting))
        futures = {}
        refusal: McSidecarError | None = None
        for mint in mints:
            future = self._under_way(mint)
            if future is None and room > 0 and not self._stopped:
                future = self._queue(mint)
                room -= 1
            elif future is None:
                refusal = refusal or self._refusal()  # once for all: a flood is refused a thousand at a time
                future = new_future()
                last = self._context.cache.last_unpriced_reason(mint)
                future.set_result(refusal if last is None else NotPricedError(last))
            futures[mint] = future
        return futures

    def _under_way(self, mint: Mint) -> Future | None:
        if mint in self._batches:
            batch = self._batches[mint]
            batch.expedite()
            return batch.results[mint]
        return self._waiting.get(mint)

    def _queue(self, mint: Mint) -> Future:
        future = new_future()
        self.begun.set()
        self._count += 1
        future.add_done_callback(self._miss_ended)
        self._waiting[mint] = future
        if len(self._waiting) == 1:
            self._batches.spawn(self._gather())
        return future

    def _miss_ended(self, _: Future) -> None:
        self._count -= 1

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
        _, refusals = self._batches.able(Priority.MISS)
        if refusals:
            return failure(refusals)
        return OverloadedError("the upstreams' call budgets are used up", retry_after=RETRY_AFTER_SECONDS)

    async def _gather(self) -> None:
        """Start batches for the waiting misses, when their turn comes, until none is left."""
        while self._waiting:
            await self._context.clock.sleep(self._gather_seconds())
            sources, refusals = self._batches.able(Priority.MISS)
            if not sources:
                await self._context.clock.sleep(min(self._deadline_seconds, *map(_wait_of, refusals)))
                sources, refusals = self._batches.able(Priority.MISS)
            first = list(self._waiting)[:BATCH_MINTS]
            futures = {mint: self._waiting.pop(mint) for mint in first}
            for mint in [mint for mint in futures if mint in self._batches]:
                self._batches[mint].expedite()
                self._batches[mint].results[mint].add_done_callback(partial(_pass_on, futures.pop(mint)))
            if futures:
                futures |= self._unpriced_alongside(futures)
                self._batches.start(futures, sources, refusals, priority=Priority.MISS, loop="miss")
                self._batches.spawn(self._measure(list(futures.values())))

    def _unpriced_alongside(self, asked: Mapping[Mint, Future]) -> dict[Mint, Future]:
        """Return the mints to ask for along with one that had no price before: what else is so, and asked for.

        A hundred tokens that no source prices, and that are asked for all the time, cost one batch a minute.
        """
        cache, free = self._context.cache, BATCH_MINTS - len(asked)
        if not free or all(cache.last_unpriced_reason(mint) is None for mint in asked):
            return {}
        others = (mint for mint in cache.unpriced_to_ask_again(ASK_SOONER_SECONDS) if mint not in asked)
        idle = (mint for mint in others if mint not in self._batches and mint not in self._waiting)
        return {mint: new_future() for mint in islice(idle, free)}

    async def _measure(self, futures: Sequence[Future]) -> None:
        """Time a batch of misses until the last one is resolved; no look-up waits for what comes later."""
        started, metrics = self._context.clock.monotonic(), self._context.metrics
        results = await results_of(futures)
        metrics.refresh_duration.labels("miss").observe(self._context.clock.monotonic() - started)
        if any(result is None or isinstance(result, NotPricedError) for result in results):
            metrics.refresh_last_success.labels("miss").set(self._context.clock.time())

    def _gather_seconds(self) -> float:
        budget = self._context.upstreams[self._context.sources[0].name].budget
        is_scarce = budget.free_slots(Priority.MISS, 0.0) * 2 < max(1, budget.requests_per_minute // 6)
        return GATHER_SCARCE_SECONDS if is_scarce else GATHER_SECONDS

    def stop(self) -> None:
        """Refuse what waits and whatever comes."""
        self._stopped = True
        for future in self._waiting.values():
            future.set_result(_stopping())
        self._waiting.clear()


def _stopping() -> McSidecarError:
    return UpstreamUnavailableError("the service is stopping", retry_after=1)


def _wait_of(refusal: NotAskedError) -> float:
    return refusal.retry_after or 0.0


def _pass_on(waiting: Future, source: Future) -> None:
    if not waiting.done():
        waiting.set_result(source.result())

"""Refreshes mints: in rounds of up to a hundred, each mint in one round at a time.

The loops refresh what is wanted; look-ups that found nothing are gathered for a moment and share rounds.
"""

import asyncio
import logging
from collections.abc import Collection, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from sidecar.errors import McSidecarError, NotPricedError, OverloadedError, UpstreamUnavailableError
from sidecar.metrics import LoopName
from sidecar.models import Lane, Mint
from sidecar.refresh.desk import Desk
from sidecar.refresh.round import Round
from sidecar.refresh.settlement import Settled

ROUND_MINTS: Final = 100
GATHER_SECONDS: Final = 0.005
"""How long a miss waits for others to share its calls."""
GATHER_SCARCE_SECONDS: Final = 0.2
"""Likewise when more than half of the first source's call budget is used up."""
MOST_ROUNDS: Final = 4
"""Background rounds under way: memory, and what the garbage collector has to look at, stay small."""
LONGEST_REFRESH_SECONDS: Final = 60.0
MOST_MISSES: Final = 2000
"""Misses waiting or under way; one more is refused."""

Future = asyncio.Future[Settled]

log = logging.getLogger(__name__)


class Report(msgspec.Struct, frozen=True):
    """What came of a refresh, in mints."""

    refreshed: int
    failed: int


class Refresher:
    """Owns every fetch: a caller that goes away does not end it, `stop` does."""

    def __init__(self, desk: Desk, *, deadline_seconds: float) -> None:
        self._desk = desk
        self._deadline_seconds = deadline_seconds
        self._upstreams = [desk.upstreams[source.name] for source in desk.sources]
        self._rounds: dict[Mint, Round] = {}
        self._waiting: dict[Mint, Future] = {}
        self._misses = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._background: set[asyncio.Task[None]] = set()
        self._stopped = False

    async def refresh(self, mints: Sequence[Mint], *, lane: Lane, loop: LoopName) -> Report:
        """Refresh these mints and wait for what comes of it; batches with room take along who is due next.

        Thousands are begun a few rounds at a time, and for `LONGEST_REFRESH_SECONDS`: who is left then stays due.
        """
        began = self._desk.clock.monotonic()
        futures = [self._rounds[mint].settled[mint] for mint in mints if mint in self._rounds]
        fresh = [mint for mint in mints if mint not in self._rounds]
        for start in range(0, len(fresh), ROUND_MINTS):
            if not await self._has_room(began):
                break
            chunk = fresh[start : start + ROUND_MINTS]
            futures += [self._rounds[mint].settled[mint] for mint in chunk if mint in self._rounds]
            if core := [mint for mint in chunk if mint not in self._rounds]:
                futures += self._start_background(core, mints, lane, loop)
                await asyncio.sleep(0)  # a hundred rounds begun in one go would keep requests waiting
        results = await _results(futures)
        failed = sum(result is not None and not isinstance(result, NotPricedError) for result in results)
        return Report(refreshed=len(results) - failed, failed=failed)

    def ask(self, mints: Iterable[Mint]) -> dict[Mint, Future]:
        """Fetch mints that somebody waits for. Each future gets what came of its mint, never an exception."""
        room = min(MOST_MISSES - self._misses, self._capacity() - len(self._waiting))
        futures = {}
        refusal: McSidecarError | None = None
        for mint in mints:
            future = self._under_way(mint)
            if future is None and room > 0 and not self._stopped:
                future = self._queue(mint)
            elif future is None:
                refusal = refusal or self._refusal()  # once for all: a flood is refused a thousand at a time
                future = _new_future()
                future.set_result(refusal)
            futures[mint] = future
            room -= 1
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
        if (round_ := self._rounds.get(mint)) is not None:
            round_.hurry()
            return round_.settled[mint]
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
            source.batch_size * upstream.budget.free_slots(Lane.MISS, self._deadline_seconds / 2)
            for source, upstream in zip(self._desk.sources, self._upstreams, strict=True)
            if not upstream.breaker.retry_in()
        )

    def _refusal(self) -> McSidecarError:
        """Say why a miss is refused at once."""
        if self._stopped:
            return _stopping()
        retry_after = min(upstream.retry_in(Lane.MISS) for upstream in self._upstreams)
        broken = [upstream.name for upstream in self._upstreams if upstream.breaker.retry_in()]
        if broken:
            detail = f"not asked, because their circuits are open: {', '.join(broken)}"
            return UpstreamUnavailableError(detail, retry_after=retry_after)
        return OverloadedError("the upstreams' call budgets are used up", retry_after=retry_after)

    async def _gather(self) -> None:
        """Start rounds for the waiting misses, when their turn comes, until none is left."""
        while self._waiting:
            await self._desk.clock.sleep(self._gather_seconds())
            if delay := min(upstream.retry_in(Lane.MISS) for upstream in self._upstreams):
                await self._desk.clock.sleep(min(delay, self._deadline_seconds))
            batch = list(self._waiting)[:ROUND_MINTS]
            futures = {mint: self._waiting.pop(mint) for mint in batch}
            for mint in futures.keys() & self._rounds.keys():
                self._rounds[mint].hurry()
                self._rounds[mint].settled[mint].add_done_callback(partial(_pass_on, futures.pop(mint)))
            if futures:
                self._start(Round(self._desk, futures, lane=Lane.MISS, loop="miss"))
                self._spawn(self._measure(list(futures.values())))

    async def _measure(self, futures: Sequence[Future]) -> None:
        """Time a round of misses until the last one is settled; what comes later nobody waits for."""
        started, metrics = self._desk.clock.monotonic(), self._desk.metrics
        results = await _results(futures)
        metrics.refresh_duration.labels("miss").observe(self._desk.clock.monotonic() - started)
        if any(result is None or isinstance(result, NotPricedError) for result in results):
            metrics.refresh_last_success.labels("miss").set(self._desk.clock.time())

    def _gather_seconds(self) -> float:
        free = self._upstreams[0].budget.free_slots(Lane.MISS, 0.0)
        is_scarce = free * 2 < max(1, self._upstreams[0].budget.requests_per_minute // 6)
        return GATHER_SCARCE_SECONDS if is_scarce else GATHER_SECONDS

    # Rounds

    def _start_background(
        self, core: Sequence[Mint], others: Sequence[Mint], lane: Lane, loop: LoopName
    ) -> Iterable[Future]:
        """Start a round; its free places go to who is due next and not among `others`."""
        riders = self._riders(core, excluded=others)
        settled = {mint: _new_future() for mint in core}
        task = self._start(Round(self._desk, settled, lane=lane, loop=loop, riders=riders))
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return settled.values()

    async def _has_room(self, began: float) -> bool:
        """Wait until one more background round may begin; False when it is too late for that."""
        while len(self._background) >= MOST_ROUNDS:
            await asyncio.wait(self._background, return_when=asyncio.FIRST_COMPLETED)
        return self._desk.clock.monotonic() - began < LONGEST_REFRESH_SECONDS

    def _riders(self, core: Sequence[Mint], excluded: Iterable[Mint]) -> list[Mint]:
        """Fill the free places of the first source that can be asked."""
        sources = zip(self._desk.sources, self._upstreams, strict=True)
        able = (source for source, upstream in sources if not upstream.breaker.retry_in())
        first = next(able, self._desk.sources[0])
        room = -len(core) % first.batch_size
        return self._desk.schedule.soonest(room, {*excluded, *self._rounds}) if room else []

    def _start(self, round_: Round) -> asyncio.Task[None]:
        for mint, future in round_.settled.items():
            self._rounds[mint] = round_
            future.add_done_callback(partial(self._settled, mint))
        return self._spawn(round_.run())

    def _settled(self, mint: Mint, _: Future) -> None:
        self._rounds.pop(mint, None)

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


def _new_future() -> Future:
    return asyncio.get_running_loop().create_future()


async def _results(futures: Collection[Future]) -> list[Settled]:
    """Wait for futures that others wait for too: unlike `gather`, being cancelled does not cancel them."""
    if futures:
        await asyncio.wait(futures)
    return [future.result() for future in futures]


def _pass_on(waiting: Future, settled: Future) -> None:
    if not waiting.done():
        waiting.set_result(settled.result())

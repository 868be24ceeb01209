"""Refreshes in the background, in batches of up to a hundred."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from sidecar.errors import NotPricedError
from sidecar.metrics.labels import LoopName
from sidecar.models import Mint, Priority
from sidecar.refresh.batches import Batches, Future, new_future, results_of
from sidecar.refresh.context import RefreshContext
from sidecar.refresh.schedule import BATCH_MINTS

MAX_BATCHES: Final = 4
"""Background batches under way: memory, and what the garbage collector has to look at, stay small."""
LONGEST_REFRESH_SECONDS: Final = 60.0


class Report(msgspec.Struct, frozen=True):
    """What came of a refresh, in mints."""

    refreshed: int
    failed: int


class Refresher:
    """Refreshes for the loops, a few batches at a time."""

    def __init__(self, context: RefreshContext, batches: Batches) -> None:
        self._context = context
        self._batches = batches
        self._background: set[asyncio.Task[None]] = set()

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
        results = await results_of(futures)
        failed = sum(result is not None and not isinstance(result, NotPricedError) for result in results)
        return Report(refreshed=len(results) - failed, failed=failed)

    def _start_background(
        self,
        core: Sequence[Mint],
        others: Sequence[Mint],
        priority: Priority,
        loop: LoopName,
        first: Sequence[Mint],
    ) -> Iterable[Future]:
        """Start a batch; its free places go to `first`, then to the mints due next that are not among `others`."""
        sources, refusals = self._batches.able(priority)
        retry = all(map(self._context.schedule.is_retry, core))
        free = -len(core) % sources[0].batch_size if sources and not retry else 0
        top_up = self._top_up(free, first, excluded={*others, *self._batches})
        results = {mint: new_future() for mint in core}
        task = self._batches.start(results, sources, refusals, priority=priority, loop=loop, top_up=top_up)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return results.values()

    def _top_up(self, free: int, first: Sequence[Mint], excluded: set[Mint]) -> list[Mint]:
        """Fill the free places of the first source's call."""
        chosen = [mint for mint in first if mint not in excluded][:free]
        return chosen + self._context.schedule.soonest(free - len(chosen), excluded.union(chosen))

    async def _has_room(self, began: float, priority: Priority) -> bool:
        """Wait until one more background batch may begin; False when it is too late for that.

        Tracked mints also wait for the first source's budget here, where they hold up nothing.
        """
        while len(self._background) >= MAX_BATCHES:
            await asyncio.wait(self._background, return_when=asyncio.FIRST_COMPLETED)
        sources, _ = self._batches.able(priority)
        if priority is Priority.TRACKED and sources:
            await self._context.upstreams[sources[0].name].budget.wait(priority, LONGEST_REFRESH_SECONDS)
        return self._context.clock.monotonic() - began < LONGEST_REFRESH_SECONDS

"""Refreshing before the interval is over what may be further off than wanted (docs/rules.md: R8).

What comes first is what applications would be served the largest errors of: requests times uncertainty, the
measure by which Azar et al. (PNAS 2018) and Kolobov et al. (NeurIPS 2019) crawl. Unlike theirs, a call brings a
hundred.
"""

import asyncio
from collections.abc import Collection, Mapping
from heapq import nsmallest
from itertools import islice
from typing import Final

from sidecar.models import Mint, Priority
from sidecar.refresh.context import RefreshContext
from sidecar.refresh.refresher import Refresher
from sidecar.refresh.schedule import BATCH_MINTS
from sidecar.runtime.aio import yielding

WANTED_SECONDS: Final = 600.0
"""A token that was not asked for within this time has its interval and no more."""
COMPARED_A_TURN: Final = 1000
"""To choose the largest of 10,000 in one go would take two milliseconds."""
LOOK_SECONDS: Final = (1.0, 5.0)
"""At least and at most, between two looks at which tokens are uncertain by now."""


class EarlyRefresh:
    """The step of the loop `early`."""

    def __init__(self, context: RefreshContext, refresher: Refresher) -> None:
        self._context = context
        self._refresher = refresher

    def next_in(self) -> float:
        """Return in how many seconds to look again."""
        least, most = LOOK_SECONDS
        ready = self._context.upstreams[self._context.sources[0].name].retry_in(Priority.EARLY)
        return ready if 0 < ready < least else max(least, min(most, self._context.schedule.next_uncertain_in()))

    async def step(self) -> bool | None:
        """Refresh the hundred that matter most, of the asked for and too uncertain; None without any."""
        context = self._context
        names = [source.name for source in context.sources]
        ready = {name for name in names if not context.upstreams[name].retry_in(Priority.EARLY)}
        uncertain = yielding(context.schedule.uncertain(), 100)
        past = {mint async for mint in uncertain if self._is_open(mint, ready)}
        if not past:
            return None
        errors = await self._served_errors(ready)
        core = await largest(BATCH_MINTS, {mint: error for mint, error in errors.items() if mint in past})
        top_up = await largest(2 * BATCH_MINTS, errors)
        context.schedule.tried_early(core)
        report = await self._refresher.refresh(core, priority=Priority.EARLY, loop="early", top_up=top_up)
        return report.failed < len(core) or not core

    def _is_open(self, mint: Mint, ready: Collection[str]) -> bool:
        """Return whether a mint is asked for, and the source behind its price may be asked now."""
        entry = self._context.cache.get(mint)
        is_ready = entry is not None and entry.cap.source in ready
        return is_ready and self._context.tracker.was_requested(mint, WANTED_SECONDS)

    async def _served_errors(self, ready: Collection[str]) -> dict[Mint, float]:
        """Return the mints of which an early refresh is open, with what applications would be served."""
        mints = yielding(self._context.tracker.mints, 100)
        return {mint: self._served_error(mint) async for mint in mints if self._is_open(mint, ready)}

    def _served_error(self, mint: Mint) -> float:
        """Return requests times uncertainty, 0 where that is unknown."""
        entry, tracker = self._context.cache.get(mint), self._context.tracker
        if entry is None:
            return 0.0
        age = self._context.clock.monotonic() - entry.received
        return tracker.requests(mint) * (entry.uncertainty(age) or 0.0)


async def largest(count: int, errors: Mapping[Mint, float]) -> list[Mint]:
    """Return the mints of the largest errors, the largest first; of equal ones the same in every process."""
    left = ((-error, mint) for mint, error in errors.items())
    best: list[tuple[float, Mint]] = []
    while some := list(islice(left, COMPARED_A_TURN)):
        best = nsmallest(count, [*best, *some])
        await asyncio.sleep(0)
    return [mint for _, mint in best]

"""Refreshing before the interval is over what may be further off than wanted (design: how it refreshes, 8).

What comes first is what applications would be served the largest errors of: requests times uncertainty, the
measure by which Azar et al. (PNAS 2018) and Kolobov et al. (NeurIPS 2019) crawl. Unlike theirs, a call brings a
hundred.
"""

from collections.abc import Collection
from typing import Final

from sidecar.models import Mint, Priority
from sidecar.refresh.context import RefreshContext
from sidecar.refresh.refresher import Refresher
from sidecar.refresh.schedule import BATCH_MINTS
from sidecar.runtime.aio import yielding

WANTED_SECONDS: Final = 600.0
"""A token that was not asked for within this time has its interval and no more."""
LOOK_SECONDS: Final = (1.0, 5.0)
"""At least and at most, between two looks at who is uncertain by now."""


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
        ready = {
            name for name, upstream in self._context.upstreams.items() if not upstream.retry_in(Priority.EARLY)
        }
        schedule = self._context.schedule
        if not ready or not any([self._is_wanted(mint) async for mint in yielding(schedule.uncertain(), 500)]):
            return None
        ranked = await self._ranked(ready)
        uncertain = schedule.uncertain()
        core = [mint for mint in ranked if mint in uncertain][:BATCH_MINTS]
        if not core:
            return None
        schedule.tried_early(core)
        report = await self._refresher.refresh(core, priority=Priority.EARLY, loop="early", top_up=ranked)
        return report.failed < len(core)

    def _is_wanted(self, mint: Mint) -> bool:
        return self._context.tracker.was_requested(mint, WANTED_SECONDS)

    async def _ranked(self, ready: Collection[str]) -> list[Mint]:
        """Return the mints that are asked for and whose source may be asked now, the largest error first."""
        values = {
            mint: self._served_error(mint, ready)
            async for mint in yielding(self._context.tracker.mints, 500)
            if self._is_wanted(mint)
        }
        return sorted(filter(values.get, values), key=lambda mint: (-values[mint], mint))

    def _served_error(self, mint: Mint, ready: Collection[str]) -> float:
        """Return requests times uncertainty, 0 where it is unknown or the price's source may not be asked."""
        entry = self._context.cache.get(mint)
        if entry is None or entry.cap.source not in ready:
            return 0.0
        age = self._context.clock.monotonic() - entry.received
        return self._context.tracker.requests(mint) * (entry.uncertainty(age) or 0.0)

"""What the loops popular, tracked, trending and stats do, once; the fifth's step is in `early`."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any, Final

from sidecar.errors import UpstreamError
from sidecar.models import USD1, USDC, USDT, WRAPPED_SOL, Mint, Priority
from sidecar.refresh.refresher import Refresher
from sidecar.refresh.schedule import Schedule
from sidecar.refresh.tracker import Tracker
from sidecar.runtime.aio import race, yielding
from sidecar.runtime.clock import Clock
from sidecar.sources.source import MarketSource

STABLECOINS: Final = frozenset(
    {
        USDC,
        USDT,
        USD1,
        Mint("2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo"),  # PYUSD
        Mint("2u1tszSeqZ3qBWF3uNGPFc8TzMk2tdiwknnRMWGWjGWH"),  # USDG
        Mint("USDSwr9ApdHk5bvJKMjzff41FfuX8bSxdKcR81vTwcA"),  # USDS
        Mint("9zNQRsGLjNKwCUU5Gq5LR8beUCPzQMVMqKAi3SSZh54u"),  # FDUSD
    }
)
NEVER_TRENDING: Final = STABLECOINS | {WRAPPED_SOL}
FIRST_LISTS_SECONDS: Final = 0.5
"""How long the first refresh waits for the trending lists while no look-up waits: one batch then does for both."""

log = logging.getLogger(__name__)


class Steps:
    """The steps of the loops. Each returns whether it succeeded. `hurry`: set once a look-up waits."""

    def __init__(
        self,
        *,
        tracker: Tracker,
        schedule: Schedule,
        refresher: Refresher,
        trending: Sequence[MarketSource],
        tracked_changed: Callable[[], None],
        statistics: Callable[[], Mapping[str, Any]],
        hurry: asyncio.Event,
        clock: Clock,
    ) -> None:
        self._tracker = tracker
        self._schedule = schedule
        self._refresher = refresher
        self._trending = trending
        self._tracked_changed = tracked_changed
        self._statistics = statistics
        self._hurry = hurry
        self._clock = clock
        self._lists: dict[str, list[Mint]] = {}
        self._listed = asyncio.Event()
        """Set once the trending lists were asked for, or waited for long enough."""
        self._begun = False
        """Whether the popular list is being refreshed, or was."""

    async def popular(self) -> bool:
        """Refresh the popular list, at first with the trending ones; free places in calls refresh others along."""
        await self._wait_listed()
        popular = [*self._tracker.always, *(() if self._begun else self._due_trending())]
        self._begun = True
        report = await self._refresher.refresh(popular, priority=Priority.POPULAR, loop="popular")
        return report.failed < len(popular) or not popular

    def _due_trending(self) -> list[Mint]:
        now = self._clock.monotonic()
        return [mint for mint in self._tracker.tier("trending") if self._schedule.due_at(mint) <= now]

    async def _wait_listed(self) -> None:
        if not self._listed.is_set():
            await race(self._listed.wait(), self._hurry.wait(), self._clock.sleep(FIRST_LISTS_SECONDS))
            self._listed.set()

    async def tracked(self) -> bool:
        """Refresh the tracked mints that are due, the longest due first. Nothing due is a success."""
        await self._wait_listed()
        mints = await self._due_in_order()
        report = await self._refresher.refresh(mints, priority=Priority.TRACKED, loop="tracked")
        return report.failed < len(mints) or not mints

    async def _due_in_order(self) -> list[Mint]:
        due, requests = self._schedule.due_at, self._tracker.requests
        mints = [mint for mint in self._schedule.due() if self._begun or not self._tracker.is_always(mint)]
        order = {mint: (due(mint), -requests(mint)) async for mint in yielding(mints, 100)}
        return sorted(order, key=order.__getitem__)

    async def trending(self) -> bool:
        """Ask for the trending lists and fill the free places; a source that fails keeps its last list."""
        try:
            return await self._ask_for_lists()
        finally:
            self._listed.set()

    async def _ask_for_lists(self) -> bool:
        answers = await asyncio.gather(*map(self._list_of, self._trending))
        if answers and not any(answers):
            return False
        lists = [self._lists.get(source.name, []) for source in self._trending]
        self._tracker.set_trending(interleave(lists))
        self._tracked_changed()
        return True

    async def _list_of(self, source: MarketSource) -> bool:
        try:
            answer = await source.trending(Priority.TRACKED)
        except UpstreamError:
            return False  # logged and counted by the upstream
        except Exception:
            log.exception("a trending list could not be read", extra={"source": source.name})
            return False
        self._lists[source.name] = answer.value
        return True

    async def stats(self) -> bool:
        """Log the statistics."""
        log.info("statistics", extra=dict(self._statistics()))
        return True


def interleave(lists: Sequence[Sequence[Mint]]) -> list[Mint]:
    """Merge trending lists rank by rank, each mint once, without SOL and stablecoins."""
    ranked = chain.from_iterable(zip_longest(*lists))
    return [mint for mint in dict.fromkeys(ranked) if mint is not None and mint not in NEVER_TRENDING]

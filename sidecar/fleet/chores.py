"""What a member does now and then: counts are told, lists are kept up to date, what was forgotten is asked for."""

from collections.abc import Callable, Iterator
from typing import Final

from sidecar.fleet.answers import StoreError
from sidecar.fleet.demand import Demand
from sidecar.fleet.membership import Role
from sidecar.fleet.misses import MissRoad
from sidecar.fleet.publishing import Publishing
from sidecar.fleet.records import MOST_MINTS, Trending
from sidecar.metrics.labels import LoopName
from sidecar.models import Mint
from sidecar.service.wiring import Engine

CHORES_SECONDS: Final = 1.0
DEMAND_EVERY: Final = 2
LISTS_EVERY: Final = 2
FORGOTTEN_EVERY: Final = 5
LATE_EVERY: Final = 30
REGISTER_EVERY: Final = 60
LATE_SECONDS: Final = 30.0
"""How much older than its interval a tracked value may get before a follower asks for it."""


class Chores:
    """Counts turns of a second."""

    def __init__(
        self,
        engine: Engine,
        demand: Demand,
        publishing: Publishing,
        misses: MissRoad,
        *,
        role: Callable[[], Role],
        wake: Callable[[LoopName], None],
        tracked_changed: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._demand = demand
        self._publishing = publishing
        self._misses = misses
        self._role = role
        self._wake = wake
        self._tracked_changed = tracked_changed
        self._popular: tuple[Mint, ...] = ()
        self._trending: tuple[Mint, ...] = ()

    async def run(self) -> None:
        """Do what is to be done, until cancelled."""
        turn = 0
        while True:
            await self._engine.clock.sleep(CHORES_SECONDS)
            turn += 1
            try:
                await self._turn(turn)
            except StoreError:  # told by the membership
                continue

    async def _turn(self, turn: int) -> None:
        role, popular = self._role(), self._engine.tracker.popular
        if role == "alone":
            return
        if turn % REGISTER_EVERY == 0 or popular != self._popular:
            await self._demand.register(popular)
            self._popular = popular
        if turn % DEMAND_EVERY == 0:
            await self._demand.tell()
        if role == "leader":
            await self._lead(turn)
        elif turn % FORGOTTEN_EVERY == 0:
            self._misses.ask(list(self._forgotten(with_tracked=turn % LATE_EVERY == 0))[:MOST_MINTS])

    async def _lead(self, turn: int) -> None:
        if turn % LISTS_EVERY == 0 and await self._demand.take_popular():
            self._tracked_changed()
            self._wake("popular")
        trending = self._engine.tracker.tier("trending")
        if trending != self._trending or turn % REGISTER_EVERY == 0:
            self._trending = trending
            self._publishing.note(Trending(trending))

    def _forgotten(self, *, with_tracked: bool) -> Iterator[Mint]:
        """Yield what the leader should have told by now: it may keep fewer tokens than this sidecar, or others."""
        cache, refresh = self._engine.cache, self._engine.settings.refresh
        for mint in self._engine.tracker.popular:
            if cache.get(mint) is None and cache.unpriced_reason(mint) is None:
                yield mint
        too_old = self._engine.clock.monotonic() - refresh.tracked_seconds - LATE_SECONDS
        for mint in self._engine.tracker.mints if with_tracked else ():
            if (entry := cache.peek(mint)) is not None and entry.received < too_old:
                yield mint

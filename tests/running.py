"""A running service on the simulated market, over real HTTP, on a clock that only a test moves."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import msgspec

from sidecar.config.settings import Settings
from sidecar.demo import Fault, Market, Source, serve
from sidecar.demo.tokens import Token
from sidecar.errors import McSidecarError
from sidecar.models import MarketCap, Mint
from sidecar.service.service import PreCacheService
from tests.clock import FakeClock

T = TypeVar("T")

CALM_TURNS: Final = 4
"""Turns of the event loop without any work after which nothing more can come of what was sent."""
QUIET_TURNS: Final = 1
"""The same where nothing was sent: most wakes of an hour find nothing to do."""
SOON_SECONDS: Final = 0.25
"""Timers of the event loop due sooner (gathering misses) are waited for; those of a client's timeout are not."""
REAL_LIMIT_SECONDS: Final = 30.0
MOST_STEPS: Final = 200_000


class MarketClock:
    """The market's view of the clock: it counts the answers that wait for it."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.sleeping = 0
        self.most_sleeping = 0

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def time(self) -> float:
        return self._clock.time()

    async def sleep(self, seconds: float) -> None:
        self.sleeping += 1
        self.most_sleeping = max(self.most_sleeping, self.sleeping)
        try:
            await self._clock.sleep(seconds)
        finally:
            self.sleeping -= 1


class WatchedMarket(Market):
    """A market that counts the requests it will never answer, and says which calls it got when."""

    def __init__(self, clock: FakeClock, seed: int = 1, tokens: int = 300, *, spread: float = 0.0) -> None:
        self.watched_clock = MarketClock(clock)
        super().__init__(seed, tokens, self.watched_clock, spread=spread)
        self.hung = 0
        self.source_liquidity: dict[tuple[Source, str], float] = {}
        self.times: list[tuple[float, Source, str, tuple[str, ...]]] = []

    def record(self, source: Source, name: str, mints: tuple[str, ...]) -> None:
        super().record(source, name, mints)
        self.times.append((self.clock.monotonic(), source, name, mints))

    def set_source_liquidity(self, source: Source, mint: str, usd: float) -> None:
        """Let one source see a shallower pool than the others, in USD."""
        self.source_liquidity[source, mint] = usd

    def find(self, source: Source, mint: str) -> Token | None:
        token, usd = super().find(source, mint), self.source_liquidity.get((source, mint))
        return token if token is None or usd is None else msgspec.structs.replace(token, liquidity_usd=usd)

    def draw_fault(self, source: Source) -> Fault | None:
        fault = super().draw_fault(source)
        if fault is not None and fault.kind == "hang":
            self.hung += 1
        return fault

    @property
    def parked(self) -> int:
        """How many requests the clock, or nothing at all, will answer."""
        return self.hung + self.watched_clock.sleeping


class Rig:
    """The service, its market and their clock."""

    def __init__(self, service: PreCacheService, market: WatchedMarket, clock: FakeClock) -> None:
        self.service = service
        self.market = market
        self.clock = clock

    async def settle(self) -> None:
        """Let everything happen that needs no more time: real I/O and the tasks behind it."""
        calm, enough = 0, QUIET_TURNS
        async with asyncio.timeout(REAL_LIMIT_SECONDS):
            while calm < enough:
                await asyncio.sleep(self._busy_seconds())
                enough = CALM_TURNS if self._in_flight() else enough
                calm = 0 if self._is_busy() else calm + 1

    async def run_for(self, seconds: float) -> None:
        """Let so many seconds pass, from one sleeper to the next."""
        await self.run_until(lambda: False, seconds)

    async def run_until(self, happened: Callable[[], bool], seconds: float) -> bool:
        """Let time pass until something has happened, at most so many seconds; tell whether it has."""
        end = self.clock.monotonic() + seconds
        await self.settle()
        steps = itertools.count()
        while not happened():
            assert next(steps) < MOST_STEPS, "a task sleeps without end for no time at all"
            wake = self.clock.next_wake
            if wake is None or wake > end:
                self.clock.advance(end - self.clock.monotonic())
                await self.settle()
                return happened()
            self.clock.advance(max(0.0, wake - self.clock.monotonic()))
            await self.settle()
        return True

    async def finish(self, work: Coroutine[Any, Any, T], within: float = 60.0) -> T:
        """Let time pass until the work is done; what it raises is raised here."""
        task = asyncio.create_task(work)
        if not await self.run_until(task.done, within):
            task.cancel()
            raise AssertionError(f"not done within {within} s")
        return await task

    async def warm(self) -> None:
        """Let the first refresh of the popular list come to its end, without any time passing."""
        await self.settle()
        assert not self.service.health.unanswered

    async def next_refresh(self) -> None:
        """Let time pass until the popular list has been refreshed once more; intervals have jitter."""
        loop = self.service.health.loops["popular"]
        before = loop.last_success_unix
        assert await self.run_until(lambda: loop.last_success_unix != before, 70)

    async def outcome(self, mint: str, within: float = 60.0) -> MarketCap | McSidecarError:
        """Return what a look-up gives or raises."""
        try:
            return await self.finish(self.service.get(mint), within)
        except McSidecarError as error:
            return error

    def cap(self, mint: str) -> MarketCap | None:
        """Return what is in memory, as it was published."""
        entry = self.service.engine.cache.get(Mint(mint))
        return None if entry is None else entry.cap

    def age(self, mint: str) -> float:
        """Return the age of what is in memory, infinite without."""
        entry = self.service.engine.cache.get(Mint(mint))
        return float("inf") if entry is None else self.clock.monotonic() - entry.received

    def calls(self, *sources: Source) -> int:
        """Count the calls that these sources got so far, all of them without any named."""
        return sum(self.market.calls[source] for source in sources or self.market.calls)

    def calls_since(self, monotonic: float) -> Counter[tuple[str, str]]:
        """Count the calls by source and route from a moment on."""
        return Counter((source, name) for at, source, name, _ in self.market.times if at >= monotonic)

    def asked_for(self, mint: str, source: Source) -> int:
        """Count the calls of a source that named a mint."""
        return sum(mint in mints for _, asked, _, mints in self.market.times if asked == source)

    def metric(self, name: str, **labels: str) -> float:
        """Return a sample of the service's registry."""
        value = self.service.registry.get_sample_value(f"mc_sidecar_{name}", labels)
        assert value is not None, (name, labels)
        return value

    # Whether anything is going on

    def _is_busy(self) -> bool:
        loop: Any = asyncio.get_running_loop()
        return bool(loop._ready) or self._in_flight() > self.market.parked or self._next_timer() < SOON_SECONDS

    def _busy_seconds(self) -> float:
        """Return how long to really wait: not at all, or until the next timer that belongs to the work."""
        loop: Any = asyncio.get_running_loop()
        if loop._ready or (timer := self._next_timer()) >= SOON_SECONDS:
            return 0.0
        return max(0.0, timer)

    def _next_timer(self) -> float:
        loop: Any = asyncio.get_running_loop()
        timers = loop._scheduled  # a heap: its head is due first, unless it was cancelled
        if timers and not timers[0].cancelled():
            return float(timers[0].when() - loop.time())
        due: Iterator[float] = (handle.when() for handle in timers if not handle.cancelled())
        return min(due, default=float("inf")) - float(loop.time())

    def _in_flight(self) -> int:
        connector: Any = self.service.engine._session.connector if self.service.running else None
        return 0 if connector is None else len(connector._acquired)


def pointed_at(urls: Mapping[Source, str], settings: Settings) -> Settings:
    """Return the settings with these base URLs."""
    sources = {
        name: msgspec.structs.replace(getattr(settings.sources, name), base_url=url) for name, url in urls.items()
    }
    return msgspec.structs.replace(settings, sources=msgspec.structs.replace(settings.sources, **sources))


@asynccontextmanager
async def running(
    settings: Settings | None = None,
    *,
    prepare: Callable[[WatchedMarket], object] | None = None,
    tokens: int = 500,
    spread: float = 0.0,
    start: bool = True,
) -> AsyncIterator[Rig]:
    """Run the service on a market of its own, which `prepare` may change first; both stop with the context."""
    clock = FakeClock()
    market = WatchedMarket(clock, tokens=tokens, spread=spread)
    if prepare is not None:
        prepare(market)
    async with serve(market) as urls:
        service = PreCacheService(pointed_at(urls, settings or Settings()), clock=clock)
        try:
            if start:
                await service.start()
            yield Rig(service, market, clock)
        finally:
            await service.stop()

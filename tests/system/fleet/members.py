"""A fleet in one process: services on one simulated market and one Redis, on the real clock."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from sidecar.config.settings import ApiSettings, FleetSettings, Settings, TrackingSettings
from sidecar.demo import Market, Source, serve
from sidecar.models import MarketCap, Mint
from sidecar.runtime.clock import Clock
from sidecar.service.service import PreCacheService
from tests.running import pointed_at
from tests.system.fleet.redis_server import RedisServer, redis_server

LEASE_SECONDS: Final = 0.6
SLOW_MACHINE_SECONDS: Final = 8.0
"""What a busy machine may add; how long it takes on a quiet one is what `make bench-fleet` shows."""
QUIET: Final = Settings(
    tracking=TrackingSettings(trending_tokens=0), api=ApiSettings(deadline_seconds=SLOW_MACHINE_SECONDS)
)


class CountingMarket(Market):
    """A market that remembers what it was asked."""

    def __init__(self, **options: Any) -> None:
        super().__init__(seed=1, tokens=500, **options)
        self.asked: list[tuple[float, Source, str, tuple[str, ...]]] = []

    def record(self, source: Source, name: str, mints: tuple[str, ...]) -> None:
        super().record(source, name, mints)
        self.asked.append((time.monotonic(), source, name, mints))

    @property
    def total(self) -> int:
        return len(self.asked)

    def by_source(self, since: float = 0.0) -> Counter[Source]:
        return Counter(source for at, source, _, _ in self.asked if at >= since)


class FleetRig:
    """The members, their market and their Redis."""

    def __init__(self, redis: RedisServer, market: CountingMarket, settings: Settings) -> None:
        self.redis = redis
        self.market = market
        self.settings = settings
        self.members: list[PreCacheService] = []
        self.stack = AsyncExitStack()

    async def join(
        self, count: int = 1, *, clock: Clock | None = None, settings: Settings | None = None
    ) -> list[PreCacheService]:
        """Start further members, all at the same moment."""
        joining = [PreCacheService(settings or self.settings, clock=clock) for _ in range(count)]
        self.members += joining
        await asyncio.gather(*(member.start() for member in joining))
        return joining

    async def formed(self, count: int, *, settings: Settings | None = None) -> list[PreCacheService]:
        """Start so many members and wait until one leads, all know of all, and all have each popular value."""
        members = await self.join(count, settings=settings)
        await until(lambda: all(is_warm(member) and role(member) != "alone" for member in members))
        await until(lambda: all(metric(member, "fleet_members") == len(self.members) for member in members))
        assert len(self.leaders) == 1
        return members

    @property
    def leaders(self) -> list[PreCacheService]:
        return [member for member in self.members if role(member) == "leader"]

    @property
    def leader(self) -> PreCacheService:
        (leader,) = self.leaders
        return leader

    @property
    def followers(self) -> list[PreCacheService]:
        return [member for member in self.members if role(member) == "follower"]


def role(member: PreCacheService) -> str:
    return str((member.fleet_status() or {}).get("role"))


def is_warm(member: PreCacheService) -> bool:
    return not member.health.unanswered


def cap(member: PreCacheService, mint: str) -> MarketCap | None:
    entry = member.engine.cache.peek(Mint(mint))
    return None if entry is None else entry.cap


def metric(member: PreCacheService, name: str) -> float:
    value = member.registry.get_sample_value(f"mc_sidecar_{name}")
    assert value is not None, name
    return value


async def until(happened: Callable[[], Any], seconds: float = 20.0) -> float:
    """Wait until something has happened, at most so many seconds. Returns how long that took."""
    began = time.monotonic()
    while not happened():
        assert time.monotonic() - began < seconds, "it has not happened"
        await asyncio.sleep(0.005)
    return time.monotonic() - began


@asynccontextmanager
async def fleet(settings: Settings = QUIET) -> AsyncIterator[FleetRig]:
    """Set the stage for a fleet; nothing is left of it afterwards."""
    market = CountingMarket()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        server = await stack.enter_async_context(redis_server(folder))
        urls = await stack.enter_async_context(serve(market))
        rig = FleetRig(server, market, shared(pointed_at(urls, settings), server.url))
        stack.push_async_callback(_stop, rig)
        yield rig


def shared(settings: Settings, url: str, **changes: Any) -> Settings:
    """Return the settings with a fleet."""
    changes = {"redis_url": url, "lease_seconds": LEASE_SECONDS, **changes}
    return msgspec.structs.replace(settings, fleet=FleetSettings(**changes))


async def _stop(rig: FleetRig) -> None:
    await asyncio.gather(*(member.stop() for member in rig.members))

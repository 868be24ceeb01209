"""Fleets of any size in one process: what they ask the upstreams and Redis for."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from bench.fleet.redis import RedisProcess
from sidecar.config.popular import PopularToken
from sidecar.config.settings import (
    CacheSettings,
    FleetSettings,
    PricingSettings,
    RefreshSettings,
    Settings,
    TrackingSettings,
)
from sidecar.demo import Market, Source, serve
from sidecar.models import Mint
from sidecar.service.service import PreCacheService

FASTER: Final = 20
"""The intervals are a twentieth of the shipped ones, so that half a minute is like ten."""
ROUND_SECONDS: Final = 300.0
"""Between two refreshes of each of many tokens, as shipped."""
RPM: Final = 100_000
SETTLE_SECONDS: Final = 3.0
WARM_SECONDS: Final = 240.0


class Used(NamedTuple):
    """What a fleet did."""

    members: int
    calls_at_start: int
    calls_an_hour: float
    commands_a_second: float
    kib_a_second: float
    redis_mib: float


async def started(members: int, redis: RedisProcess | None) -> int:
    """Return the upstream calls when so many members start at the same moment, with the intervals as shipped."""
    market = Market(seed=1)
    async with serve(market) as urls:
        services = [PreCacheService(_settings(urls, redis, faster=1)) for _ in range(members)]
        await _warm(services)
        await asyncio.sleep(SETTLE_SECONDS)
        await asyncio.gather(*(service.stop() for service in services))
    return sum(market.calls.values())


async def play(members: int, redis: RedisProcess | None, seconds: float) -> Used:
    """Start so many members and watch them for a while; without Redis each is alone."""
    at_start = await started(members, redis)
    if redis:
        redis.clear()
    market = Market(seed=1)
    async with serve(market) as urls:
        services = [PreCacheService(_settings(urls, redis)) for _ in range(members)]
        await _warm(services)
        await asyncio.sleep(SETTLE_SECONDS)
        began, before, since = sum(market.calls.values()), _used(redis), time.monotonic()
        await asyncio.sleep(seconds)
        took = time.monotonic() - since
        calls, after = sum(market.calls.values()) - began, _used(redis)
        await asyncio.gather(*(service.stop() for service in services))
    return Used(
        members,
        at_start,
        calls / took * 3600 / FASTER,
        (after["commands"] - before["commands"]) / took,
        (after["bytes"] - before["bytes"]) / took / 1024,
        after["memory"] / 2**20,
    )


async def play_many(redis: RedisProcess, tokens: int) -> Used:
    """Let two members share so many popular tokens once; the rates are those of a round every five minutes."""
    market = Market(seed=1, tokens=tokens + 20)
    async with serve(market) as urls:
        settings, before = _many(_settings(urls, redis), list(market.tokens)[:tokens]), _used(redis)
        services = [PreCacheService(settings) for _ in range(2)]
        await _warm(services)
        after = _used(redis)
        await asyncio.gather(*(service.stop() for service in services))
    return Used(
        2,
        sum(market.calls.values()),
        sum(market.calls.values()) * 3600 / ROUND_SECONDS,
        (after["commands"] - before["commands"]) / ROUND_SECONDS,
        (after["bytes"] - before["bytes"]) / ROUND_SECONDS / 1024,
        after["memory"] / 2**20,
    )


async def _warm(services: Sequence[PreCacheService]) -> None:
    await asyncio.gather(*(service.start() for service in services))
    began = time.monotonic()
    while any(service.health.unanswered for service in services):
        if time.monotonic() - began > WARM_SECONDS:
            raise SystemExit("the fleet does not get warm")
        await asyncio.sleep(0.05)


def _used(redis: RedisProcess | None) -> Mapping[str, int]:
    return redis.used() if redis else {"commands": 0, "bytes": 0, "memory": 0}


def _settings(urls: Mapping[Source, str], redis: RedisProcess | None, faster: int = FASTER) -> Settings:
    shipped = RefreshSettings()
    refresh = {
        name: getattr(shipped, name) / faster
        for name in ("popular_seconds", "tracked_seconds", "trending_seconds", "supply_seconds")
    }
    sources = {
        name: msgspec.structs.replace(getattr(Settings().sources, name), base_url=url, requests_per_minute=RPM)
        for name, url in urls.items()
    }
    return Settings(
        refresh=msgspec.structs.replace(shipped, **refresh),
        sources=msgspec.structs.replace(Settings().sources, **sources),
        fleet=FleetSettings(redis_url=redis.url if redis else None),
    )


def _many(settings: Settings, popular: Sequence[str]) -> Settings:
    count = len(popular)
    return msgspec.structs.replace(
        settings,
        popular=tuple(PopularToken(Mint(mint), f"T{number}") for number, mint in enumerate(popular)),
        tracking=TrackingSettings(max_tokens=count, trending_tokens=0),
        cache=CacheSettings(max_entries=2 * count),
        refresh=RefreshSettings(popular_seconds=3600, tracked_seconds=3600, max_concurrent=20),
        pricing=PricingSettings(sources=("jupiter",)),
    )

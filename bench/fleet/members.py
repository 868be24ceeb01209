"""Fleets of any size in one process: what they ask the upstreams and Redis for, and how fast values travel."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from bench.fleet.redis import RedisProcess
from sidecar.config.popular import PopularToken
from sidecar.config.settings import CacheSettings, FleetSettings, RefreshSettings, Settings, TrackingSettings
from sidecar.demo import Market, Source, serve
from sidecar.service.service import PreCacheService

FASTER: Final = 20
"""The intervals are a twentieth of the shipped ones, so that half a minute is like ten."""
FASTER_MANY: Final = 2
"""The same with thousands of popular tokens: one round of them."""
RPM: Final = 100_000
WARM_SECONDS: Final = 60.0


class Used(NamedTuple):
    """What a fleet did."""

    members: int
    calls_at_start: int
    calls_an_hour: float
    commands_a_second: float
    kib_a_second: float
    propagation: dict[float, int]
    """Values by the upper bound of the time they took, in seconds."""
    redis_mib: float


async def play(members: int, redis: RedisProcess | None, seconds: float, tokens: int = 0) -> Used:
    """Start so many members at the same moment and watch them for a while; without Redis each is alone."""
    faster = FASTER_MANY if tokens else FASTER
    market = Market(seed=1, tokens=max(300, tokens + 20))
    async with serve(market) as urls:
        settings = _settings(urls, redis, (tokens and list(market.tokens)[:tokens]) or ())
        services = [PreCacheService(settings) for _ in range(members)]
        await asyncio.gather(*(service.start() for service in services))
        began = time.monotonic()
        while any(service.health.unanswered for service in services):
            if time.monotonic() - began > WARM_SECONDS:
                raise SystemExit("the fleet does not get warm")
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.0)
        at_start, before, since = sum(market.calls.values()), _used(redis), time.monotonic()
        await asyncio.sleep(seconds)
        took = time.monotonic() - since
        calls, after = sum(market.calls.values()) - at_start, _used(redis)
        await asyncio.gather(*(service.stop() for service in services))
    return Used(
        members,
        at_start,
        calls / took * 3600 / faster,
        (after["commands"] - before["commands"]) / took,
        (after["bytes"] - before["bytes"]) / took / 1024,
        _propagation(services),
        after["memory"] / 2**20,
    )


def _used(redis: RedisProcess | None) -> Mapping[str, int]:
    return redis.used() if redis else {"commands": 0, "bytes": 0, "memory": 0}


def _settings(urls: Mapping[Source, str], redis: RedisProcess | None, popular: Sequence[str]) -> Settings:
    shipped = RefreshSettings()
    faster = {
        name: getattr(shipped, name) / FASTER
        for name in ("popular_seconds", "tracked_seconds", "trending_seconds", "supply_seconds")
    }
    sources = {
        name: msgspec.structs.replace(getattr(Settings().sources, name), base_url=url, requests_per_minute=RPM)
        for name, url in urls.items()
    }
    settings = Settings(
        refresh=msgspec.structs.replace(shipped, **faster),
        sources=msgspec.structs.replace(Settings().sources, **sources),
        fleet=FleetSettings(redis_url=redis.url if redis else None),
    )
    if not popular:
        return settings
    count = len(popular)
    return msgspec.structs.replace(
        settings,
        popular=tuple(PopularToken(mint, f"T{number}") for number, mint in enumerate(popular)),  # type: ignore[arg-type]
        tracking=TrackingSettings(max_tokens=count, trending_tokens=0),
        cache=CacheSettings(max_entries=2 * count),
        refresh=msgspec.structs.replace(shipped, popular_seconds=shipped.popular_seconds / FASTER_MANY),
    )


def _propagation(services: Sequence[PreCacheService]) -> dict[float, int]:
    """Return how many values took at most so many seconds, over all followers."""
    found: Counter[float] = Counter()
    for service in services:
        for family in service.registry.collect():
            for sample in family.samples:
                if sample.name == "mc_sidecar_fleet_propagation_seconds_bucket":
                    found[float(sample.labels["le"])] += int(sample.value)
    return dict(sorted(found.items()))

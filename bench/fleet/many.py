"""Two sidecars in one process that share ten thousand tokens: what a refresh of all costs Redis."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from bench.fleet.redis import RedisProcess
from bench.settings import UNLIMITED_RPM
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

ROUND_SECONDS: Final = 300.0
"""Between two refreshes of each token, as shipped."""
WARM_SECONDS: Final = 240.0


class Many(NamedTuple):
    """What one refresh of all tokens took, spread over `ROUND_SECONDS`."""

    tokens: int
    calls_at_start: int
    calls_an_hour: float
    commands_a_second: float
    kib_a_second: float
    redis_mib: float


async def many(redis: RedisProcess, tokens: int) -> Many:
    """Let two members share so many popular tokens once."""
    market = Market(seed=1, tokens=tokens + 20)
    async with serve(market) as urls:
        settings, before = _settings(urls, redis.url, list(market.tokens)[:tokens]), redis.used()
        services = [PreCacheService(settings) for _ in range(2)]
        await _warm(services)
        after = redis.used()
        await asyncio.gather(*(service.stop() for service in services))
    calls = sum(market.calls.values())
    return Many(
        tokens,
        calls,
        calls * 3600 / ROUND_SECONDS,
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


def _settings(urls: Mapping[Source, str], redis_url: str, popular: Sequence[str]) -> Settings:
    count, shipped = len(popular), Settings()
    sources = {
        name: msgspec.structs.replace(
            getattr(shipped.sources, name), base_url=url, requests_per_minute=UNLIMITED_RPM
        )
        for name, url in urls.items()
    }
    return Settings(
        popular=tuple(PopularToken(Mint(mint), f"T{number}") for number, mint in enumerate(popular)),
        tracking=TrackingSettings(max_tokens=count, trending_tokens=0),
        cache=CacheSettings(max_entries=2 * count),
        refresh=RefreshSettings(popular_seconds=3600, tracked_seconds=3600, max_concurrent=20),
        pricing=PricingSettings(sources=("jupiter",)),
        sources=msgspec.structs.replace(shipped.sources, **sources),
        fleet=FleetSettings(redis_url=redis_url),
    )

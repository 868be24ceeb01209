"""What every fault is held to: the popular tokens that have a price are served from memory meanwhile."""

from typing import Any, Final

import msgspec

from sidecar.config.settings import Settings, TrackingSettings
from sidecar.demo import Fault
from sidecar.demo.tokens import SOURCES
from sidecar.models import MarketCap
from sidecar.service.service import PreCacheService
from tests.running import Rig, WatchedMarket
from tests.service.tokens import PRICED

QUIET: Final = Settings(tracking=TrackingSettings(trending_tokens=0))
PATIENT_SECONDS: Final = 130.0
"""Two refreshes and the longest pause of a circuit: what recovery may take at most."""


def impatient(timeout_seconds: float) -> Settings:
    """Return settings with a client timeout that is over soon: it runs in real time."""
    sources = {
        name: msgspec.structs.replace(getattr(QUIET.sources, name), timeout_seconds=timeout_seconds)
        for name in SOURCES
    }
    return msgspec.structs.replace(QUIET, sources=msgspec.structs.replace(QUIET.sources, **sources))


def stand_still(market: WatchedMarket) -> None:
    """Fix the prices, so that every figure has one right value."""
    for mint in PRICED:
        market.set_price(mint, market.price(mint))


def break_all(rig: Rig, fault: Fault) -> None:
    """Let every source have this fault."""
    for source in SOURCES:
        rig.market.faults[source] = fault


def repair_all(rig: Rig) -> None:
    """Let every source answer rightly again."""
    rig.market.faults = dict.fromkeys(SOURCES)


async def served_from_memory(service: PreCacheService) -> list[MarketCap]:
    """Ask for every warm token; each must come without waiting for anybody."""
    caps = [await service.get(mint) for mint in PRICED]
    assert all(cap.cached for cap in caps)
    return caps


async def run_warm(rig: Rig, seconds: float, *, every: float = 20.0) -> None:
    """Let time pass, with the warm tokens asked for again and again."""
    for _ in range(round(seconds / every)):
        await rig.run_for(every)
        await served_from_memory(rig.service)


async def recovers(rig: Rig) -> None:
    """Everything is repaired, and without anybody's help everything is fresh and right again."""
    repair_all(rig)
    repaired = rig.clock.monotonic()
    await run_warm(rig, PATIENT_SECONDS, every=10.0)
    for mint, cap in zip(PRICED, await served_from_memory(rig.service), strict=True):
        assert rig.clock.monotonic() - cap.age_seconds > repaired, mint
        assert abs(cap.market_cap_usd / rig.market.market_cap(mint) - 1) < 1e-6, mint
    for source in ("jupiter", "dexscreener", "geckoterminal"):
        cold: Any = rig.service.engine.upstreams[source]
        assert cold.budget._blocked_until <= rig.clock.monotonic(), source
    assert_calm(rig.service)


def assert_calm(service: PreCacheService) -> None:
    """Nothing is left of what was under way."""
    batches, misses = service.engine.batches, service.engine.misses
    assert not misses._waiting
    assert misses._count == 0
    assert len(batches._tasks) <= len(batches._by_mint)

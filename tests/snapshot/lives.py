"""One engine after the other on the same snapshot, each with a clock of its own and no upstream."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from sidecar.cache.cache import Entry
from sidecar.config.popular import PopularToken
from sidecar.config.redaction import Redactor
from sidecar.config.settings import CacheSettings, Settings, SnapshotSettings, TrackingSettings
from sidecar.metrics.hot import Timestamp
from sidecar.metrics.metrics import Metrics
from sidecar.models import ChainSupply, MarketCap, Mint, ScaledUiAmount
from sidecar.pricing.token_state import Comparison, SourcedValue, TokenState
from sidecar.pricing.volatility import PriceMotion
from sidecar.runtime.clock import Instant
from sidecar.service.wiring import Engine
from sidecar.snapshot.manager import SnapshotManager
from tests.clock import UNIX_START, FakeClock
from tests.service.tokens import nobodys

A, B, C, D, E = nobodys(5)
NEXT_MONOTONIC: Final = 7.0
"""A machine that has just booted: all that is taken back happened before its zero."""


class Life:
    """What a process has in memory."""

    def __init__(self, engine: Engine, clock: FakeClock) -> None:
        self.engine = engine
        self.clock = clock
        self.success = Timestamp("mc_sidecar_test", "For one engine.")
        self.snapshots = SnapshotManager(engine.memory, engine.settings, self.success)

    def hold(self, mint: Mint, age_seconds: float = 0.0, **changes: Any) -> MarketCap:
        """Put a value into memory."""
        cap = market_cap(mint, self.clock.time() - age_seconds, **changes)
        self.engine.cache.put(Entry(cap, self.clock.monotonic() - age_seconds, ()))
        return cap

    def age(self, mint: Mint) -> float | None:
        entry = self.engine.cache.get(mint)
        return None if entry is None else round(self.clock.monotonic() - entry.received, 6)

    def wanted(self) -> dict[Mint, tuple[str, tuple[tuple[float, int], ...]]]:
        return {mint: (place, requests) for mint, place, requests in self.engine.tracker.wanted()}


def market_cap(mint: Mint, timestamp: float, **changes: Any) -> MarketCap:
    cap = MarketCap(
        mint=mint,
        symbol="ABC",
        price_usd=0.25,
        market_cap_usd=250_000.0,
        basis="circulating",
        fdv_usd=500_000.0,
        circulating_supply=1e6,
        total_supply=2e6,
        liquidity_usd=None,
        confidence="high",
        source="jupiter",
        supply_source="solana_rpc",
        circulating_source="jupiter",
        timestamp=timestamp,
    )
    return msgspec.structs.replace(cap, **changes)


def known_facts(at: Instant) -> TokenState:
    """Every fact there can be, all of one moment."""
    scaled = ScaledUiAmount(multiplier=Decimal(2), next_multiplier=Decimal(2), next_from_unix=0)
    total = Decimal("2000000.000000001")
    return TokenState(
        chain=ChainSupply(received=at, total=total, circulating=Decimal(5), scaled=scaled),
        chain_answered=at,
        source_total=SourcedValue(Decimal(2_000_000), "jupiter", at),
        circulating=SourcedValue(Decimal("1e6"), "jupiter", at),
        comparison=Comparison(at, 1, 0.012345678901234567),
        last_good=SourcedValue(Decimal("0.25"), "dexscreener", at),
        held_upwards=True,
        unpriced_since=at,
        motion=PriceMotion(
            source="dexscreener",
            log_price=-1.3862943611198906,
            received=at,
            variance=2.7777777777777777e-07,
            weight=0.9876543210987654,
            suspicion=12,
        ),
    )


def settings_for(
    path: Path, *, popular: tuple[Mint, ...] = (), max_entries: int = 200, max_tokens: int = 10
) -> Settings:
    return Settings(
        popular=tuple(PopularToken(mint, f"P{mint[:3]}") for mint in popular),
        snapshot=SnapshotSettings(path=str(path), interval_seconds=30),
        cache=CacheSettings(max_entries=max_entries),
        tracking=TrackingSettings(max_tokens=max_tokens, min_requests=3, window_seconds=3600),
    )


@asynccontextmanager
async def life(settings: Settings, *, monotonic: float = 1000.0, unix: float = UNIX_START) -> AsyncIterator[Life]:
    """Run an engine that nothing refreshes."""
    clock = FakeClock(monotonic, unix)
    metrics = Metrics(clock, version="0")
    engine = Engine(settings, clock=clock, metrics=metrics, redactor=Redactor())
    one = Life(engine, clock)
    try:
        yield one
    finally:
        await engine.close()


@asynccontextmanager
async def next_life(settings: Settings, *, after: float = 0.0) -> AsyncIterator[Life]:
    """Run the engine that comes `after` so many seconds, on what the snapshot holds."""
    async with life(settings, monotonic=NEXT_MONOTONIC, unix=UNIX_START + after) as one:
        await one.snapshots.restore()
        yield one

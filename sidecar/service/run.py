"""One run of the service, from a start to the stop after it: everything it is made of, put together."""

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sidecar.config.advice import has_fleet
from sidecar.config.redaction import Redactor
from sidecar.config.settings import Settings
from sidecar.metrics.fleet import FleetMetrics
from sidecar.metrics.hot import Timestamp
from sidecar.metrics.metrics import Metrics
from sidecar.models import MarketCap, Mint
from sidecar.runtime.aio import coalesce
from sidecar.runtime.clock import Clock
from sidecar.runtime.version import __version__
from sidecar.service import gauges
from sidecar.service.health import Health
from sidecar.service.lookups import Lookups
from sidecar.service.loops import build_loops
from sidecar.service.reload import PopularList
from sidecar.service.statistics import Statistics
from sidecar.service.wiring import Engine
from sidecar.snapshot.manager import SnapshotManager

if TYPE_CHECKING:
    from sidecar.fleet.fleet import Fleet


class Lasting(NamedTuple):
    """What outlives a run."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    redactor: Redactor
    health: Health
    statistics: Callable[[], Statistics]
    snapshot_success: Timestamp | None
    """None: no snapshots are written."""
    fleet_metrics: FleetMetrics | None
    """None: there is no fleet."""


def lasting(settings: Settings, clock: Clock, redactor: Redactor, statistics: Callable[[], Statistics]) -> Lasting:
    """Build it, on metrics with a registry of their own."""
    metrics = Metrics(clock, version=__version__, revision=os.environ.get("MC_SIDECAR_REVISION", "unknown"))
    snapshot = settings.snapshot
    return Lasting(
        settings=settings,
        clock=clock,
        metrics=metrics,
        redactor=redactor,
        health=Health(clock, metrics, settings.refresh.startup_deadline_seconds),
        statistics=statistics,
        snapshot_success=metrics.declare_snapshot(snapshot.interval_seconds) if snapshot.path else None,
        fleet_metrics=FleetMetrics(metrics.registry) if has_fleet(settings) else None,
    )


class Run:
    """Built inside a running event loop; `begin` starts the loops, `close` ends what was opened."""

    def __init__(self, lasting: Lasting) -> None:
        settings, health = lasting.settings, lasting.health
        engine = self.engine = Engine(
            settings, clock=lasting.clock, metrics=lasting.metrics, redactor=lasting.redactor
        )
        self.closed = False
        self._health = health
        self._tracked_changed = coalesce(self._follow_tracked)
        self.popular = PopularList(engine, self.popular_changed, lasting.redactor.redact)
        self.snapshots: SnapshotManager | None = None
        if lasting.snapshot_success is not None:
            adopt = self.popular.adopt if self.popular.is_missing else None
            self.snapshots = SnapshotManager(engine.memory, settings, lasting.snapshot_success, adopt)
        self.fleet: Fleet | None = None
        if lasting.fleet_metrics is not None:
            fleet = self.fleet = self._new_fleet(lasting.fleet_metrics, lasting.redactor)
            self.lookups = Lookups(engine, self._tracked_changed, fetch=fleet.ask, request=fleet.request)
            loops = build_loops(engine, self._tracked_changed, lasting.statistics, fleet.when_on_duty)
        else:
            self.lookups = Lookups(engine, self._tracked_changed)
            loops = build_loops(engine, self._tracked_changed, lasting.statistics)
        health.begin(loops)
        self.tasks: list[asyncio.Task[None]] = []
        engine.publisher.listen(self._published)
        gauges.watch(engine)

    async def begin(self) -> None:
        """Take over what a snapshot and the fleet know, then start the loops."""
        if self.snapshots is not None:
            await self.snapshots.start()
        self.popular.announce()
        self._health.unanswered = {mint for mint in self.engine.tracker.popular if not self._is_fresh(mint)}
        if self.fleet is not None:
            await self.fleet.join()
        works = {f"loop:{name}": loop.run() for name, loop in self._health.loops.items()}
        works["lag"] = self._health.watch()
        works["metrics"] = self.engine.metrics.keep()
        if self.engine.settings.popular_path is not None:
            works["reload"] = self.popular.run()
        if self.fleet is not None:
            works["fleet"] = self.fleet.wait_broken()
        self.tasks = [asyncio.create_task(work, name=name) for name, work in works.items()]

    async def stop_loops(self) -> None:
        """Stop refreshing; look-ups go on, misses included. Harmless when stopped."""
        tasks, self.tasks = self.tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.fleet is not None:
            await self.fleet.leave()

    async def close(self) -> None:
        """Stop the loops, end every fetch, close the connections, save for the last time. Memory is kept."""
        self.closed = True
        await self.stop_loops()
        await self.engine.close()
        if self.snapshots is not None:
            await self.snapshots.stop()

    def popular_changed(self) -> None:
        """Follow a new popular list; start-up goes on being judged by the one it began with."""
        self._health.unanswered.intersection_update(self.engine.tracker.popular)
        self._tracked_changed()
        self._health.loops["popular"].wake()

    def _follow_tracked(self) -> None:
        self.engine.tracked_changed()
        self._health.loops["tracked"].wake()

    def _published(self, mint: Mint, cap: MarketCap | None) -> None:
        self._health.unanswered.discard(mint)
        if cap is None and self.engine.tracker.drop(mint):
            self._tracked_changed()

    def _is_fresh(self, mint: Mint) -> bool:
        found = self.lookups.peek(mint)
        return found is not None and not found.stale

    def _new_fleet(self, metrics: FleetMetrics, redactor: Redactor) -> "Fleet":
        from sidecar.fleet.fleet import Fleet  # noqa: PLC0415 - a sidecar without a fleet does without the client

        return Fleet(
            self.engine,
            metrics=metrics,
            redact=redactor.redact,
            wake=lambda name: self._health.loops[name].wake(),
            tracked_changed=self._tracked_changed,
        )

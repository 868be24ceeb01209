"""The service: start, stop, look-ups, statistics. It has no listener, signal handler or logging set-up."""

import asyncio
import logging
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from prometheus_client import CollectorRegistry

from sidecar.config.redaction import Redactor
from sidecar.config.secret_values import secrets_of
from sidecar.config.settings import Settings
from sidecar.errors import NotRunningError
from sidecar.metrics.fleet import FleetMetrics
from sidecar.metrics.metrics import Metrics
from sidecar.models import BatchResult, MarketCap, Mint, parse_mint
from sidecar.runtime.aio import coalesce
from sidecar.runtime.clock import Clock, SystemClock
from sidecar.runtime.version import __version__
from sidecar.service import gauges
from sidecar.service.health import Health
from sidecar.service.lookups import Lookups
from sidecar.service.loops import build_loops
from sidecar.service.reload import PopularList
from sidecar.service.statistics import Statistics, statistics
from sidecar.service.wiring import Engine
from sidecar.snapshot.manager import SnapshotManager

if TYPE_CHECKING:
    from sidecar.fleet.fleet import Fleet

T = TypeVar("T")

log = logging.getLogger(__name__)


class PreCacheService:
    """Keeps market caps warm between `start` and `stop`; `registry` holds its metrics."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        clock: Clock | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.clock = clock or SystemClock()
        self.redactor = redactor or Redactor(secrets_of(self.settings))
        revision = os.environ.get("MC_SIDECAR_REVISION", "unknown")
        self.metrics = Metrics(self.clock, version=__version__, revision=revision)
        self.health = Health(self.clock, self.metrics, self.settings.refresh.startup_deadline_seconds)
        snapshot = self.settings.snapshot
        self._saved = self.metrics.declare_snapshot(snapshot.interval_seconds) if snapshot.path else None
        self._elsewhere = {True: 0, False: 0}  # look-ups that the application answered, by whether from a cache
        self._lifetime = asyncio.Lock()
        self._engine: Engine | None = None
        self._lookups: Lookups | None = None
        self._popular: PopularList | None = None
        self._snapshots: SnapshotManager | None = None
        self._fleet: Fleet | None = None
        self._fleet_metrics = FleetMetrics(self.registry) if self.settings.fleet.redis_url else None
        self._tasks: list[asyncio.Task[None]] = []
        self._tracked_changed = coalesce(self._follow_tracked)

    @property
    def registry(self) -> CollectorRegistry:
        """The registry that holds this service's metrics, and nothing else's."""
        return self.metrics.registry

    @property
    def running(self) -> bool:
        """Whether the loops run."""
        return bool(self._tasks)

    @property
    def engine(self) -> Engine:
        """The engine. Raises NotRunningError before the start."""
        return _begun(self._engine)

    @property
    def lookups(self) -> Lookups:
        """The look-ups. Raises NotRunningError before the start."""
        return _begun(self._lookups)

    @property
    def popular(self) -> PopularList:
        """The popular list in force. Raises NotRunningError before the start."""
        return _begun(self._popular)

    async def start(self) -> None:
        """Start the loops, on what a snapshot holds; harmless when they run."""
        async with self._lifetime:
            if not self.running:
                await self._start()

    async def _start(self) -> None:
        if self._engine is not None and not self._engine.closed:  # an earlier start was cancelled
            await self.stop_loops()
            await self._engine.close()
        engine = self._engine = Engine(
            self.settings, clock=self.clock, metrics=self.metrics, redactor=self.redactor
        )
        if self._fleet_metrics is not None:
            fleet = self._fleet = self._new_fleet(engine, self._fleet_metrics)
            self._lookups = Lookups(engine, self._tracked_changed, fetch=fleet.ask, request=fleet.request)
            loops = build_loops(engine, self._tracked_changed, self.get_stats, fleet.when_on_duty)
        else:
            self._lookups = Lookups(engine, self._tracked_changed)
            loops = build_loops(engine, self._tracked_changed, self.get_stats)
        self.health.begin(loops)
        engine.publisher.listen(self._published)
        gauges.watch(engine)
        popular = self._popular = PopularList(engine, self._popular_changed, self.redactor.redact)
        if self._saved is not None:
            adopt = popular.adopt if popular.is_missing else None
            self._snapshots = SnapshotManager(engine.memory, self.settings, self._saved, adopt)
            await self._snapshots.start()
        popular.announce()
        self.health.unanswered = {mint for mint in engine.tracker.popular if not _is_fresh(self._lookups, mint)}
        if self._fleet is not None:
            await self._fleet.join()
        runs = {f"loop:{name}": loop.run() for name, loop in self.health.loops.items()}
        runs["lag"] = self.health.watch()
        if self.settings.popular_path is not None:
            runs["reload"] = popular.run()
        if self._fleet is not None:
            runs["fleet"] = self._fleet.wait_broken()
        self._tasks = [asyncio.create_task(run, name=name) for name, run in runs.items()]
        log.info("started", extra={"popular_tokens": len(engine.tracker.popular)})

    async def stop_loops(self) -> None:
        """Stop refreshing; look-ups go on, misses included. Harmless when stopped."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._fleet is not None:
            await self._fleet.leave()

    async def stop(self) -> None:
        """Stop the loops, end every fetch, close the connections; harmless when stopped. Memory is kept."""
        async with self._lifetime:
            await self.stop_loops()
            if self._engine is None or self._engine.closed:
                return
            await self._engine.close()
            if self._snapshots is not None:
                await self._snapshots.stop()
            log.info("stopped")

    async def reload(self) -> bool:
        """Read the popular list's file again; returns False when it is bad and the list before stays in force.

        The built-in list is always good. Raises NotRunningError before the start.
        """
        return self.settings.popular_path is None or await self.popular.reload()

    async def wait_broken(self) -> None:
        """Return only when a loop has ended by itself, which it never should, raising what ended it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    def track_request(self, mint: str, *, cache_hit: bool = False) -> None:
        """Count a look-up that the application answered elsewhere. Raises InvalidMintError, NotRunningError."""
        self.lookups.count_request(parse_mint(mint))
        self._elsewhere[cache_hit] += 1

    async def get(self, mint: str) -> MarketCap:
        """Return a token's market cap, waiting for an upstream at most `api.deadline_seconds`.

        Raises InvalidMintError, NotPricedError, OverloadedError, UpstreamUnavailableError,
        DeadlineExceededError, NotRunningError.
        """
        return (self.lookups.find(mint) or await self.lookups.fetch(mint)).cap

    async def get_many(self, mints: Iterable[str]) -> BatchResult:
        """Look up several tokens, each once; a bad or unpriced one is an error of its own, never of all."""
        found, errors = await self.lookups.find_many(mints)
        return BatchResult({mint: one.cap for mint, one in found.items()}, errors)

    def get_stats(self) -> Statistics:
        """Return the statistics; `hit_rate` is in percent, over the life of the service."""
        built_in = self.settings.popular
        tracker = self._engine.tracker if self._engine else None
        return statistics(
            *((tracker.mints, tracker.popular) if tracker else (built_in, built_in)),
            lookups=self.metrics.hot.lookups,
            elsewhere=self._elsewhere,
            running=self.running,
        )

    def fleet_status(self) -> dict[str, Any] | None:
        """Return what there is to say of the fleet, None without one."""
        return None if self._fleet is None else self._fleet.status()

    def _new_fleet(self, engine: Engine, metrics: FleetMetrics) -> "Fleet":
        from sidecar.fleet.fleet import Fleet  # noqa: PLC0415 - a sidecar without a fleet does without the client

        return Fleet(
            engine,
            metrics=metrics,
            redact=self.redactor.redact,
            wake=lambda name: self.health.loops[name].wake(),
            tracked_changed=self._tracked_changed,
        )

    def _follow_tracked(self) -> None:
        self.engine.tracked_changed()
        self.health.loops["tracked"].wake()

    def _published(self, mint: Mint, cap: MarketCap | None) -> None:
        self.health.unanswered.discard(mint)
        if cap is None and self.engine.tracker.drop(mint):
            self._tracked_changed()

    def _popular_changed(self) -> None:
        """Follow a new popular list; start-up goes on being judged by the one it began with."""
        self.health.unanswered.intersection_update(self.engine.tracker.popular)
        self._tracked_changed()
        self.health.loops["popular"].wake()


def _is_fresh(lookups: Lookups, mint: Mint) -> bool:
    found = lookups.peek(mint)
    return found is not None and not found.stale


def _begun(part: T | None) -> T:
    if part is None:
        raise NotRunningError("the service has not been started")
    return part

"""The service: start, stop, look-ups, statistics. It has no listener, signal handler or logging set-up."""

import asyncio
import logging
import os
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, TypedDict

from prometheus_client import CollectorRegistry

from sidecar.config.redaction import Redactor
from sidecar.config.settings import Settings, secrets_of
from sidecar.errors import McSidecarError, NotRunningError
from sidecar.metrics.metrics import Metrics
from sidecar.models import MarketCap, Mint, parse_mint
from sidecar.refresh.loops import Loop, step_limit_seconds
from sidecar.refresh.schedule import RETRY_SECONDS
from sidecar.refresh.steps import Steps
from sidecar.runtime.aio import coalesce
from sidecar.runtime.clock import Clock, SystemClock, now
from sidecar.runtime.version import __version__
from sidecar.service import gauges
from sidecar.service.lookups import Lookups
from sidecar.service.reload import PopularFile
from sidecar.service.wiring import Engine
from sidecar.snapshot.manager import SnapshotManager

LAG_SAMPLE_SECONDS: Final = 0.5
GAP_SECONDS: Final = 2.0
"""An event loop that stood still for longer was not stuck: the process was."""
log = logging.getLogger(__name__)


class Statistics(TypedDict):
    """What `get_stats` returns."""

    tracked_tokens: int
    popular_tokens: int
    total_requests: int
    total_cache_hits: int
    hit_rate: float
    running: bool


class BatchResult(NamedTuple):
    """What came of several look-ups, by mint as it was asked for."""

    tokens: dict[str, MarketCap]
    errors: dict[str, McSidecarError]


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
        self.running = False
        self._closed = True
        self._lifetime = asyncio.Lock()
        self.loops: dict[str, Loop] = {}
        self._external_requests = 0
        self._external_hits = 0
        self._engine: Engine | None = None
        self._lookups: Lookups | None = None
        self._popular_file: PopularFile | None = None
        self._snapshots: SnapshotManager | None = None
        snapshot = self.settings.snapshot
        self._snapshot_success = (
            self.metrics.declare_snapshot(snapshot.interval_seconds) if snapshot.path else None
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._unanswered: set[Mint] = set()
        self._tracked_changed = coalesce(self._follow_tracked)
        self._started_at = self.clock.monotonic()
        self.started_unix: float | None = None
        self.event_loop_lag_seconds = 0.0
        self._sample_due = self._started_at

    # Lifetime

    @property
    def registry(self) -> CollectorRegistry:
        """The registry that holds this service's metrics, and nothing else's."""
        return self.metrics.registry

    @property
    def engine(self) -> Engine:
        """The engine. Raises NotRunningError before the start."""
        if self._engine is None:
            raise NotRunningError("the service has not been started")
        return self._engine

    @property
    def lookups(self) -> Lookups:
        """The look-ups. Raises NotRunningError before the start."""
        if self._lookups is None:
            raise NotRunningError("the service has not been started")
        return self._lookups

    async def start(self) -> None:
        """Start the loops, on what a snapshot holds; harmless when they run."""
        async with self._lifetime:
            if not self.running:
                await self._start()

    async def _start(self) -> None:
        if not self._closed:  # an earlier start was cancelled
            await self.engine.close()
        self._closed = False
        self._started_at, self.started_unix = now(self.clock)
        engine = self._engine = Engine(
            self.settings, clock=self.clock, metrics=self.metrics, redactor=self.redactor
        )
        self._lookups = Lookups(engine, self._tracked_changed)
        engine.publisher.listen(self._published)
        gauges.watch(engine)
        self.metrics.reload_successful.set(1)
        self.metrics.reload_timestamp.set(self.clock.time())
        self.loops = self._build_loops(engine)
        if self._snapshot_success is not None:
            self._snapshots = SnapshotManager(engine, self._snapshot_success)
            await self._snapshots.start()
        self._unanswered = {mint for mint in engine.tracker.popular if not self._is_fresh(mint)}
        self.running = True
        runs = {f"loop:{name}": loop.run() for name, loop in self.loops.items()}
        runs["lag"] = self._watch_lag()
        if self.settings.popular_path is not None:
            self._popular_file = PopularFile(self.settings.popular_path, engine, self._popular_changed)
            runs["reload"] = self._popular_file.run()
        self._tasks = [asyncio.create_task(run, name=name) for name, run in runs.items()]
        log.info("started", extra={"popular_tokens": len(engine.tracker.popular)})

    async def stop_loops(self) -> None:
        """Stop refreshing; look-ups go on, misses included. Harmless when stopped."""
        self.running = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def stop(self) -> None:
        """Stop the loops, end every fetch, close the connections; harmless when stopped. Memory is kept."""
        async with self._lifetime:
            await self.stop_loops()
            if self._closed:
                return
            self._closed = True
            await self.engine.close()
            if self._snapshots is not None:
                await self._snapshots.stop()
            log.info("stopped")

    async def reload(self) -> bool:
        """Read the popular list's file again; returns False when it is bad and the list before stays in force.

        The built-in list is always good. Raises NotRunningError before the start.
        """
        if self.settings.popular_path is None:
            return True
        if self._popular_file is None:
            raise NotRunningError("the service has not been started")
        return await self._popular_file.reload()

    async def wait_broken(self) -> None:
        """Return only when a loop has ended by itself, which it never should, raising what ended it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    def stuck_loops(self) -> dict[str, float]:
        """Return by how many seconds which loops are overdue; none once they, and their watcher, were stopped."""
        self._forgive_a_gap()  # a probe may come before the event loop wakes the watcher
        overdue = {name: round(loop.overdue_seconds(), 3) for name, loop in self.loops.items()}
        return {name: seconds for name, seconds in overdue.items() if seconds > 0}

    def is_warm(self) -> bool:
        """Tell whether each popular mint has been answered once, or the start-up deadline has passed."""
        waited = self.clock.monotonic() - self._started_at
        return not self._unanswered or waited >= self.settings.refresh.startup_deadline_seconds

    @property
    def unanswered(self) -> int:
        """How many popular mints have not been answered yet."""
        return len(self._unanswered)

    # Look-ups

    def track_request(self, mint: str, *, cache_hit: bool = False) -> None:
        """Count a look-up that the application answered elsewhere. Raises InvalidMintError, NotRunningError."""
        self.lookups.count_request(parse_mint(mint))
        self._external_requests += 1
        self._external_hits += cache_hit

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

    # Statistics

    def get_stats(self) -> Statistics:
        """Return the statistics; `hit_rate` is in percent, over the life of the service."""
        lookups = self.metrics.hot.lookups
        hits = lookups["hit"] + lookups["stale"] + self._external_hits
        misses = lookups["miss"] + lookups["not_priced"] + self._external_requests - self._external_hits
        failed = lookups["rejected"] + lookups["error"]
        tracker = self._engine.tracker if self._engine else None
        return Statistics(
            tracked_tokens=len(tracker.mints) if tracker else len(self.settings.popular),
            popular_tokens=len(tracker.popular if tracker else self.settings.popular),
            total_requests=hits + misses + failed,
            total_cache_hits=hits,
            hit_rate=round(100 * hits / (hits + misses), 1) if hits + misses else 0.0,
            running=self.running,
        )

    # Wiring

    def _build_loops(self, engine: Engine) -> dict[str, Loop]:
        refresh = self.settings.refresh
        steps = Steps(
            tracker=engine.tracker,
            schedule=engine.schedule,
            refresher=engine.refresher,
            trending=engine.trending,
            tracked_changed=self._tracked_changed,
            statistics=self.get_stats,
        )
        limit = step_limit_seconds(self.settings)
        tools: Any = {"clock": self.clock, "metrics": self.metrics, "step_limit": limit}
        loops = (
            Loop("popular", steps.popular, lambda: refresh.popular_seconds, **tools),
            Loop("trending", steps.trending, lambda: refresh.trending_seconds, **tools),
            Loop("tracked", steps.tracked, self._until_next_due, **tools),
            Loop("stats", steps.stats, lambda: refresh.stats_seconds, **tools),
        )
        return {loop.name: loop for loop in loops}

    def _until_next_due(self) -> float:
        """Look at the schedule again before long: a refresh elsewhere may have made a mint due sooner."""
        interval = min(self.settings.refresh.tracked_seconds, RETRY_SECONDS)
        return min(interval, max(self.engine.schedule.next_due_in(), min(1.0, interval)))

    def _follow_tracked(self) -> None:
        self.engine.tracked_changed()
        self.loops["tracked"].wake()

    def _is_fresh(self, mint: Mint) -> bool:
        found = self.lookups.peek(mint)
        return found is not None and not found.stale

    def _popular_changed(self) -> None:
        """Follow a new popular list; start-up goes on being judged by the one it began with."""
        self._unanswered.intersection_update(self.engine.tracker.popular)
        self._tracked_changed()
        self.loops["popular"].wake()

    def _published(self, mint: Mint, cap: MarketCap | None) -> None:
        self._unanswered.discard(mint)
        if cap is None and self.engine.tracker.drop(mint):
            self._tracked_changed()
        if (symbol := self.engine.symbols.get(mint)) is None:
            return
        if cap is None:
            self.metrics.forget_token(mint, symbol)
        else:
            self.metrics.token_market_cap.labels(mint, symbol).set(cap.market_cap_usd)
            self.metrics.token_updated.labels(mint, symbol).set(cap.timestamp)

    async def _watch_lag(self) -> None:
        """Measure how late the event loop wakes sleepers; forgive the loops when everything stood still."""
        while True:
            self._sample_due = self.clock.monotonic() + LAG_SAMPLE_SECONDS
            await self.clock.sleep(LAG_SAMPLE_SECONDS)
            self.event_loop_lag_seconds = max(0.0, self.clock.monotonic() - self._sample_due)
            self.metrics.event_loop_lag.set(self.event_loop_lag_seconds)
            self.metrics.hit_ratio.sample()
            self.metrics.recent_uncertainty.sample()
            self._forgive_a_gap()

    def _forgive_a_gap(self) -> None:
        if self.clock.monotonic() - self._sample_due > GAP_SECONDS:
            for loop in self.loops.values():
                loop.forgive()

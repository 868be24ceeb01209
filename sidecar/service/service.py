"""The service: start, stop, look-ups, statistics. It has no listener, signal handler or logging set-up."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry

from sidecar.config.redaction import Redactor
from sidecar.config.secret_values import secrets_of
from sidecar.config.settings import Settings
from sidecar.errors import NotRunningError
from sidecar.models import BatchResult, MarketCap, parse_mint
from sidecar.runtime.clock import Clock, SystemClock
from sidecar.service.lookups import Lookups
from sidecar.service.reload import PopularList
from sidecar.service.run import Run, lasting
from sidecar.service.statistics import Statistics, statistics
from sidecar.service.wiring import Engine

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
        self._lasting = lasting(self.settings, self.clock, self.redactor, self.get_stats)
        self.metrics, self.health = self._lasting.metrics, self._lasting.health
        self._elsewhere = {True: 0, False: 0}  # look-ups that the application answered, by whether from a cache
        self._lifetime = asyncio.Lock()
        self._run: Run | None = None

    @property
    def registry(self) -> CollectorRegistry:
        """The registry that holds this service's metrics, and nothing else's."""
        return self.metrics.registry

    @property
    def running(self) -> bool:
        """Whether the loops run."""
        return self._run is not None and bool(self._run.tasks)

    @property
    def engine(self) -> Engine:
        """The engine. Raises NotRunningError before the start."""
        return self._begun().engine

    @property
    def lookups(self) -> Lookups:
        """The look-ups. Raises NotRunningError before the start."""
        return self._begun().lookups

    @property
    def popular(self) -> PopularList:
        """The popular list in force. Raises NotRunningError before the start."""
        return self._begun().popular

    async def start(self) -> None:
        """Start the loops, on what a snapshot holds; harmless when they run."""
        async with self._lifetime:
            if self.running:
                return
            if self._run is not None and not self._run.closed:  # an earlier start was cancelled
                await self._run.close()
            self._run = Run(self._lasting)
            await self._run.begin()
            log.info("started", extra={"popular_tokens": len(self.engine.tracker.popular)})

    async def stop_loops(self) -> None:
        """Stop refreshing; look-ups go on, misses included. Harmless when stopped."""
        if self._run is not None:
            await self._run.stop_loops()

    async def stop(self) -> None:
        """Stop the loops, end every fetch, close the connections; harmless when stopped. Memory is kept."""
        async with self._lifetime:
            if self._run is not None and not self._run.closed:
                await self._run.close()
                log.info("stopped")

    async def reload(self) -> bool:
        """Read the popular list's file again; returns False when it is bad and the list before stays in force.

        The built-in list is always good. Raises NotRunningError before the start.
        """
        return self.settings.popular_path is None or await self.popular.reload()

    async def wait_broken(self) -> None:
        """Return only when a loop has ended by itself, which it never should, raising what ended it."""
        done, _ = await asyncio.wait(self._begun().tasks, return_when=asyncio.FIRST_COMPLETED)
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
        popular = self.settings.popular
        tracker = self._run.engine.tracker if self._run else None
        return statistics(
            *((tracker.mints, tracker.popular) if tracker else (popular, popular)),
            lookups=self.metrics.hot.lookups,
            elsewhere=self._elsewhere,
            running=self.running,
        )

    def fleet_status(self) -> dict[str, Any] | None:
        """Return what there is to say of the fleet, None without one."""
        fleet = self._run.fleet if self._run else None
        return None if fleet is None else fleet.status()

    def _begun(self) -> Run:
        if self._run is None:
            raise NotRunningError("the service has not been started")
        return self._run

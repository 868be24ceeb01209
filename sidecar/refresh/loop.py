"""A background loop: it repeats a step and survives its failures; what the steps do is in `steps` and `early`."""

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from sidecar.config.settings import Settings
from sidecar.metrics.labels import LoopName
from sidecar.metrics.metrics import Metrics
from sidecar.refresh.schedule import JITTER
from sidecar.runtime.aio import race
from sidecar.runtime.clock import Clock

STEP_LIMIT_SECONDS: Final = 120.0
"""A step that takes longer hangs: all it waits for has a limit of its own. See `step_limit_seconds`."""
GRACE_SECONDS: Final = 30.0
"""How late a loop may wake before it counts as stuck."""
SHORTEST_PAUSE_SECONDS: Final = 0.05

log = logging.getLogger(__name__)


def step_limit_seconds(settings: Settings) -> float:
    """Return how long a step may take: every hundred tokens may find every source slow, one after the other."""
    slow = sum(source.timeout_seconds for source in msgspec.structs.astuple(settings.sources))
    return float(STEP_LIMIT_SECONDS + slow * math.ceil(settings.tracking.max_tokens / 100))


class Loop:
    """Repeats `step` every `interval` seconds, counted from one start to the next; `wake` starts it sooner.

    `step` returns whether it succeeded, None when there was nothing to do, which is not measured. It may raise,
    which is logged and ends only that step.
    """

    def __init__(
        self,
        name: LoopName,
        step: Callable[[], Awaitable[bool]] | Callable[[], Awaitable[bool | None]],
        interval: Callable[[], float],
        *,
        clock: Clock,
        metrics: Metrics,
        step_limit: float = STEP_LIMIT_SECONDS,
    ) -> None:
        self.name = name
        self._step = step
        self._interval = interval
        self._clock = clock
        self._metrics = metrics
        self._step_limit = step_limit
        self._wake = asyncio.Event()
        self._expected_by = clock.monotonic() + GRACE_SECONDS
        self._failing = False
        self.last_run_unix: float | None = None
        self.last_success_unix: float | None = None
        self.last_seconds: float | None = None
        self.last_failed = False
        """Whether the last step did not succeed; one that had nothing to do did."""

    def wake(self) -> None:
        """Run the next step now rather than at its time."""
        self._wake.set()

    def overdue_seconds(self) -> float:
        """How long ago the loop should have shown a sign of life; not positive while it is well."""
        return self._clock.monotonic() - self._expected_by

    def forgive(self) -> None:
        """Give one fresh interval after the whole process stood still."""
        fresh = self._clock.monotonic() + self._interval() + GRACE_SECONDS
        self._expected_by = max(self._expected_by, fresh)

    async def run(self) -> None:
        """Repeat until cancelled."""
        while True:
            started = self._clock.monotonic()
            self._expected_by = started + self._step_limit
            await self.run_once()
            rest = self._interval() * random.uniform(1 - JITTER, 1) - (self._clock.monotonic() - started)
            pause = max(SHORTEST_PAUSE_SECONDS, rest)
            self._expected_by = self._clock.monotonic() + pause + GRACE_SECONDS
            await self._rest(pause)

    async def run_once(self) -> None:
        """Do one step, measured; an exception is logged with its traceback the first time in a row."""
        started, self.last_run_unix = self._clock.monotonic(), self._clock.time()
        succeeded: bool | None = False
        try:
            succeeded = await self._step()
        except Exception:
            if not self._failing:
                log.exception("a step failed: %s", self.name, extra={"loop": self.name})
            self._failing = True
        else:
            self._failing = False
        finally:
            self.last_seconds = self._clock.monotonic() - started
            self.last_failed = succeeded is False
            if succeeded is not None:
                self._metrics.refresh_duration.labels(self.name).observe(self.last_seconds)
        if succeeded:
            self.last_success_unix = self._clock.time()
            self._metrics.refresh_last_success.labels(self.name).set(self.last_success_unix)

    async def _rest(self, seconds: float) -> None:
        try:
            await race(self._clock.sleep(seconds), self._wake.wait())
        finally:
            self._wake.clear()

"""Whether the service is warm and its loops beat: what the probes ask."""

from collections.abc import Mapping
from typing import Final

from sidecar.metrics.metrics import Metrics
from sidecar.models import Mint
from sidecar.refresh.loop import Loop
from sidecar.runtime.clock import Clock, now

LAG_SAMPLE_SECONDS: Final = 0.5
GAP_SECONDS: Final = 2.0
"""An event loop that stood still for longer was not stuck: the process was."""


class Health:
    """The health of one service, which begins anew at each of its starts.

    `unanswered` are the popular mints of the start that have not been answered yet; `loops` are by name.
    """

    def __init__(self, clock: Clock, metrics: Metrics, startup_deadline_seconds: float) -> None:
        self._clock = clock
        self._metrics = metrics
        self._startup_deadline_seconds = startup_deadline_seconds
        self._started_at = self._sample_due = clock.monotonic()
        self.loops: Mapping[str, Loop] = {}
        self.unanswered: set[Mint] = set()
        self.started_unix: float | None = None
        self.event_loop_lag_seconds = 0.0

    def begin(self, loops: Mapping[str, Loop]) -> None:
        """Begin anew, with these loops."""
        self._started_at, self.started_unix = now(self._clock)
        self.loops = loops
        self.unanswered = set()

    def is_warm(self) -> bool:
        """Return whether each popular mint has been answered once, or the start-up deadline has passed."""
        return not self.unanswered or self._clock.monotonic() - self._started_at >= self._startup_deadline_seconds

    def stuck_loops(self) -> dict[str, float]:
        """Return by how many seconds which loops are overdue; none once they, and their watcher, were stopped."""
        self._forgive_a_gap()  # a probe may come before the event loop wakes the watcher
        overdue = {name: round(loop.overdue_seconds(), 3) for name, loop in self.loops.items()}
        return {name: seconds for name, seconds in overdue.items() if seconds > 0}

    async def watch(self) -> None:
        """Measure how late the event loop wakes sleepers; forgive the loops when everything stood still."""
        while True:
            self._sample_due = self._clock.monotonic() + LAG_SAMPLE_SECONDS
            await self._clock.sleep(LAG_SAMPLE_SECONDS)
            self.event_loop_lag_seconds = max(0.0, self._clock.monotonic() - self._sample_due)
            self._metrics.event_loop_lag.set(self.event_loop_lag_seconds)
            self._forgive_a_gap()

    def _forgive_a_gap(self) -> None:
        if self._clock.monotonic() - self._sample_due > GAP_SECONDS:
            for loop in self.loops.values():
                loop.forgive()

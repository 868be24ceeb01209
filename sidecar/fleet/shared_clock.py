"""Redis's clock, as this process reckons it: the one that all members of a fleet have in common."""

from collections import deque
from typing import Final

from sidecar.runtime.clock import Clock, Instant

KEPT: Final = 6
"""Beats that the reckoning is made from: a clock that is set, or another Redis, counts after a few seconds."""


class SharedClock:
    """Redis's time between two beats: the monotonic clock plus the offset of the quickest of the last ones."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offsets: deque[tuple[float, float]] = deque(maxlen=KEPT)

    def note(self, asked: float, redis_seconds: float) -> None:
        """Take Redis's time, which was asked for at a monotonic time and has come now."""
        answered = self._clock.monotonic()
        self._offsets.append((answered - asked, redis_seconds - (asked + answered) / 2))

    def forget(self) -> None:
        """Begin anew: the next answer may come from another Redis."""
        self._offsets.clear()

    def now(self) -> Instant:
        """Return this moment: monotonic as this process has it, Unix as Redis has it."""
        monotonic = self._clock.monotonic()
        offset = min(self._offsets)[1] if self._offsets else self._clock.time() - monotonic
        return Instant(monotonic, monotonic + offset)

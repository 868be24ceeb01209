"""Time as a dependency, so that tests advance it and assert exact numbers."""

import asyncio
import time
from typing import NamedTuple, Protocol


class Instant(NamedTuple):
    """One moment on both clocks: ages are counted on the monotonic one, shown on the Unix one."""

    monotonic: float
    unix: float


class Clock(Protocol):
    """What the service knows of time, in seconds."""

    def monotonic(self) -> float:
        """Seconds that never go back; the zero means nothing."""

    def time(self) -> float:
        """Seconds since the Unix epoch; may jump when the clock is set."""

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds; at the next turn of the loop when not positive."""


class SystemClock:
    """The machine's clocks and the event loop's sleep."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(max(0.0, seconds))


def now(clock: Clock) -> Instant:
    """Both clocks at this moment."""
    return Instant(clock.monotonic(), clock.time())

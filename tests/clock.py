"""A clock that stands still until a test moves it."""

import asyncio
import heapq
import itertools
from typing import Final

UNIX_START = 1_795_000_000.0
CALM_TURNS: Final = 20


class FakeClock:
    """Both clocks move only by `advance`, which wakes the sleepers whose time has come, in order."""

    def __init__(self, monotonic: float = 1000.0, unix: float = UNIX_START) -> None:
        self._monotonic = monotonic
        self._unix = unix
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        return self._monotonic

    def time(self) -> float:
        return self._unix

    def set_unix(self, unix: float) -> None:
        """Jump the wall clock alone, as an operator or NTP would."""
        self._unix = unix

    @property
    def next_wake(self) -> float | None:
        """The monotonic time at which the next sleeper wakes."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._order), future))
        await future

    def advance(self, seconds: float) -> None:
        """Move both clocks and wake what is due; what it does then runs at the next await of the test."""
        self._monotonic += seconds
        self._unix += seconds
        while (wake := self.next_wake) is not None and wake <= self._monotonic:
            future = heapq.heappop(self._sleepers)[2]
            future.set_result(None)


async def calm() -> None:
    """Let everything run that can."""
    for _ in range(CALM_TURNS):
        await asyncio.sleep(0)

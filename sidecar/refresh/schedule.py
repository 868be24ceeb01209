"""When each tracked mint is to be refreshed next."""

import math
import random
from collections.abc import Callable, Collection, Iterable
from heapq import nsmallest
from typing import Final

from sidecar.models import Mint
from sidecar.runtime.clock import Clock

JITTER: Final = 0.05
"""Jitter only shortens an interval, so that no token gets older than promised."""
AHEAD: Final = 0.5
"""Who is due within this share of the interval is refreshed along, so that due times gather in few calls."""
RETRY_SECONDS: Final = 30.0
COLD_RETRY_SECONDS: Final = 5.0
"""For a mint without a value; an open circuit costs the upstream nothing."""
DOUBT_SECONDS: Final = 60.0


class Schedule:
    """The due times of the tracked mints, and of nobody else."""

    def __init__(self, interval_seconds: float, clock: Clock) -> None:
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._due: dict[Mint, float] = {}
        self._certain_until: dict[Mint, float] = {}

    def keep(self, tracked: Collection[Mint], received: Callable[[Mint], float | None]) -> None:
        """Follow the tracked set: a newcomer is due an interval after `received`, now without a value."""
        old = self._due
        self._due = {mint: old[mint] if mint in old else self._first_due(received(mint)) for mint in tracked}
        self._certain_until = {mint: until for mint, until in self._certain_until.items() if mint in self._due}

    def _first_due(self, received: float | None) -> float:
        if received is None:
            return self._clock.monotonic()
        return received + self._interval_seconds * (1 - JITTER)

    def refreshed(self, mint: Mint, *, certain_for: float = math.inf) -> None:
        """Set the next time after an answer, priced or not; `certain_for`: when an early one is called for."""
        self._set(mint, self._interval_seconds * random.uniform(1 - JITTER, 1))
        self._set_certain(mint, certain_for)

    def failed(self, mint: Mint, *, has_value: bool) -> None:
        """Try again sooner than after an answer, and sooner still while there is nothing to serve."""
        self._set(mint, min(RETRY_SECONDS if has_value else COLD_RETRY_SECONDS, self._interval_seconds))

    def held(self, mint: Mint) -> None:
        """Look again in less than a minute at a price whose jump is being held."""
        self._set(mint, min(DOUBT_SECONDS, self._interval_seconds) * (1 - JITTER))

    def doubted(self, mint: Mint) -> None:
        """Look again in a minute at a token that no source prices any more (design 4.10)."""
        self._set(mint, min(DOUBT_SECONDS, self._interval_seconds))

    def _set(self, mint: Mint, seconds: float) -> None:
        if mint in self._due:
            self._due[mint] = self._clock.monotonic() + seconds

    def tried_early(self, mints: Iterable[Mint]) -> None:
        """Put off the next early refresh of these, for if this one fails."""
        for mint in mints:
            self._set_certain(mint, RETRY_SECONDS)

    def _set_certain(self, mint: Mint, seconds: float) -> None:
        if mint in self._due:
            self._certain_until[mint] = self._clock.monotonic() + seconds

    def next_uncertain_in(self) -> float:
        """Return in how many seconds the next mint is among the `uncertain`; 0 while one is, inf without any."""
        return max(0.0, min(self._certain_until.values(), default=math.inf) - self._clock.monotonic())

    def uncertain(self) -> set[Mint]:
        """Return the mints that an early refresh would do good, whether they are asked for or not."""
        now = self._clock.monotonic()
        return {mint for mint, until in self._certain_until.items() if until <= now}

    def due(self) -> set[Mint]:
        """Return the mints due now, and those due soon; nothing while nobody is due now."""
        now = self._clock.monotonic()
        if min(self._due.values(), default=now + 1) > now + self._interval_seconds * JITTER:
            return set()
        soon = now + self._interval_seconds * AHEAD
        return {mint for mint, due in self._due.items() if due <= soon}

    def next_due_in(self) -> float:
        """Seconds until the next mint is due, the whole interval without any."""
        now = self._clock.monotonic()
        return max(0.0, min(self._due.values(), default=now + self._interval_seconds) - now)

    def soonest(self, count: int, excluded: Iterable[Mint]) -> list[Mint]:
        """Return the mints due next, to ride in a batch that has room."""
        others = self._due.keys() - set(excluded)
        return nsmallest(count, others, key=lambda mint: (self._due[mint], mint))

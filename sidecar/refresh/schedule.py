"""When each tracked mint is to be refreshed next."""

import math
import random
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from operator import itemgetter
from typing import Final

from sidecar.models import Mint
from sidecar.runtime.clock import Clock

JITTER: Final = 0.05
"""Jitter only shortens an interval, so that no token gets older than promised."""
AHEAD: Final = 0.5
"""What is due within this share of the interval is refreshed along, so that due times gather in few calls."""
BATCH_MINTS: Final = 100
"""As many as one call of the preferred source may ask for."""
RETRY_SECONDS: Final = 30.0
COLD_RETRY_SECONDS: Final = 5.0
"""For a mint without a value, doubled with each failure; an open circuit costs the upstream nothing."""
DOUBT_SECONDS: Final = 60.0


FEW: Final = 200
"""Changes of the tracked set that are made one by one; more of them are sorted anew."""


class _Times:
    """A time for each mint, in order of time."""

    def __init__(self) -> None:
        self._times: dict[Mint, float] = {}
        self._order: list[tuple[float, Mint]] = []

    def __contains__(self, mint: object) -> bool:
        return mint in self._times

    def __len__(self) -> int:
        return len(self._order)

    def get(self, mint: Mint) -> float:
        """Return a mint's time, infinite without one."""
        return self._times.get(mint, math.inf)

    def __iter__(self) -> Iterator[tuple[float, Mint]]:
        return iter(self._order)

    def set(self, mint: Mint, at: float) -> None:
        self.remove(mint)
        self._times[mint] = at
        insort(self._order, (at, mint))

    def remove(self, mint: Mint) -> None:
        if (at := self._times.pop(mint, None)) is not None:
            del self._order[bisect_left(self._order, (at, mint))]

    def follow(self, mints: frozenset[Mint], first: Callable[[Mint], float]) -> frozenset[Mint]:
        """Keep these mints and no others, and return those that left; a new one gets its first time."""
        left, new = frozenset(self._times.keys() - mints), mints - self._times.keys()
        if len(left) + len(new) < FEW:
            for mint in left:
                self.remove(mint)
            for mint in new:
                self.set(mint, first(mint))
            return left
        kept = {mint: at for mint, at in self._times.items() if mint in mints}
        self._times = kept | {mint: first(mint) for mint in new}
        self._order = sorted((at, mint) for mint, at in self._times.items())
        return left

    def next(self) -> float:
        """Return the earliest time, infinite without any."""
        return self._order[0][0] if self._order else math.inf

    def until(self, at: float) -> list[Mint]:
        """Return the mints with a time that is not after this one, the earliest first."""
        return [mint for _, mint in self._order[: bisect_right(self._order, at, key=itemgetter(0))]]


class Schedule:
    """The due times of the tracked mints."""

    def __init__(self, interval_seconds: float, clock: Clock) -> None:
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._due = _Times()
        self._failures: dict[Mint, int] = {}
        """How often in a row a mint's refresh has failed."""
        self._certain_until: dict[Mint, float] = {}

    def keep(self, tracked: Collection[Mint], received: Callable[[Mint], float | None]) -> None:
        """Follow the tracked set: a newcomer is due an interval after `received`, now without a value."""
        now = self._clock.monotonic()
        ahead = self._interval_seconds * (1 - JITTER)
        left = self._due.follow(
            frozenset(tracked), lambda mint: now if (at := received(mint)) is None else at + ahead
        )
        for mint in left:
            self._failures.pop(mint, None)
            self._certain_until.pop(mint, None)

    def refreshed(self, mint: Mint, *, certain_for: float = math.inf) -> None:
        """Set the next time after an answer, priced or not; `certain_for`: when an early one is called for."""
        self._set(mint, self._interval_seconds * random.uniform(1 - JITTER, 1))
        self._set_certain(mint, certain_for)

    def failed(self, mint: Mint, *, has_value: bool) -> None:
        """Try again sooner than after an answer, and sooner still while there is nothing to serve."""
        failures = self._failures.get(mint, 0)
        cold = min(RETRY_SECONDS, COLD_RETRY_SECONDS * 2 ** min(failures, 10))
        self._set(mint, min(RETRY_SECONDS if has_value else cold, self._interval_seconds))
        if mint in self._due:
            self._failures[mint] = failures + 1

    def is_retry(self, mint: Mint) -> bool:
        """Return whether a mint's last refresh failed: what is asked for then takes nothing along."""
        return mint in self._failures

    def held(self, mint: Mint) -> None:
        """Look again in less than a minute at a price while a jump of it is being held."""
        self._set(mint, min(DOUBT_SECONDS, self._interval_seconds) * (1 - JITTER))

    def doubted(self, mint: Mint) -> None:
        """Look again in a minute at a token that no source prices any more (F10)."""
        self._set(mint, min(DOUBT_SECONDS, self._interval_seconds))

    def hasten(self, mint: Mint) -> None:
        """Look again in less than a minute, or when it is due, at a token that its source has dropped."""
        if mint in self._due:
            soon = self._clock.monotonic() + min(DOUBT_SECONDS, self._interval_seconds) * (1 - JITTER)
            self._due.set(mint, min(self._due.get(mint), soon))

    def _set(self, mint: Mint, seconds: float) -> None:
        self._failures.pop(mint, None)
        if mint in self._due:
            self._due.set(mint, self._clock.monotonic() + seconds)

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

    def due(self) -> list[Mint]:
        """Return the mints due now, the earliest first, and of those due soon as many as fit their calls.

        Nothing while none is due; a retry takes no other mint along.
        """
        now = self._clock.monotonic()
        ripe = self._due.until(now + self._interval_seconds * JITTER)
        if all(map(self.is_retry, ripe)):
            return self._due.until(now) if ripe else []
        soon = self._due.until(now + self._interval_seconds * AHEAD)
        return soon[: len(ripe) + -len(ripe) % BATCH_MINTS]

    def due_at(self, mint: Mint) -> float:
        """Return the monotonic time at which a mint is due, infinite for one that is not tracked."""
        return self._due.get(mint)

    def next_due_in(self) -> float:
        """Return the seconds until the next mint is due, the whole interval without any."""
        now = self._clock.monotonic()
        return max(0.0, min(self._due.next(), now + self._interval_seconds) - now)

    def soonest(self, count: int, excluded: Collection[Mint]) -> list[Mint]:
        """Return the mints due next, to top up a call that has free places."""
        return list(islice((mint for _, mint in self._due if mint not in excluded), count))

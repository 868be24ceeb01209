"""How much a mint is asked for: counted in slices of a sliding window."""

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

import msgspec

from sidecar.metrics.labels import Tier
from sidecar.models import Mint

SLICES: Final = 12
"""Request counts are kept in this many slices of the window."""

Place = Tier | Literal["candidate"]
"""Where a mint stands; a candidate is not tracked yet."""


class Wanted(NamedTuple):
    """How much a mint is wanted, in a form that outlives the process."""

    mint: Mint
    place: Place
    requests: tuple[tuple[float, int], ...]
    """How many seconds ago, to a slice's precision, how many requests came; the oldest first."""


class Demand(msgspec.Struct, kw_only=True, eq=False, gc=False):
    """How often a mint was asked for within the window, to a slice's precision, and when exactly it last was.

    There may be many thousands: compact, and passed over by the garbage collector.
    """

    window_seconds: float
    min_requests: int
    now_slice: int
    counts: tuple[int, ...] = ()
    """Requests by slice, `now_slice` first; slices before the first request are left out."""
    recent: tuple[float, ...] = ()

    def add(self, now: float, requests: int = 1) -> None:
        """Count requests."""
        self._remember(now, min(requests, self.min_requests))
        self._forget(now)
        self._count(0, requests)

    def total(self, now: float) -> int:
        """Return the requests within the window."""
        self._forget(now)
        return sum(self.counts)

    def is_wanted(self, now: float) -> bool:
        """Return whether the last `min_requests` requests all came within the window."""
        recent = self.recent
        return len(recent) == self.min_requests and now - recent[0] <= self.window_seconds

    def by_age(self, now: float) -> tuple[tuple[float, int], ...]:
        """Return how many seconds ago, to a slice's precision, how many requests came, the oldest first."""
        self._forget(now)
        counts = reversed([*enumerate(self.counts)])
        return tuple((ago * self.window_seconds / SLICES, count) for ago, count in counts if count)

    def restore(self, by_age: Iterable[tuple[float, int]], now: float) -> None:
        """Count the requests of an earlier process, the oldest first, on a Demand that has none yet."""
        for seconds_ago, requests in by_age:
            if (ago := int(seconds_ago * SLICES / self.window_seconds)) < SLICES:
                self._count(ago, requests)
                self._remember(now - seconds_ago, min(requests, self.min_requests))

    def _remember(self, when: float, times: int = 1) -> None:
        self.recent = (*self.recent, *(when,) * times)[-self.min_requests :]

    def _count(self, ago: int, requests: int) -> None:
        counts = list(self.counts) + [0] * (ago + 1 - len(self.counts))
        counts[ago] += requests
        self.counts = tuple(counts)

    def _forget(self, now: float) -> None:
        passed = slice_of(now, self.window_seconds) - self.now_slice
        if passed > 0:
            self.now_slice += passed
            self.counts = ((0,) * min(passed, SLICES) + self.counts)[:SLICES] if any(self.counts) else ()


def slice_of(now: float, window_seconds: float) -> int:
    """Return the number of the slice of the window that a monotonic time falls into."""
    return int(now * SLICES / window_seconds)

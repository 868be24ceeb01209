"""Counting look-ups where it costs least: in the entry that answers them, folded into the metrics later."""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from math import sqrt
from typing import Final

from sidecar.cache.cache import Entry
from sidecar.config.settings import Settings
from sidecar.metrics.hot import HotCounters, PlainHistogram
from sidecar.models import Mint
from sidecar.refresh.tracker import Tracker

LONGEST_SECONDS: Final = 1.0
"""How long look-ups may be counted in an entry before the tracker hears of them."""
ENTRIES_A_TURN: Final = 100
"""Folded in one go; they take a quarter of a millisecond."""


class Tally:
    """Lets entries count their look-ups for a while in which every one of them counts as the same.

    That is while the token is tracked for good and fresh, and its age and uncertainty stay within a bucket of
    their histograms; at most LONGEST_SECONDS, and until the metrics are read.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        hot: HotCounters,
        tracker: Tracker,
        count_requests: Callable[[Mint, int], None],
    ) -> None:
        self._hot = hot
        self._count_requests = count_requests
        self._tracker = tracker
        self._fresh_seconds = settings.cache.fresh_seconds
        self._popular_max_age = int(min(settings.refresh.popular_seconds, settings.cache.fresh_seconds))
        self._tracked_max_age = int(min(settings.refresh.tracked_seconds, settings.cache.fresh_seconds))
        self._counting: deque[Entry] = deque()
        hot.before_reading("look-ups", self.fold)

    def open(self, entry: Entry, now: float) -> bool:
        """Let an entry count on its own from now on; False when each of its look-ups must be looked at."""
        if entry.hits:
            self._fold_one(entry)
        age, mint = now - entry.received, entry.cap.mint
        if age > self._fresh_seconds or not self._tracker.is_unmoved_by_requests(mint):
            return False
        entry.counts_until = self._same_until(entry, age, now)
        entry.max_age = self.max_age(entry)
        entry.prepare()
        self._counting.append(entry)
        return True

    def count(self, entries: Iterable[Entry], now: float) -> None:
        """Count a look-up of each of some entries that count on their own."""
        for entry in entries:
            age = now - entry.received
            entry.hits += 1
            entry.ages += age
            if (variance := entry.variance) is not None:  # `uncertainty`, without a call for each of a hundred
                entry.uncertainties += sqrt(entry.fresh_squared + variance * age)

    def max_age(self, entry: Entry) -> int:
        """Return for how many whole seconds of its life a client may keep a token: until it is refreshed."""
        mint = entry.cap.mint
        if self._tracker.is_always(mint):
            return self._popular_max_age
        return self._tracked_max_age if mint in self._tracker.mints else int(self._fresh_seconds)

    def fold(self) -> Iterator[None]:
        """Count in metrics and tracker what the entries have counted; yields where others may have their turn."""
        for number in range(len(self._counting)):
            if not self._counting:  # folded meanwhile
                return
            entry = self._counting.popleft()
            entry.counts_until = 0.0
            if entry.hits:
                self._fold_one(entry)
            if number % ENTRIES_A_TURN == 0:
                yield

    def _fold_one(self, entry: Entry) -> None:
        hits, ages, uncertainties = entry.hits, entry.ages, entry.uncertainties
        entry.hits, entry.ages, entry.uncertainties = 0, 0.0, 0.0
        self._hot.count("hit", hits)
        self._hot.served_age.observe_many(hits, ages)
        if entry.variance is not None:
            self._hot.served_uncertainty.observe_many(hits, uncertainties)
        self._count_requests(entry.cap.mint, hits)

    def _same_until(self, entry: Entry, age: float, now: float) -> float:
        """Return up to when age and uncertainty stay in their buckets and the token stays fresh."""
        until = min(now + LONGEST_SECONDS, entry.received + self._fresh_seconds)
        until = min(until, entry.received + _next_bound(self._hot.served_age, age))
        uncertainty = entry.uncertainty(age)
        if uncertainty is not None and entry.variance:
            bound = _next_bound(self._hot.served_uncertainty, uncertainty)
            until = min(until, entry.received + (bound**2 - entry.fresh_squared) / entry.variance)
        return until


def _next_bound(histogram: PlainHistogram, value: float) -> float:
    place = bisect_left(histogram.bounds, value)
    return histogram.bounds[place] if place < len(histogram.bounds) else float("inf")

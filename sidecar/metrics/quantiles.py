"""Quantiles of what was served lately, out of a histogram that only grows."""

from bisect import bisect_left
from collections import deque
from itertools import accumulate
from operator import sub
from typing import Final

from sidecar.metrics.hot import RATIO_SAMPLE_SECONDS, RATIO_WINDOW_SECONDS, PlainHistogram
from sidecar.runtime.clock import Clock

_SAMPLES: Final = int(RATIO_WINDOW_SECONDS / RATIO_SAMPLE_SECONDS) + 1


class RecentQuantiles:
    """The quantiles of a histogram's values of the last five minutes, as exact as its buckets are narrow."""

    def __init__(self, histogram: PlainHistogram, clock: Clock) -> None:
        self._histogram = histogram
        self._clock = clock
        self._samples: deque[tuple[float, list[int]]] = deque(maxlen=_SAMPLES)
        self._keep()

    def sample(self) -> None:
        """Remember the counts of now; called a few times a minute, kept for five."""
        if self._clock.monotonic() - self._samples[-1][0] >= RATIO_SAMPLE_SECONDS:
            self._keep()

    def _keep(self) -> None:
        self._samples.append((self._clock.monotonic(), list(self._histogram.counts)))

    def value(self, share: float) -> float | None:
        """Return what this share of the values lies at or under; None when there were none."""
        oldest = self._clock.monotonic() - RATIO_WINDOW_SECONDS
        now = self._histogram.counts
        past = next((counts for when, counts in self._samples if when >= oldest), now)
        cumulative: list[int] = list(accumulate(map(sub, now, past)))
        if not cumulative[-1]:
            return None
        bucket = bisect_left(cumulative, share * cumulative[-1])
        bounds = (0.0, *self._histogram.bounds)
        if bucket + 1 == len(bounds):
            return bounds[-1]
        below = cumulative[bucket - 1] if bucket else 0
        within = (share * cumulative[-1] - below) / (cumulative[bucket] - below)
        return bounds[bucket] + (bounds[bucket + 1] - bounds[bucket]) * within

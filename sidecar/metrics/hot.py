"""Collectors over plain integers, for what every look-up touches."""

import math
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Final, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from sidecar.metrics.labels import AGE_BUCKETS, HTTP_BUCKETS, UNCERTAINTY_BUCKETS, WAIT_BUCKETS, LookupResult
from sidecar.runtime.aio import yielding
from sidecar.runtime.clock import Clock

_FINE_BOUNDS: Final = tuple(1e-5 * 10 ** (step / 12) for step in range(64))
UNCERTAINTY_BOUNDS: Final = sorted({*UNCERTAINTY_BUCKETS, *_FINE_BOUNDS})
"""Finer than what is exposed, so that quantiles can be told: a twelfth of a decade, from 0.001 % to over 100 %."""
UNMATCHED: Final = "unmatched"
"""Stands for the route of a request that is no route's."""
Fold = Callable[[], Iterable[None]]
"""Counts what was counted elsewhere, a step of it at a time."""
LABELS_A_TURN: Final = 200
RATIO_WINDOW_SECONDS: Final = 300.0
RATIO_SAMPLE_SECONDS: Final = 10.0


class PlainHistogram:
    """A histogram over plain integers: the hot path pays one bisection and two additions."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_many(self, count: int, total: float) -> None:
        """Count some values of one bucket, by their sum."""
        self.counts[bisect_left(self.bounds, total / count)] += count
        self.total += total

    def buckets(self, shown: Sequence[float] = ()) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as the exposition format wants them; of all bounds or some."""
        bounds = (*self.bounds, math.inf)
        cumulative = dict(zip(bounds, map(float, accumulate(self.counts)), strict=True))
        kept = (*(shown or self.bounds), math.inf)
        return [("+Inf" if bound == math.inf else str(bound), cumulative[bound]) for bound in kept]


class RouteStats:
    """Requests to one route template."""

    __slots__ = ("durations", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.durations = PlainHistogram(HTTP_BUCKETS)

    def record(self, status: int, seconds: float) -> None:
        """Count one answered request."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.durations.observe(seconds)

    def record_many(self, status: int, count: int, seconds: float) -> None:
        """Count some answered requests that took so long together, each about as long as the others."""
        self.statuses[status] = self.statuses.get(status, 0) + count
        self.durations.observe_many(count, seconds)


class HotCounters(Collector):
    """What every look-up touches, as plain attributes; turned into metric families only when scraped."""

    def __init__(self) -> None:
        self._folds: dict[str, Fold] = {}
        self._lookups: dict[LookupResult, int] = dict.fromkeys(get_args(LookupResult), 0)
        self.served_age = PlainHistogram(AGE_BUCKETS)
        self.served_uncertainty = PlainHistogram(UNCERTAINTY_BOUNDS)
        self.lookup_wait = PlainHistogram(WAIT_BUCKETS)
        self.routes: dict[str, RouteStats] = {}

    def before_reading(self, name: str, fold: Fold) -> None:
        """Have this called before anything is read: it counts here what was counted elsewhere meanwhile.

        It takes the place of the one with the same name, left by an earlier start of the service.
        """
        self.fold()
        self._folds[name] = fold

    def fold(self) -> None:
        """Count what was counted elsewhere: before reading attributes."""
        for fold in self._folds.values():
            for _ in fold():
                pass

    async def fold_in_turns(self) -> None:
        """Do so while requests are answered in between: twice a second, and before a scrape."""
        for fold in list(self._folds.values()):
            async for _ in yielding(fold(), 1):
                pass

    @property
    def lookups(self) -> dict[LookupResult, int]:
        """Look-ups by how they were answered."""
        self.fold()
        return self._lookups

    def count(self, result: LookupResult, times: int = 1) -> None:
        """Count look-ups."""
        self._lookups[result] += times

    def route(self, template: str) -> RouteStats:
        """Return the statistics of a route template, one of those that the applications declare."""
        return self.routes.setdefault(template, RouteStats())

    def describe(self) -> Iterable[Metric]:
        """Name the families: `/metrics?name[]=…` finds a collector by what it describes."""
        return self.collect()

    def collect(self) -> Iterable[Metric]:
        """Yield the families for one scrape."""
        self.fold()
        lookups = CounterMetricFamily(
            "mc_sidecar_lookups", "Look-ups of one token, by how they were answered.", labels=["result"]
        )
        for result, count in self._lookups.items():
            lookups.add_metric([result], count)
        yield lookups
        age = HistogramMetricFamily("mc_sidecar_served_age_seconds", "Age of the served values when served.")
        age.add_metric([], self.served_age.buckets(), self.served_age.total)
        yield age
        uncertainty = HistogramMetricFamily(
            "mc_sidecar_served_uncertainty_ratio", "How far the served values may be off: their standard error."
        )
        served = self.served_uncertainty
        uncertainty.add_metric([], served.buckets(UNCERTAINTY_BUCKETS), served.total)
        yield uncertainty
        wait = HistogramMetricFamily(
            "mc_sidecar_lookup_wait_seconds", "What look-ups waited that memory did not answer."
        )
        wait.add_metric([], self.lookup_wait.buckets(), self.lookup_wait.total)
        yield wait
        yield from self._http()

    def _http(self) -> Iterable[Metric]:
        requests = CounterMetricFamily(
            "mc_sidecar_http_requests", "HTTP requests answered.", labels=["route", "status"]
        )
        seconds = HistogramMetricFamily(
            "mc_sidecar_http_request_duration_seconds", "Time to answer an HTTP request.", labels=["route"]
        )
        for template, stats in self.routes.items():
            for status, count in stats.statuses.items():
                requests.add_metric([template, str(status)], count)
            seconds.add_metric([template], stats.durations.buckets(), stats.durations.total)
        yield requests
        yield seconds


class LabelCounts(Collector):
    """A gauge by label: at each scrape all its values are counted in one pass.

    `labels_seen` may yield labels while others have their turn.
    """

    def __init__(self, name: str, text: str, label: str, values: Sequence[str]) -> None:
        self._name = name
        self._text = text
        self._label = label
        self._values = values
        self.labels_seen: Callable[[], Iterable[str]] = tuple
        self._counted: Counter[str] | None = None

    async def count_in_turns(self) -> None:
        """Count for the next reading, and let requests be answered in between."""
        counted: Counter[str] = Counter()
        async for label in yielding(self.labels_seen(), LABELS_A_TURN):
            counted[label] += 1
        self._counted = counted

    def forget(self) -> None:
        """Forget what was counted for a reading that has not come."""
        self._counted = None

    def describe(self) -> Iterable[Metric]:
        """Name the family: `/metrics?name[]=…` finds a collector by what it describes."""
        return [GaugeMetricFamily(self._name, self._text, labels=[self._label])]

    def collect(self) -> Iterable[Metric]:
        """Yield the family for one scrape."""
        counts, self._counted = self._counted or Counter(self.labels_seen()), None
        family = GaugeMetricFamily(self._name, self._text, labels=[self._label])
        for value in self._values:
            family.add_metric([value], counts[value])
        yield family


class HitRatio:
    """(hit + stale) / (hit + stale + miss + not_priced) over the last five minutes."""

    def __init__(self, lookups: dict[LookupResult, int], clock: Clock) -> None:
        self._lookups = lookups
        self._clock = clock
        length = int(RATIO_WINDOW_SECONDS / RATIO_SAMPLE_SECONDS) + 1
        self._samples: deque[tuple[float, int, int]] = deque([self._read()], maxlen=length)

    def _read(self) -> tuple[float, int, int]:
        warm = self._lookups["hit"] + self._lookups["stale"]
        return self._clock.monotonic(), warm, warm + self._lookups["miss"] + self._lookups["not_priced"]

    def sample(self) -> None:
        """Remember the counters of now; called a few times a minute, kept for five."""
        if self._clock.monotonic() - self._samples[-1][0] >= RATIO_SAMPLE_SECONDS:
            self._samples.append(self._read())

    def value(self) -> float:
        """Return the ratio, NaN when nothing was looked up."""
        now, warm, total = self._read()
        past = [s for s in self._samples if now - s[0] <= RATIO_WINDOW_SECONDS] or [(now, warm, total)]
        asked = total - past[0][2]
        return (warm - past[0][1]) / asked if asked else math.nan


class Timestamp(Collector):
    """A Unix time, without a series until it is first set: 0 would be a time too."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._text = text
        self.value: float | None = None

    def collect(self) -> Iterable[Metric]:
        """Yield the family for one scrape."""
        yield GaugeMetricFamily(self._name, self._text, value=self.value)

"""Every collector, declared once, on a registry of the service's own. Names and labels are a contract."""

import math
import platform
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from sidecar import errors
from sidecar.clock import Clock

LookupResult = Literal["hit", "stale", "miss", "not_priced", "invalid", "rejected", "error"]
LoopName = Literal["popular", "tracked", "trending", "stats", "miss"]
RefreshOutcome = Literal["updated", "not_priced", "failed"]
EvictionReason = Literal["expired", "capacity", "delisted", "not_priced"]
RefusalReason = Literal[
    "not_positive", "absurd", "dead_pool", "thin", "quote_side", "jump", "disagreement", "supply"
]
Tier = Literal["popular", "requested", "trending"]

SOURCES: Final = ("jupiter", "dexscreener", "geckoterminal", "solana_rpc")
OUTCOMES: Final = ("ok", *get_args(errors.Outcome))
AGE_BUCKETS: Final = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 360.0, 600.0, 1800.0, 3600.0)
SLOW_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
HTTP_BUCKETS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5),
)
RATIO_WINDOW_SECONDS: Final = 300.0
RATIO_SAMPLE_SECONDS: Final = 10.0


class _Registry(CollectorRegistry):
    """Without the `_created` series: the library's switch for them is global and belongs to the embedder."""

    def collect(self) -> Iterator[Metric]:
        for metric in super().collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class PlainHistogram:
    """A histogram over plain integers: the hot path pays one bisection and two additions."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value, in seconds."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as the exposition format wants them."""
        bounds = [*map(str, self.bounds), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self.counts)), strict=True))


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


class HotCounters(Collector):
    """What every look-up touches, as plain attributes; turned into metric families only when scraped."""

    def __init__(self) -> None:
        self.lookups: dict[LookupResult, int] = dict.fromkeys(get_args(LookupResult), 0)
        self.served_age = PlainHistogram(AGE_BUCKETS)
        self.routes: dict[str, RouteStats] = {}

    def route(self, template: str) -> RouteStats:
        """Return the statistics of a route template, one of those that the applications declare."""
        return self.routes.setdefault(template, RouteStats())

    def describe(self) -> Iterable[Metric]:
        """Name the families: `/metrics?name[]=…` finds a collector by what it describes."""
        return self.collect()

    def collect(self) -> Iterable[Metric]:
        """Yield the families for one scrape."""
        lookups = CounterMetricFamily(
            "mc_sidecar_lookups", "Look-ups of one token, by how they were answered.", labels=["result"]
        )
        for result, count in self.lookups.items():
            lookups.add_metric([result], count)
        yield lookups
        age = HistogramMetricFamily("mc_sidecar_served_age_seconds", "Age of the served values when served.")
        age.add_metric([], self.served_age.buckets(), self.served_age.total)
        yield age
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


class Metrics:
    """The collectors of one service. Known label values exist from the start, so that zero is visible."""

    def __init__(self, clock: Clock, *, version: str, revision: str = "unknown") -> None:
        self.registry: CollectorRegistry = _Registry()
        self.hot = HotCounters()
        self.registry.register(self.hot)
        self.hit_ratio = HitRatio(self.hot.lookups, clock)
        self._declare_cache()
        self._declare_refresh()
        self._declare_upstreams()
        self._declare_process()
        self._build_info(version, revision)

    def _gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(f"mc_sidecar_{name}", text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"mc_sidecar_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: Sequence[str]) -> Histogram:
        name = f"mc_sidecar_{name}"
        return Histogram(name, text, labels, buckets=SLOW_BUCKETS, registry=self.registry)

    def _declare_cache(self) -> None:
        self._gauge("cache_hit_ratio", "Share of look-ups answered from memory over five minutes.").set_function(
            self.hit_ratio.value
        )
        self.cache_entries = self._gauge("cache_entries", "Market caps held in memory.")
        self.cache_evictions = self._counter("cache_evictions", "Market caps dropped from memory.", ["reason"])
        for reason in get_args(EvictionReason):
            self.cache_evictions.labels(reason)
        self.tracked_tokens = self._gauge("tracked_tokens", "Tokens kept warm.", ["tier"])
        for tier in get_args(Tier):
            self.tracked_tokens.labels(tier)
        self.token_market_cap = self._gauge(
            "token_market_cap_usd", "Market cap of a token of the popular list.", ["mint", "symbol"]
        )
        self.token_updated = self._gauge(
            "token_updated_timestamp_seconds",
            "When the answer behind a popular token's market cap arrived.",
            ["mint", "symbol"],
        )

    def _declare_refresh(self) -> None:
        self.refresh_duration = self._histogram("refresh_duration_seconds", "Time of one refresh.", ["loop"])
        self.refresh_last_success = self._gauge(
            "refresh_last_success_timestamp_seconds", "When a loop's step last succeeded.", ["loop"]
        )
        self.refresh_tokens = self._counter(
            "refresh_tokens", "Tokens refreshed, by what came of it.", ["loop", "outcome"]
        )
        for loop in get_args(LoopName):
            self.refresh_duration.labels(loop)
            for outcome in get_args(RefreshOutcome):
                self.refresh_tokens.labels(loop, outcome)
        self.rejected_quotes = self._counter(
            "rejected_quotes", "Figures of a source that were not believed.", ["source", "reason"]
        )
        for source in SOURCES:
            for reason in get_args(RefusalReason):
                self.rejected_quotes.labels(source, reason)

    def _declare_upstreams(self) -> None:
        self.upstream_requests = self._counter(
            "upstream_requests", "Requests sent to an upstream.", ["source", "outcome"]
        )
        self.upstream_duration = self._histogram(
            "upstream_request_duration_seconds", "Time of one upstream request.", ["source"]
        )
        self.upstream_circuit_open = self._gauge(
            "upstream_circuit_open", "1 while an upstream is not asked because it keeps failing.", ["source"]
        )
        self.upstream_budget_wait = self._counter(
            "upstream_budget_wait_seconds", "Time spent waiting for an upstream's call budget.", ["source"]
        )
        for source in SOURCES:
            self.upstream_duration.labels(source)
            self.upstream_circuit_open.labels(source)
            self.upstream_budget_wait.labels(source)
            for outcome in OUTCOMES:
                self.upstream_requests.labels(source, outcome)

    def _declare_process(self) -> None:
        self.reload_successful = self._gauge(
            "config_last_reload_successful", "1 when the popular list was last read without a mistake."
        )
        self.reload_timestamp = self._gauge(
            "config_last_reload_success_timestamp_seconds", "When the popular list was last read successfully."
        )
        self.event_loop_lag = self._gauge("event_loop_lag_seconds", "How late the event loop last woke a sleeper.")

    def declare_snapshot(self) -> Timestamp:
        """Return the collector that only a service with a snapshot has; called once."""
        name = "mc_sidecar_snapshot_last_success_timestamp_seconds"
        success = Timestamp(name, "When the snapshot was last written.")
        self.registry.register(success)
        return success

    def forget_token(self, mint: str, symbol: str) -> None:
        """Remove the series of a popular token; harmless when it has none."""
        for gauge in (self.token_market_cap, self.token_updated):
            with suppress(KeyError):
                gauge.remove(mint, symbol)

    def _build_info(self, version: str, revision: str) -> None:
        info = self._gauge("build_info", "What is running.", ["version", "revision", "python"])
        info.labels(version, revision, platform.python_version()).set(1)

"""Every collector, declared once, on a registry of the service's own. Names and labels are a contract."""

import platform
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric

from sidecar.metrics.hot import HitRatio, HotCounters, LabelCounts, Timestamp
from sidecar.metrics.labels import (
    OUTCOMES,
    REFRESH_BUCKETS,
    SOURCES,
    UPSTREAM_BUCKETS,
    EvictionReason,
    LoopName,
    RefreshOutcome,
    RefusalReason,
    Tier,
)
from sidecar.metrics.quantiles import RecentQuantiles
from sidecar.models import Confidence, ConfidenceReason
from sidecar.runtime.clock import Clock

FOLD_SECONDS: Final = 0.5


class _Registry(CollectorRegistry):
    """Without the `_created` series: the library's switch for them is global and belongs to the embedder."""

    def collect(self) -> Iterator[Metric]:
        for metric in super().collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class Metrics:
    """The collectors of one service. Known label values exist from the start, so that zero is visible."""

    def __init__(self, clock: Clock, *, version: str, revision: str = "unknown") -> None:
        self._clock = clock
        self.registry: CollectorRegistry = _Registry()
        self.hot = HotCounters()
        self.registry.register(self.hot)
        self.hit_ratio = HitRatio(self.hot.lookups, clock)
        self.recent_uncertainty = RecentQuantiles(self.hot.served_uncertainty, clock)
        self._declare_cache()
        self._declare_refresh()
        self._declare_upstreams()
        self._declare_process()
        self._build_info(version, revision)

    async def keep(self) -> None:
        """Fold look-ups twice a second, and remember the counts that shares of the last minutes are told from.

        That takes many turns where there is much to fold: what measures the event loop does not wait for it.
        """
        while True:
            await self._clock.sleep(FOLD_SECONDS)
            await self.hot.fold_in_turns()
            self.hit_ratio.sample()
            self.recent_uncertainty.sample()

    @asynccontextmanager
    async def prepared(self) -> AsyncIterator[None]:
        """Do first what takes long of a scrape, while requests are answered in between; it may break off."""
        await self.hot.fold_in_turns()
        await self.tokens_by_confidence.count_in_turns()
        try:
            yield
        finally:
            self.tokens_by_confidence.forget()

    def _gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(f"mc_sidecar_{name}", text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"mc_sidecar_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, label: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(f"mc_sidecar_{name}", text, [label], buckets=buckets, registry=self.registry)

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
        text = "Tracked tokens with a market cap, by its confidence."
        self.tokens_by_confidence = LabelCounts(
            "mc_sidecar_tokens_by_confidence", text, "confidence", get_args(Confidence)
        )
        text = "Popular tokens that are kept from confidence high, by what keeps them; one may count for several."
        self.popular_below_high = LabelCounts(
            "mc_sidecar_popular_tokens_below_high", text, "reason", get_args(ConfidenceReason)
        )
        for tally in (self.tokens_by_confidence, self.popular_below_high):
            self.registry.register(tally)
        self.popular_unpriced = self._gauge(
            "popular_unpriced_tokens", "Tokens of the popular list without a market cap in memory."
        )
        self.token_market_cap = self._gauge(
            "token_market_cap_usd", "Market cap of a token of the popular list.", ["mint", "symbol"]
        )
        self.token_updated = self._gauge(
            "token_updated_timestamp_seconds",
            "When the answer behind a popular token's market cap arrived.",
            ["mint", "symbol"],
        )

    def _declare_refresh(self) -> None:
        self.refresh_duration = self._histogram(
            "refresh_duration_seconds", "Time of one refresh.", "loop", REFRESH_BUCKETS
        )
        self.refresh_last_success = self._gauge(
            "refresh_last_success_timestamp_seconds", "When a loop's step last succeeded.", ["loop"]
        )
        self.refresh_interval = self._gauge(
            "refresh_interval_seconds", "How often a loop is meant to refresh its tokens.", ["loop"]
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
            "upstream_request_duration_seconds", "Time of one upstream request.", "source", UPSTREAM_BUCKETS
        )
        self.upstream_circuit_open = self._gauge(
            "upstream_circuit_open", "1 while an upstream is not asked because it keeps failing.", ["source"]
        )
        self.upstream_budget_wait = self._counter(
            "upstream_budget_wait_seconds", "Time spent waiting for an upstream's call budget.", ["source"]
        )
        self.budget_limit = self._gauge(
            "upstream_budget_requests_per_minute", "The most calls of an upstream in any minute.", ["source"]
        )
        self.budget_used = self._gauge(
            "upstream_budget_used_ratio", "Share of an upstream's budget used in the last minute.", ["source"]
        )
        self.pricing_source = self._gauge(
            "pricing_source_info", "1 for each source of pricing.sources, which prices are asked of.", ["source"]
        )
        for source in SOURCES:
            self.budget_limit.labels(source)
            self.budget_used.labels(source)
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
        self.stream_clients = self._gauge("stream_clients", "Clients that follow tokens by /mc/stream.")
        self.event_loop_lag = self._gauge("event_loop_lag_seconds", "How late the event loop last woke a sleeper.")

    def declare_snapshot(self, interval_seconds: float) -> Timestamp:
        """Return the collector that only a service with a snapshot has; called once."""
        self._gauge("snapshot_interval_seconds", "How often the snapshot is meant to be written.").set(
            interval_seconds
        )
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

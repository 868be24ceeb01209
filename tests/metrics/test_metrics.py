"""The collectors: names, labels and buckets are a contract (docs/metrics.md)."""

import asyncio
import math
from contextlib import suppress
from typing import Any, Final, get_args

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from sidecar.metrics.hot import HitRatio, PlainHistogram
from sidecar.metrics.labels import LookupResult
from sidecar.metrics.metrics import Metrics
from sidecar.models import ConfidenceReason
from tests.clock import FakeClock

UPSTREAM: Final = "0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0 +Inf"
REFRESH: Final = "0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0 30.0 60.0 120.0 300.0 +Inf"
WAIT: Final = "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.0 5.0 +Inf"
HTTP: Final = "0.0001 0.00025 0.0005 0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 +Inf"
UNCERTAINTY: Final = "0.0025 0.005 0.01 0.02 0.05 0.1 0.25 0.5 +Inf"
AGE: Final = "1.0 5.0 15.0 30.0 60.0 120.0 300.0 360.0 600.0 900.0 1200.0 1800.0 3600.0 +Inf"
SOURCES: Final = {"jupiter", "dexscreener", "geckoterminal", "solana_rpc"}
OUTCOMES: Final = {"ok", "rate_limited", "http_4xx", "http_5xx", "timeout", "connect", "schema", "too_large"}
LOOPS: Final = {"popular", "tracked", "trending", "stats", "miss", "early"}
REASONS: Final = {
    *("not_positive", "absurd", "dead_pool", "thin", "quote_side", "jump", "disagreement", "supply"),
    *("unit_unknown", "old_price", "preferred_source_silent"),
}


def scraped(metrics: Metrics) -> dict[str, list[Any]]:
    """Return the samples of one scrape by name."""
    samples: dict[str, list[Any]] = {}
    for family in text_string_to_metric_families(generate_latest(metrics.registry).decode()):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append(sample)
    return samples


def build() -> Metrics:
    return Metrics(FakeClock(), version="1.2.3", revision="abc")


def labels_of(name: str, *labels: str) -> set[Any]:
    samples = scraped(build()).get(f"mc_sidecar_{name}", [])
    assert all(set(sample.labels) == set(labels) and sample.value == 0 for sample in samples)
    found = {tuple(sample.labels[label] for label in labels) for sample in samples}
    return {one[0] if len(one) == 1 else one for one in found}


def pairs(first: set[str], second: set[str]) -> set[tuple[str, str]]:
    return {(one, other) for one in first for other in second}


def test_every_known_label_value_is_zero_from_the_start() -> None:
    results = {"hit", "stale", "miss", "not_priced", "invalid", "rejected", "error"}
    assert labels_of("lookups_total", "result") == results
    reasons = {"expired", "capacity", "delisted", "not_priced"}
    assert labels_of("cache_evictions_total", "reason") == reasons
    assert labels_of("tracked_tokens", "tier") == {"popular", "requested", "trending"}
    outcomes = {"updated", "not_priced", "failed"}
    assert labels_of("refresh_tokens_total", "loop", "outcome") == pairs(LOOPS, outcomes)
    assert labels_of("refresh_duration_seconds_count", "loop") == LOOPS
    assert labels_of("upstream_requests_total", "source", "outcome") == pairs(SOURCES, OUTCOMES)
    assert labels_of("upstream_request_duration_seconds_count", "source") == SOURCES
    assert labels_of("upstream_circuit_open", "source") == SOURCES
    assert labels_of("upstream_budget_requests_per_minute", "source") == SOURCES
    assert labels_of("upstream_budget_used_ratio", "source") == SOURCES
    assert labels_of("tokens_by_confidence", "confidence") == {"high", "medium", "low"}
    assert labels_of("popular_tokens_below_high", "reason") == set(get_args(ConfidenceReason))
    assert labels_of("upstream_budget_wait_seconds_total", "source") == SOURCES
    assert labels_of("rejected_quotes_total", "source", "reason") == pairs(SOURCES, REASONS)


@pytest.mark.parametrize(
    "name",
    ["refresh_last_success_timestamp_seconds", "token_market_cap_usd", "token_updated_timestamp_seconds"],
)
def test_a_timestamp_or_a_token_has_no_series_before_there_is_one(name: str) -> None:
    assert f"mc_sidecar_{name}" not in scraped(build())


def bounds_of(metrics: Metrics, name: str) -> str:
    samples = scraped(metrics)[f"mc_sidecar_{name}_bucket"]
    return " ".join(dict.fromkeys(sample.labels["le"] for sample in samples))


def test_the_buckets_are_those_of_the_contract() -> None:
    metrics = build()
    metrics.hot.route("/mc/{mint}").record(200, 0.0002)
    assert bounds_of(metrics, "served_age_seconds") == AGE
    assert bounds_of(metrics, "served_uncertainty_ratio") == UNCERTAINTY
    assert bounds_of(metrics, "refresh_duration_seconds") == REFRESH
    assert bounds_of(metrics, "upstream_request_duration_seconds") == UPSTREAM
    assert bounds_of(metrics, "lookup_wait_seconds") == WAIT
    assert bounds_of(metrics, "http_request_duration_seconds") == HTTP


def test_a_request_is_counted_by_route_and_status_and_timed_by_route() -> None:
    metrics = build()
    for status, seconds in ((200, 0.0001), (200, 0.3), (404, 0.0003)):
        metrics.hot.route("/mc/{mint}").record(status, seconds)
    metrics.hot.route("/stats").record(200, 9.0)
    samples = scraped(metrics)
    requests = {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for sample in samples["mc_sidecar_http_requests_total"]
    }
    assert requests == {("/mc/{mint}", "200"): 2, ("/mc/{mint}", "404"): 1, ("/stats", "200"): 1}
    counts = [sample.value for sample in samples["mc_sidecar_http_request_duration_seconds_count"]]
    sums = [sample.value for sample in samples["mc_sidecar_http_request_duration_seconds_sum"]]
    assert (counts, sums) == ([3, 1], [pytest.approx(0.3004), 9.0])


def test_a_value_on_a_bucket_bound_belongs_to_the_bucket_and_counts_are_cumulative() -> None:
    histogram = PlainHistogram((1, 5))
    for value in (0, 1, 1.1, 5, 5.1):
        histogram.observe(value)
    assert histogram.buckets() == [("1", 2.0), ("5", 4.0), ("+Inf", 5.0)]
    assert histogram.total == pytest.approx(12.2)


def test_look_ups_are_counted_by_result() -> None:
    metrics = build()
    metrics.hot.lookups["stale"] += 3
    samples = scraped(metrics)["mc_sidecar_lookups_total"]
    assert {sample.labels["result"]: sample.value for sample in samples}["stale"] == 3


def test_there_are_no_created_series_in_either_format() -> None:
    metrics = build()
    metrics.cache_evictions.labels("expired").inc()
    assert b"_created" not in generate_latest(metrics.registry)
    assert b"_created" not in generate_openmetrics(metrics.registry)  # type: ignore[no-untyped-call]


def test_build_info_says_what_runs() -> None:
    (sample,) = scraped(build())["mc_sidecar_build_info"]
    assert (sample.labels["version"], sample.labels["revision"], sample.value) == ("1.2.3", "abc", 1)
    assert set(sample.labels) == {"version", "revision", "python"}


def test_a_tokens_series_leave_with_it_and_leaving_twice_is_harmless() -> None:
    metrics = build()
    for gauge in (metrics.token_market_cap, metrics.token_updated):
        gauge.labels("mint", "JUP").set(5)
        gauge.labels("other", "SOL").set(6)
    metrics.forget_token("mint", "JUP")
    metrics.forget_token("mint", "JUP")
    samples = scraped(metrics)
    for name in ("mc_sidecar_token_market_cap_usd", "mc_sidecar_token_updated_timestamp_seconds"):
        assert [(sample.labels["symbol"], sample.value) for sample in samples[name]] == [("SOL", 6.0)]


def test_two_services_have_registries_of_their_own() -> None:
    first, second = build(), build()
    first.hot.lookups["hit"] += 1
    assert first.registry.get_sample_value("mc_sidecar_lookups_total", {"result": "hit"}) == 1
    assert second.registry.get_sample_value("mc_sidecar_lookups_total", {"result": "hit"}) == 0


# The hit ratio of the last five minutes


class Ratio(HitRatio):
    """A ratio on a clock of its own, sampled as the service does."""

    def __init__(self) -> None:
        self.clock: Final = FakeClock()
        self.lookups: dict[LookupResult, int] = {
            **dict.fromkeys(("hit", "stale", "miss", "not_priced"), 0),
            **dict.fromkeys(("invalid", "rejected", "error"), 0),
        }
        super().__init__(self.lookups, self.clock)

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds * 2)):
            self.clock.advance(0.5)
            self.sample()


def test_the_ratio_is_nan_before_the_first_look_up() -> None:
    assert math.isnan(Ratio().value())


def test_the_ratio_counts_hits_and_stale_over_what_was_answered() -> None:
    ratio = Ratio()
    ratio.lookups.update(
        {"hit": 5, "stale": 1, "miss": 1, "not_priced": 1, "invalid": 9, "rejected": 9, "error": 9}
    )
    assert ratio.value() == 0.75


def test_only_the_last_five_minutes_count() -> None:
    ratio = Ratio()
    ratio.wait(20)
    ratio.lookups["miss"] += 10
    ratio.wait(20)
    ratio.lookups["hit"] += 10
    assert ratio.value() == 0.5
    ratio.wait(270)
    assert ratio.value() == 0.5
    ratio.wait(20)
    assert ratio.value() == 1.0
    ratio.wait(30)
    assert math.isnan(ratio.value())


def test_after_a_standstill_the_ratio_is_nan_rather_than_old() -> None:
    ratio = Ratio()
    ratio.lookups["miss"] += 10
    ratio.clock.advance(301)
    assert math.isnan(ratio.value())


def test_the_samples_are_bounded_and_span_the_whole_window() -> None:
    ratio = Ratio()
    ratio.wait(3600)
    assert len(ratio._samples) == 31
    assert ratio.clock.monotonic() - ratio._samples[0][0] == 300.0


async def test_a_scrape_that_breaks_off_leaves_no_old_count_behind() -> None:
    metrics = Metrics(FakeClock(), version="0")
    labels = ["high"]
    metrics.tokens_by_confidence.labels_seen = lambda: labels
    with suppress(asyncio.CancelledError):
        async with metrics.prepared():
            raise asyncio.CancelledError  # its client went away
    labels.clear()
    assert metrics.registry.get_sample_value("mc_sidecar_tokens_by_confidence", {"confidence": "high"}) == 0

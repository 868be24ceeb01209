import itertools
from typing import Final, get_args

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from sidecar.demo import Fault
from sidecar.models import ConfidenceReason
from sidecar.runtime.version import __version__
from tests.running import WatchedMarket
from tests.web.serving import JUP, SOL, STSOL, Site, serving

SOURCE: Final = ("jupiter", "dexscreener", "geckoterminal", "solana_rpc")
LOOP: Final = ("popular", "tracked", "trending", "stats", "miss", "early")
REFUSAL: Final = (
    *("not_positive", "absurd", "dead_pool", "thin", "quote_side", "jump", "disagreement", "supply"),
    *("unit_unknown", "old_price", "preferred_source_silent"),
)
UPSTREAM: Final = ("ok", "rate_limited", "http_4xx", "http_5xx", "timeout", "connect", "schema", "too_large")
ROUTES: Final = {
    *("/mc/{mint}", "/mc", "/mc/stream", "/stats", "/openapi.json"),
    *("/", "/status/stream", "/status/tokens/{mint}"),
    *("/metrics", "/startupz", "/livez", "/readyz", "/status"),
}
SLOW: Final = ("0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf")
REFRESH: Final = (*SLOW, "30.0", "60.0", "120.0", "300.0")
HTTP: Final = (
    *("0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5"),
    *("1.0", "2.5", "+Inf"),
)
AGE: Final = (
    *("1.0", "5.0", "15.0", "30.0", "60.0", "120.0", "300.0", "360.0"),
    *("600.0", "900.0", "1200.0", "1800.0", "3600.0", "+Inf"),
)
WAIT: Final = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.0", "5.0", "+Inf")
TYPES: Final = {
    "lookups": "counter",
    "cache_hit_ratio": "gauge",
    "cache_entries": "gauge",
    "cache_evictions": "counter",
    "served_age_seconds": "histogram",
    "served_uncertainty_ratio": "histogram",
    "tracked_tokens": "gauge",
    "refresh_duration_seconds": "histogram",
    "refresh_last_success_timestamp_seconds": "gauge",
    "refresh_tokens": "counter",
    "upstream_requests": "counter",
    "upstream_request_duration_seconds": "histogram",
    "upstream_circuit_open": "gauge",
    "upstream_budget_wait_seconds": "counter",
    "rejected_quotes": "counter",
    "http_requests": "counter",
    "http_request_duration_seconds": "histogram",
    "config_last_reload_successful": "gauge",
    "config_last_reload_success_timestamp_seconds": "gauge",
    "event_loop_lag_seconds": "gauge",
    "tokens_by_confidence": "gauge",
    "popular_tokens_below_high": "gauge",
    "popular_unpriced_tokens": "gauge",
    "pricing_source_info": "gauge",
    "refresh_interval_seconds": "gauge",
    "upstream_budget_requests_per_minute": "gauge",
    "upstream_budget_used_ratio": "gauge",
    "lookup_wait_seconds": "histogram",
    "stream_clients": "gauge",
    "token_market_cap_usd": "gauge",
    "token_updated_timestamp_seconds": "gauge",
    "build_info": "gauge",
}
"""Name without `_total`, and type, of every metric that must be there from the start."""
LABELS: Final = {
    "lookups_total": {
        ("result", one) for one in ("hit", "stale", "miss", "not_priced", "invalid", "rejected", "error")
    },
    "cache_evictions_total": {("reason", one) for one in ("expired", "capacity", "delisted", "not_priced")},
    "tracked_tokens": {("tier", one) for one in ("popular", "requested", "trending")},
    "upstream_circuit_open": {("source", one) for one in SOURCE},
    "upstream_budget_requests_per_minute": {("source", one) for one in SOURCE},
    "upstream_budget_used_ratio": {("source", one) for one in SOURCE},
    "pricing_source_info": {("source", one) for one in SOURCE if one != "solana_rpc"},
    "tokens_by_confidence": {("confidence", one) for one in ("high", "medium", "low")},
    "popular_tokens_below_high": {("reason", one) for one in get_args(ConfidenceReason)},
    "refresh_interval_seconds": {("loop", one) for one in LOOP if one not in {"miss", "early"}},
    "upstream_budget_wait_seconds_total": {("source", one) for one in SOURCE},
    "upstream_request_duration_seconds_count": {("source", one) for one in SOURCE},
    "refresh_duration_seconds_count": {("loop", one) for one in LOOP},
    "http_request_duration_seconds_count": {("route", one) for one in (*ROUTES, "unmatched")},
}

Samples = dict[str, dict[frozenset[tuple[str, str]], float]]


async def scrape(site: Site) -> tuple[dict[str, str], Samples]:
    """Return the types of our metrics, and their samples by name and labels."""
    answer = await site.ops("/metrics")
    assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (200, "text/plain")
    types: dict[str, str] = {}
    samples: Samples = {}
    for family in parse_text(answer.body.decode()):
        assert family.documentation
        types[family.name.removeprefix("mc_sidecar_")] = family.type
        for sample in family.samples:
            by_labels = samples.setdefault(sample.name.removeprefix("mc_sidecar_"), {})
            labels = frozenset(sample.labels.items())
            assert labels not in by_labels
            by_labels[labels] = sample.value
    return types, samples


def hanging(market: WatchedMarket) -> None:
    for source in market.faults:
        market.faults[source] = Fault(kind="hang")


async def test_every_metric_and_every_known_label_value_is_there_from_the_start() -> None:
    async with serving(prepare=hanging, warm=False) as site:
        types, samples = await scrape(site)

    assert {name: types[name] for name in TYPES} == TYPES
    for name, labels in LABELS.items():
        assert set(samples[name]) == {frozenset({label}) for label in labels}, name
    assert set(samples["refresh_tokens_total"]) == _pairs(
        "loop", LOOP, "outcome", ("updated", "not_priced", "failed")
    )
    assert set(samples["upstream_requests_total"]) == _pairs("source", SOURCE, "outcome", UPSTREAM)
    assert set(samples["rejected_quotes_total"]) == _pairs("source", SOURCE, "reason", REFUSAL)
    expected = _pairs("route", ROUTES, "status", ("200",)) | _pairs("route", ("unmatched",), "status", ("404",))
    assert set(samples["http_requests_total"]) == expected
    assert sum(samples["lookups_total"].values()) == 0


def _pairs(one: str, ones: object, other: str, others: object) -> set[frozenset[tuple[str, str]]]:
    product = itertools.product(sorted(ones), sorted(others))  # type: ignore[call-overload]
    return {frozenset({(one, left), (other, right)}) for left, right in product}


async def test_timestamps_have_no_series_before_the_first_success() -> None:
    async with serving(prepare=hanging, warm=False) as site:
        _, samples = await scrape(site)

    for name in (
        "refresh_last_success_timestamp_seconds",
        "token_updated_timestamp_seconds",
        "token_market_cap_usd",
    ):
        assert all(loop in {"tracked", "stats"} for labels in samples.get(name, {}) for _, loop in labels)


async def test_the_buckets_are_those_of_the_contract(site: Site) -> None:
    _, samples = await scrape(site)

    for name, bounds in (
        *(
            ("refresh_duration_seconds", REFRESH),
            ("lookup_wait_seconds", WAIT),
            ("upstream_request_duration_seconds", SLOW),
        ),
        *(("http_request_duration_seconds", HTTP), ("served_age_seconds", AGE)),
    ):
        found = {dict(labels)["le"] for labels in samples[f"{name}_bucket"]}
        assert {float(bound) for bound in found} == {float(bound) for bound in bounds}, name


async def test_nothing_is_called_created(site: Site) -> None:
    for accept in ("text/plain", "application/openmetrics-text"):
        assert b"_created" not in (await site.ops("/metrics", headers={"Accept": accept})).body


async def test_openmetrics_is_there_for_those_who_accept_it(site: Site) -> None:
    answer = await site.ops("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    families = {family.name for family in parse_openmetrics(answer.body.decode())}  # type: ignore[no-untyped-call]

    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert {f"mc_sidecar_{name}" for name in TYPES} <= families
    assert answer.body.endswith(b"# EOF\n")


async def test_lookups_are_counted_by_how_they_were_answered(site: Site) -> None:
    await site.get(f"/mc/{SOL}")
    await site.get(f"/mc?mints={SOL},{JUP},{STSOL},x")
    await site.wait_for(site.get(f"/mc/{site.unpopular()}"))
    site.switch_off("jupiter", "dexscreener", "geckoterminal")
    await site.wait_for(site.get(f"/mc/{site.unpopular()}"))
    site.rig.clock.advance(361)
    await site.get(f"/mc/{SOL}")
    _, samples = await scrape(site)

    counts = {dict(labels)["result"]: count for labels, count in samples["lookups_total"].items()}
    assert counts == {"hit": 3, "stale": 1, "miss": 1, "not_priced": 1, "invalid": 1, "rejected": 0, "error": 1}
    assert samples["served_age_seconds_count"][frozenset()] == 5


async def test_requests_are_counted_by_template_never_by_what_was_asked(site: Site) -> None:
    for target in (f"/mc/{SOL}", "/mc/x", "/nowhere/1", "/nowhere/2"):
        await site.get(target)
    await site.ask("DELETE", "/stats")
    _, samples = await scrape(site)

    counts = {
        (dict(one)["route"], dict(one)["status"]): count for one, count in samples["http_requests_total"].items()
    }
    assert counts["/mc/{mint}", "200"] == counts["/mc/{mint}", "400"] == 1
    assert counts["unmatched", "404"] == 2
    assert {route for route, _ in counts} == {*ROUTES, "unmatched"}


async def test_popular_tokens_have_series_with_mint_and_symbol(site: Site) -> None:
    _, samples = await scrape(site)
    popular = {
        (token.mint, token.symbol) for token in site.sidecar.service.settings.popular if token.mint != STSOL
    }

    for name in ("token_market_cap_usd", "token_updated_timestamp_seconds"):
        assert {(dict(one)["mint"], dict(one)["symbol"]) for one in samples[name]} == popular
    token = (await site.get(f"/mc/{JUP}")).json
    assert (
        samples["token_market_cap_usd"][frozenset({("mint", JUP), ("symbol", "JUP")})] == token["market_cap_usd"]
    )


async def test_build_info_names_what_is_running(site: Site) -> None:
    _, samples = await scrape(site)
    ((labels, value),) = samples["build_info"].items()

    assert (set(dict(labels)), dict(labels)["version"], value) == (
        {"version", "revision", "python"},
        __version__,
        1,
    )


async def test_one_metric_may_be_asked_for_by_name(site: Site) -> None:
    answer = await site.ops("/metrics?name[]=mc_sidecar_lookups_total&name[]=mc_sidecar_cache_entries")
    names = {family.name for family in parse_text(answer.body.decode())}
    assert (answer.status, names) == (200, {"mc_sidecar_lookups", "mc_sidecar_cache_entries"})


async def test_a_wrong_method_counts_at_the_route_that_the_path_is(site: Site) -> None:
    await site.ask("DELETE", "/mc")
    await site.ask("PUT", f"/mc/{SOL}")
    _, samples = await scrape(site)
    counts = {(dict(one)["route"], dict(one)["status"]): n for one, n in samples["http_requests_total"].items()}
    assert (counts["/mc", "405"], counts["/mc/{mint}", "405"]) == (1, 1)

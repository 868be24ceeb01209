"""Each alert fires for its own fault, alone, and neither before its time nor without the fault."""

from pathlib import Path

import pytest

from tests.system.monitoring.faults import (
    ALERTS,
    FAULTS,
    FOUND,
    PRICE_SOURCES,
    every_ten_minutes,
    from_the_fault,
    source_fails,
)
from tests.system.monitoring.promtool import (
    POPULAR_SUCCESS,
    Series,
    check,
    circuit,
    firing,
    healthy,
    lookups,
    prices_asked_of,
    requests,
)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_fires_its_alert_alone_and_in_time(name: str, tmp_path: Path) -> None:
    fault = FAULTS[name]
    severity = ALERTS[fault.alert]["labels"]["severity"]
    expectations = [
        firing(FOUND + fault.not_yet, [], severity),
        *(firing(FOUND + minutes, [fault.alert], severity) for minutes in (fault.fired, fault.fired + 15)),
    ]
    assert check(tmp_path, fault.changed, expectations) == ""


@pytest.mark.parametrize("percent", [2, 6])
def test_an_objective_missed_by_little_is_told_by_the_slow_tiers_alone(percent: int, tmp_path: Path) -> None:
    """Six days, the last three of them with so many of a hundred values stale: too few for the budget's alerts."""
    stale = 6 * percent
    days = {
        lookups("hit"): f"0+6000x431 {6000 * 432}+{10 * (600 - stale)}x432",
        lookups("stale"): f"0x431 0+{10 * stale}x432",
        **{lookups(result): "0x864" for result in ("miss", "error")},
    }
    alert = ["McSidecarFreshnessObjectiveMissed"]
    quiet = [firing(24 * 60 * day, [], "") for day in (1, 2, 3)]
    told = [firing(24 * 60 * day, alert, "warning") for day in (5, 6)]
    assert check(tmp_path, dict.fromkeys(healthy(), "") | days, [*quiet, *told], interval="10m") == ""


def after_an_outage(minutes: int) -> Series:
    """Return no price source answering for so many minutes; GeckoTerminal, whom nobody asks then, is left open."""
    over = FOUND + minutes
    answered = f"0+1x{FOUND - 1} {FOUND}+0x{minutes} {FOUND}+1x480"
    failed = f"0x{FOUND - 1} 0+1x{minutes} {minutes}x480"
    fresh = f"0+600x{FOUND + 5} {600 * (FOUND + 5)}+0x{minutes - 6} {600 * (FOUND + 6)}+600x480"
    stale = f"0x{FOUND + 5} 0+600x{minutes - 6} {600 * (minutes - 6)}x480"
    return {
        **{requests(source, "ok"): answered for source in ("jupiter", "dexscreener")},
        **{requests(source, "connect"): failed for source in PRICE_SOURCES},
        **{circuit(source): f"0x{FOUND + 2} 1x{minutes - 2} 0x480" for source in ("jupiter", "dexscreener")},
        circuit("geckoterminal"): f"0x{FOUND + 2} 1x500",
        POPULAR_SUCCESS: f"0+60x{FOUND - 1} {60 * FOUND}+0x{minutes} {60 * over}+60x480",
        lookups("hit"): fresh,
        lookups("stale"): stale,
    }


@pytest.mark.parametrize("minutes", [15, 30, 90])
def test_an_outage_is_told_once_and_nothing_follows_from_it(minutes: int, tmp_path: Path) -> None:
    """Until the slow window of six hours has forgotten what ran stale meanwhile."""
    over = FOUND + minutes
    expectations = [
        firing(over - 2, ["McSidecarEverySourceFailing"], "critical"),
        *(firing(minute, [], "") for minute in range(over + 3, over + 60)),
    ]
    assert check(tmp_path, after_an_outage(minutes), expectations) == ""


def test_sources_only_asked_for_trending_lists_do_not_hide_that_no_price_comes(tmp_path: Path) -> None:
    """With `pricing.sources: [jupiter]`, at every minute of an hour."""
    changed = {
        **source_fails("jupiter", "http_5xx"),
        **{prices_asked_of(source): "" for source in ("dexscreener", "geckoterminal")},
        **{requests(source, "ok"): every_ten_minutes() for source in ("dexscreener", "geckoterminal")},
        POPULAR_SUCCESS: from_the_fault("0+60", f"{60 * FOUND}+0"),
    }
    expectations = [
        firing(minute, ["McSidecarEverySourceFailing"], "critical") for minute in range(FOUND + 8, FOUND + 68)
    ]
    assert check(tmp_path, changed, expectations) == ""


def test_a_pod_that_asks_nobody_any_more_is_not_failing_for_ever(tmp_path: Path) -> None:
    """Its circuits stay open, because no call comes to close them."""
    changed = {
        **{requests(source, "ok"): from_the_fault("0+1", f"{FOUND}+0") for source in ("jupiter", "dexscreener")},
        **{requests(source, "http_5xx"): f"0x{FOUND} 1x9 2x480" for source in PRICE_SOURCES},
        **{circuit(source): from_the_fault("0+0", "1+0") for source in PRICE_SOURCES},
    }
    expectations = [
        firing(FOUND + 15, ["McSidecarEverySourceFailing"], "critical"),
        *(firing(minute, [], "") for minute in range(FOUND + 45, FOUND + 120, 5)),
    ]
    assert check(tmp_path, changed, expectations) == ""


def test_a_popular_list_that_is_refreshed_seldom_is_measured_by_its_interval(tmp_path: Path) -> None:
    """Every hour, the last time one hour and a half ago."""
    interval = next(name for name in healthy() if "refresh_interval" in name)
    seldom = "0x89 " + " ".join(f"{count * 3600}x59" for count in range(1, 9))
    quiet = [firing(minute, [], "") for minute in range(60, 300, 15)]
    assert check(tmp_path, {interval: "3600x600", POPULAR_SUCCESS: seldom}, quiet) == ""


def test_every_alert_has_its_fault() -> None:
    assert {fault.alert for fault in FAULTS.values()} | {"McSidecarFreshnessObjectiveMissed"} == set(ALERTS)


def test_a_sidecar_that_never_refreshed_is_told_by_its_age(tmp_path: Path) -> None:
    alert = "McSidecarPopularListNotRefreshed"
    expectations = [firing(10, [], "warning"), firing(13, [alert], "warning"), firing(60, [alert], "warning")]
    assert check(tmp_path, {POPULAR_SUCCESS: ""}, expectations) == ""


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, "ten healthy hours"),
        (
            {lookups("hit"): "0+1x600", lookups("stale"): "0+1x600", lookups("miss"): "0x600"},
            "hardly any traffic",
        ),
        ({lookups("hit"): "0x600", lookups("miss"): "0x600"}, "nobody asks"),
        ({lookups("stale"): "0x120 0+600x4 2400x480"}, "stale for four minutes"),
        ({requests("geckoterminal", "http_5xx"): "0x120 1x480"}, "one failed request to a source hardly asked"),
        ({requests("jupiter", "http_5xx"): "0+0.5x600"}, "a source that fails every third time"),
        ({lookups("not_priced"): "0+600x600", lookups("invalid"): "0+600x600"}, "questions without an answer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nothing_fires_without_a_fault(changed: Series, why: str, tmp_path: Path) -> None:
    quiet = [firing(minutes, [], "") for minutes in (5, 125, 150, 200)]
    assert check(tmp_path, changed, quiet) == "", why


def test_other_programs_are_not_looked_at(tmp_path: Path) -> None:
    others = {'up{job="database"}': "0x600", 'process_start_time_seconds{job="database"}': "0x600"}
    assert check(tmp_path, others, [firing(minutes, [], "") for minutes in (10, 60, 600)]) == ""

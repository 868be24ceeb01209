"""Each alert fires for its own fault, alone, and neither before its time nor without the fault."""

from pathlib import Path
from typing import Final

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
    Scenario,
    Series,
    check,
    check_all,
    circuit,
    firing,
    healthy,
    lookups,
    prices_asked_of,
    requests,
)


@pytest.mark.parametrize("within_an_hour", [True, False])
def test_each_fault_fires_its_alert_alone_and_in_time(within_an_hour: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """Side by side, and those that take hours apart: the slowest decides how long all are played."""
    scenarios = {}
    for name, fault in FAULTS.items():
        if (fault.fired <= 60) == within_an_hour:
            severity = ALERTS[fault.alert]["labels"]["severity"]
            told = [
                firing(FOUND + minutes, [fault.alert], severity) for minutes in (fault.fired, fault.fired + 15)
            ]
            scenarios[name] = Scenario(fault.changed, [firing(FOUND + fault.not_yet, [], severity), *told])
    assert check_all(tmp_path, scenarios) == ""


def test_an_objective_missed_by_little_is_told_by_the_slow_tier_alone(tmp_path: Path) -> None:
    """Four days, the last two of them with two or six of a hundred values stale: too few for the fast tiers."""
    quiet = [firing(24 * 60 * day, [], "") for day in (1, 2)]
    told = firing(24 * 60 * 4, ["McSidecarFreshnessObjectiveMissed"], "warning")
    scenarios = {}
    for percent in (2, 6):
        stale = 60 * percent
        days = {
            lookups("hit"): f"0+6000x287 {6000 * 288}+{6000 - stale}x288",
            lookups("stale"): f"0x287 0+{stale}x288",
            **{lookups(result): "0x576" for result in ("miss", "error")},
        }
        scenarios[f"{percent} %"] = Scenario(dict.fromkeys(healthy(), "") | days, [*quiet, told])
    assert check_all(tmp_path, scenarios, interval="10m") == ""


def after_an_outage(minutes: int) -> Series:
    """Return no price source answering for so many minutes; GeckoTerminal, not asked then, is left open."""
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


def test_an_outage_is_told_once_and_nothing_follows_from_it(tmp_path: Path) -> None:
    """Until the slow window of six hours has forgotten what ran stale meanwhile."""
    scenarios = {}
    for minutes in (15, 30, 90):
        over = FOUND + minutes
        told = firing(over - 2, ["McSidecarEverySourceFailing"], "critical")
        quiet = [firing(minute, [], "") for minute in range(over + 3, over + 60)]
        scenarios[f"{minutes} minutes"] = Scenario(after_an_outage(minutes), [told, *quiet])
    assert check_all(tmp_path, scenarios) == ""


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


def test_a_pod_that_asks_no_source_any_more_is_not_failing_for_ever(tmp_path: Path) -> None:
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


NO_FAULTS: Final[dict[str, Series]] = {
    "ten healthy hours": {},
    "hardly any traffic": {lookups("hit"): "0+1x600", lookups("stale"): "0+1x600", lookups("miss"): "0x600"},
    "nobody asks": {lookups("hit"): "0x600", lookups("miss"): "0x600"},
    "stale for four minutes": {lookups("stale"): "0x120 0+600x4 2400x480"},
    "one failed request to a source hardly asked": {requests("geckoterminal", "http_5xx"): "0x120 1x480"},
    "a source that fails every third time": {requests("jupiter", "http_5xx"): "0+0.5x600"},
    "questions without an answer": {lookups("not_priced"): "0+600x600", lookups("invalid"): "0+600x600"},
}


def test_nothing_fires_without_a_fault(tmp_path: Path) -> None:
    quiet = [firing(minutes, [], "") for minutes in (5, 122, 125, 140)]
    assert check_all(tmp_path, {name: Scenario(changed, quiet) for name, changed in NO_FAULTS.items()}) == ""


def test_a_fault_is_seen_by_these_tests(tmp_path: Path) -> None:
    """A scenario whose expectation is wrong is found, with its name."""
    wrong = Scenario(FAULTS["Jupiter answers 5xx"].changed, [firing(FOUND + 40, [], "")])
    found = check_all(tmp_path, {"ten healthy hours": Scenario({}, [firing(100, [], "")]), "a fault": wrong})
    assert 'application=\\"a fault\\"' in found
    assert "ten healthy hours" not in found


def test_other_programs_are_not_looked_at(tmp_path: Path) -> None:
    others = {'up{job="database"}': "0x600", 'process_start_time_seconds{job="database"}': "0x600"}
    assert check(tmp_path, others, [firing(minutes, [], "") for minutes in (10, 60, 200)]) == ""

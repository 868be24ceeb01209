"""Each alert fires for its own fault, alone, and neither before its time nor without the fault."""

import re
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

import pytest
import yaml

from tests.programs import require_program
from tests.system.k8s.rendering import REPOSITORY
from tests.system.monitoring.files import Json, panel_queries, rule_groups, rules
from tests.system.monitoring.promtool import (
    POPULAR_SUCCESS,
    RELOADED,
    SOURCES,
    UP,
    Series,
    check,
    circuit,
    firing,
    healthy,
    lookups,
    requests,
)

ALERTS: Final = {rule["alert"]: rule for rule in rules("alert")}
PRICE_SOURCES: Final = tuple(source for source in SOURCES if source != "solana_rpc")
FOUND: Final = 120
"""Minute at which every fault below begins."""


def from_the_fault(before: str, after: str) -> str:
    """Return values for the first two hours and for the other eight."""
    return f"{before}x{FOUND - 1} {after}x480"


def every_ten_minutes() -> str:
    """Return a count that goes up by one every ten minutes from the fault on."""
    return f"0x{FOUND} " + " ".join(f"{count}x9" for count in range(1, 49))


class Fault(NamedTuple):
    """What changes in ten healthy hours, and which alert tells it: minutes after it, when not yet and when."""

    alert: str
    changed: Series
    not_yet: int
    fired: int


def source_fails(source: str, outcome: str) -> Series:
    return {
        requests(source, "ok"): from_the_fault("0+1", f"{FOUND}+0"),
        requests(source, outcome): from_the_fault("0+0", "0+1"),
    }


EVERY_SOURCE_FAILS: Final = {
    key: value for source in PRICE_SOURCES for key, value in source_fails(source, "http_5xx").items()
} | {
    POPULAR_SUCCESS: from_the_fault("0+60", f"{60 * FOUND}+0"),
    lookups("hit"): f"0+600x{FOUND + 5} {600 * (FOUND + 6)}+0x480",
    lookups("stale"): f"0x{FOUND + 5} 0+600x480",
}
FAULTS: Final = {
    "half of the values are stale": Fault(
        "McSidecarFreshnessBudgetBurningFast",
        {
            lookups("hit"): from_the_fault("0+600", f"{600 * FOUND}+300"),
            lookups("stale"): from_the_fault("0+0", "0+300"),
        },
        15,
        30,
    ),
    "every tenth value is stale": Fault(
        "McSidecarFreshnessBudgetBurningSlowly",
        {
            lookups("hit"): from_the_fault("0+600", f"{600 * FOUND}+540"),
            lookups("stale"): from_the_fault("0+0", "0+60"),
        },
        120,
        300,
    ),
    "every tenth look-up fails": Fault(
        "McSidecarFreshnessBudgetBurningSlowly",
        {lookups("error"): from_the_fault("0+0", "0+60")},
        120,
        330,
    ),
    "the popular loop succeeds no more": Fault(
        "McSidecarPopularListNotRefreshed", {POPULAR_SUCCESS: from_the_fault("0+60", f"{60 * FOUND}+0")}, 9, 13
    ),
    "every price source answers 5xx": Fault("McSidecarEverySourceFailing", EVERY_SOURCE_FAILS, 4, 60),
    "Jupiter answers 5xx": Fault("McSidecarSourceFailing", source_fails("jupiter", "http_5xx"), 20, 60),
    "DexScreener says 429": Fault("McSidecarSourceFailing", source_fails("dexscreener", "rate_limited"), 20, 60),
    "the trending list of GeckoTerminal fails every ten minutes": Fault(
        "McSidecarSourceFailing",
        {requests("geckoterminal", "rate_limited"): every_ten_minutes()},
        24,
        60,
    ),
    "all circuits are open, and the popular list is asked for every ten minutes": Fault(
        "McSidecarEverySourceFailing",
        EVERY_SOURCE_FAILS
        | {requests(source, "http_5xx"): every_ten_minutes() for source in PRICE_SOURCES}
        | {circuit(source): from_the_fault("0+0", "1+0") for source in PRICE_SOURCES},
        4,
        60,
    ),
    "the RPC node answers 5xx": Fault("McSidecarSourceFailing", source_fails("solana_rpc", "http_5xx"), 20, 60),
    "more cold tokens are wanted than the budget allows": Fault(
        "McSidecarBudgetExhausted", {lookups("rejected"): from_the_fault("0+0", "0+60")}, 8, 30
    ),
    "the changed popular list is refused": Fault(
        "McSidecarReloadFailed", {RELOADED: from_the_fault("1+0", "0+0")}, 4, 6
    ),
    "the sidecar cannot be scraped": Fault("McSidecarDown", {UP: from_the_fault("1+0", "0+0")}, 4, 6),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_fires_its_alert_alone_and_in_time(name: str, tmp_path: Path) -> None:
    fault = FAULTS[name]
    severity = ALERTS[fault.alert]["labels"]["severity"]
    expectations = [
        firing(FOUND + fault.not_yet, [], severity),
        *(firing(FOUND + minutes, [fault.alert], severity) for minutes in (fault.fired, fault.fired + 30)),
    ]
    assert check(tmp_path, fault.changed, expectations) == ""


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


@pytest.mark.parametrize("minutes", [15, 30, 120])
def test_an_outage_is_told_once_and_nothing_follows_from_it(minutes: int, tmp_path: Path) -> None:
    """Until the slow window of six hours has forgotten what ran stale meanwhile."""
    over = FOUND + minutes
    expectations = [
        firing(over - 2, ["McSidecarEverySourceFailing"], "critical"),
        *(firing(minute, [], "") for minute in range(over + 3, over + 60)),
    ]
    assert check(tmp_path, after_an_outage(minutes), expectations) == ""


def test_one_of_two_pods_without_sources_is_told_once(tmp_path: Path) -> None:
    other = {
        name.replace("web-1", "web-2").replace("10.0.0.1", "10.0.0.2"): values
        for name, values in (healthy() | EVERY_SOURCE_FAILS).items()
    }
    expectations = [
        firing(FOUND + minutes, ["McSidecarEverySourceFailing"], "critical") for minutes in (15, 60, 240, 470)
    ]
    assert check(tmp_path, other, expectations) == ""


def test_every_alert_has_its_fault() -> None:
    assert {fault.alert for fault in FAULTS.values()} == set(ALERTS)


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
    quiet = [firing(minutes, [], "") for minutes in (5, 125, 150, 400, 600)]
    assert check(tmp_path, changed, quiet) == "", why


def test_alert_tells_people_what_where_and_how_much(tmp_path: Path) -> None:
    told = {
        "summary": "Look-ups in shop are refused for want of upstream calls.",
        "description": "9.009% of the look-ups were refused (429): the applications ask for more cold tokens than "
        "the sources' budgets allow.",
        "runbook": "docs/runbook.md#mcsidecarbudgetexhausted",
    }
    labels = {"severity": "warning", "job": "mc-sidecar", "namespace": "shop"}
    expected = {
        "eval_time": f"{FOUND + 60}m",
        "alertname": "McSidecarBudgetExhausted",
        "exp_alerts": [{"exp_labels": labels, "exp_annotations": told}],
    }
    assert check(tmp_path, {lookups("rejected"): "0+60x600"}, [], (expected,)) == ""


def test_hit_ratio_counts_what_came_from_memory(tmp_path: Path) -> None:
    """3 hits and 1 stale of 8 a second; refused, invalid and failed look-ups do not count."""
    counts = {"hit": 180, "stale": 60, "miss": 120, "not_priced": 120, "rejected": 500, "invalid": 500, "error": 5}
    changed = {lookups(result): f"0+{count}x60" for result, count in counts.items()}
    labels = '{__name__="mc_sidecar:cache_hit:ratio_rate5m",job="mc-sidecar",namespace="shop"}'
    expected = {"expr": "mc_sidecar:cache_hit:ratio_rate5m", "eval_time": "30m"}
    assert check(tmp_path, changed, [expected | {"exp_samples": [{"labels": labels, "value": 0.5}]}]) == ""


def lint(folder: Path, groups: Json) -> subprocess.CompletedProcess[str]:
    promtool = require_program("promtool", package="prometheus")
    (folder / "rules.yaml").write_text(yaml.safe_dump(groups))
    command = [promtool, "check", "rules", "--lint=all", "--lint-fatal", str(folder / "rules.yaml")]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - promtool from PATH


def test_rule_file_is_clean(tmp_path: Path) -> None:
    done = lint(tmp_path, rule_groups())
    assert done.returncode == 0, done.stderr


def test_every_panel_query_is_promql(tmp_path: Path) -> None:
    queries = [
        {"record": f"panel:{number}", "expr": re.sub(r"\$__rate_interval", "5m", query)}
        for number, query in enumerate(panel_queries().values())
    ]
    done = lint(tmp_path, {"groups": [{"name": "panels", "rules": queries}]})
    assert done.returncode == 0, done.stderr


def test_other_programs_are_not_looked_at(tmp_path: Path) -> None:
    others = {'up{job="database"}': "0x600", 'process_start_time_seconds{job="database"}': "0x600"}
    assert check(tmp_path, others, [firing(minutes, [], "") for minutes in (10, 60, 600)]) == ""


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_its_section_in_the_runbook(alert: str) -> None:
    assert ALERTS[alert]["annotations"]["runbook"] == f"docs/runbook.md#{alert.lower()}"
    runbook = (REPOSITORY / "docs" / "runbook.md").read_text()
    assert f"\n## {alert}\n" in runbook

"""An alert is told once for an application, however many pods it has."""

from pathlib import Path

import pytest

from tests.system.monitoring.faults import (
    ALERTS,
    EVERY_SOURCE_FAILS,
    FAULTS,
    FOUND,
    from_the_fault,
    source_fails,
)
from tests.system.monitoring.files import RUNBOOK
from tests.system.monitoring.promtool import (
    RELOADED,
    STARTED,
    UNPRICED,
    UP,
    Series,
    check,
    firing,
    healthy,
    pod,
)


def test_one_of_two_pods_without_sources_is_told_once(tmp_path: Path) -> None:
    other = pod(2, healthy() | EVERY_SOURCE_FAILS)
    expectations = [
        firing(FOUND + minutes, ["McSidecarEverySourceFailing"], "critical") for minutes in (15, 60, 120)
    ]
    assert check(tmp_path, other, expectations) == ""


@pytest.mark.parametrize(
    "name", ["every price source answers 5xx", "Jupiter answers 5xx", "the label of the pods is gone"]
)
def test_a_fault_of_six_pods_is_told_once(name: str, tmp_path: Path) -> None:
    fault = FAULTS[name]
    fleet = {
        series: text for number in range(1, 7) for series, text in pod(number, healthy() | fault.changed).items()
    }
    severity = ALERTS[fault.alert]["labels"]["severity"]
    assert check(tmp_path, fleet, [firing(FOUND + fault.fired, [fault.alert], severity)]) == ""


def test_a_fault_of_two_applications_is_told_for_each(tmp_path: Path) -> None:
    other = {
        name.replace('application="web"', 'application="api"'): text
        for name, text in pod(2, healthy() | source_fails("jupiter", "http_5xx")).items()
    }
    expected = {
        "expr": 'count by (application) (ALERTS{alertname="McSidecarSourceFailing",alertstate="firing"})',
        "eval_time": f"{FOUND + 60}m",
        "exp_samples": [{"labels": f'{{application="{name}"}}', "value": 1} for name in ("api", "web")],
    }
    assert check(tmp_path, other | source_fails("jupiter", "http_5xx"), [expected]) == ""


def test_what_a_job_leaves_behind_is_not_missing(tmp_path: Path) -> None:
    gone = {
        name.replace('workload="ReplicaSet"', 'workload="Job"'): text.replace("x600", f"x{FOUND} stale")
        for name, text in healthy().items()
    }
    without = dict.fromkeys(healthy(), "")
    quiet = [firing(FOUND + minutes, [], "") for minutes in range(1, 80, 3)]
    assert check(tmp_path, without | gone, quiet) == ""


def test_a_rolling_update_is_no_outage(tmp_path: Path) -> None:
    """One pod after the other cannot be scraped for a minute, and has no price at first."""
    fleet: Series = {}
    for number in range(1, 9):
        at = FOUND + number
        changed = {
            UP: f"1x{at - 1} 0x1 1x480",
            STARTED: f"0x{at} {60 * at}x480",
            UNPRICED: f"1x{at} 11 1x480",
        }
        fleet |= pod(number, healthy() | changed)
    assert check(tmp_path, fleet, [firing(minute, [], "") for minute in range(FOUND, FOUND + 60)]) == ""


def test_alert_of_a_fleet_tells_the_share_of_its_pods(tmp_path: Path) -> None:
    fleet = {name: text for number in range(2, 5) for name, text in pod(number, healthy()).items()}
    told = {
        "summary": "The popular list of shop/web is refused.",
        "description": "25% of the sidecars of shop/web cannot use their popular list and go on with the one "
        "before, or started on another. Their log says why.",
        "runbook_url": f"{RUNBOOK}#mcsidecarreloadfailed",
        "dashboard_url": "https://grafana.example.com/d/mc-sidecar?var-namespace=shop&var-application=web",
    }
    labels = {"severity": "warning", "job": "mc-sidecar", "namespace": "shop", "application": "web"}
    expected = {
        "eval_time": f"{FOUND + 60}m",
        "alertname": "McSidecarReloadFailed",
        "exp_alerts": [{"exp_labels": labels, "exp_annotations": told}],
    }
    assert check(tmp_path, fleet | {RELOADED: from_the_fault("1+0", "0+0")}, [], (expected,)) == ""

"""A real Prometheus scrapes a running sidecar: every query of dashboard and rules has something to show."""

import math
import re
import subprocess
from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest

from sidecar.demo import Market
from tests.programs import require_program
from tests.system.monitoring.files import metric_selectors, panel_queries, rules, selected
from tests.system.monitoring.processes import Prometheus, demo, get, prometheus, until

FIRST_SCRAPES: Final = 2
SCRAPES: Final = 12
COLD: Final = 3
"""Cold tokens asked for: not so many that the sources' budgets are used up."""
RULE_SELECTOR: Final = re.compile(r"mc_sidecar:[\w:]+(?:\{[^}]*\})?")


class Running(NamedTuple):
    """A sidecar in use, and the Prometheus that looks at it."""

    ops: str
    prometheus: Prometheus


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("prometheus")
    with demo(folder) as (api, ops), prometheus(folder, ops) as started:
        ask_for_a_while(api, started, FIRST_SCRAPES)
        for mint in list(Market(seed=1).tokens)[-COLD:]:
            get(f"{api}/mc/{mint}")
        ask_for_a_while(api, started, SCRAPES)
        yield Running(ops, started)


def ask_for_a_while(api: str, started: Prometheus, until_scrapes: int) -> None:
    """Ask as an application does: a warm token, the popular list and a mistake, until so many scrapes are done."""

    def asked() -> bool | None:
        for path in ("/mc/So11111111111111111111111111111111111111112", "/mc", "/mc/wrong"):
            get(api + path)
        return scrapes(started) >= until_scrapes or None

    until(asked, "Prometheus has scraped")


def scrapes(started: Prometheus) -> int:
    data = started.api("query", query='count_over_time(mc_sidecar_build_info{job="mc-sidecar"}[1m])')
    return int(data["result"][0]["value"][1]) if data and data["result"] else 0


NEEDS_A_FOLLOWER: Final = {"Time to every member/A", "Time to every member/B"}


@pytest.mark.parametrize("name", sorted(panel_queries().keys() - NEEDS_A_FOLLOWER))
def test_every_panel_has_something_to_show(name: str, running: Running) -> None:
    assert running.prometheus.shown(selected(panel_queries()[name], __rate_interval="1m", __range="1m"))


@pytest.mark.parametrize("rule", [rule["record"] for rule in rules("record")])
def test_every_recording_rule_records(rule: str, running: Running) -> None:
    assert running.prometheus.shown(rule)


@pytest.mark.parametrize("alert", rules("alert"), ids=lambda rule: str(rule["alert"]))
def test_everything_an_alert_looks_at_is_there(alert: dict[str, str], running: Running) -> None:
    raw = ["".join(selector) for selector in metric_selectors(alert["expr"])]
    selectors = [*raw, *RULE_SELECTOR.findall(alert["expr"])]
    assert selectors
    assert all(running.prometheus.shown(selector) for selector in selectors)


def test_rules_are_evaluated_without_an_error_and_nothing_fires(running: Running) -> None:
    groups = running.prometheus.api("rules")["groups"]
    evaluated = [rule for group in groups for rule in group["rules"]]
    assert len(evaluated) == len(rules("record")) + len(rules("alert"))
    assert {rule["health"] for rule in evaluated} == {"ok"}
    assert running.prometheus.values('ALERTS{alertstate="firing"}') == []


def test_scrape_configuration_keeps_the_sidecar_alone_and_names_its_pod(running: Running) -> None:
    targets = running.prometheus.api("targets")
    assert [t["labels"]["pod"] for t in targets["activeTargets"]] == ["web-1"]
    labels = targets["activeTargets"][0]["labels"]
    assert (labels["job"], labels["namespace"], labels["container"]) == ("mc-sidecar", "shop", "mc-sidecar")
    assert (labels["application"], labels["workload"]) == ("web", "ReplicaSet")
    assert len(targets["droppedTargets"]) == 1


def test_hit_ratio_of_prometheus_is_the_one_of_the_sidecar(running: Running) -> None:
    [own] = running.prometheus.shown("mc_sidecar_cache_hit_ratio")
    [recorded] = running.prometheus.shown("mc_sidecar:cache_hit:ratio_rate5m")
    assert math.isclose(own, recorded, abs_tol=0.2)


def test_metrics_are_clean(running: Running) -> None:
    promtool = require_program("promtool", package="prometheus")
    _, text = get(f"{running.ops}/metrics")
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)  # noqa: S603 - promtool from PATH
    assert (done.returncode, done.stderr) == (0, b"")

"""A real Prometheus scrapes a running sidecar: every query of dashboard and rules has something to show."""

import math
import re
import subprocess
from collections.abc import Iterator
from itertools import count
from typing import Final, NamedTuple

import pytest

from sidecar.demo import Market
from tests.programs import require_program
from tests.system.monitoring.files import metric_selectors, panel_queries, rules
from tests.system.monitoring.processes import Prometheus, demo, get, prometheus, until

SCRAPES: Final = 12
COLD: Final = 3
"""Cold tokens asked for: not so many that the sources' budgets are used up."""
VARIABLES: Final = {"$__rate_interval": "1m", "$job": ".+", "$instance": ".+", "$namespace": ".*"}
"""What Grafana puts in place of the variables when everything is selected."""
RULE_SELECTOR: Final = re.compile(r"mc_sidecar:[\w:]+(?:\{[^}]*\})?")


class Running(NamedTuple):
    """A sidecar in use, and the Prometheus that looks at it."""

    ops: str
    prometheus: Prometheus


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("prometheus")
    with demo(folder) as (api, ops), prometheus(folder, ops) as started:
        use = questions(api)
        until(lambda: next(use) and (scrapes(started) >= SCRAPES or None), "Prometheus has scraped")
        yield Running(ops, started)


def questions(api: str) -> Iterator[bool]:
    """Ask as an application does, at each turn a warm token, the popular list and a mistake; seldom a cold one."""
    cold = list(Market(seed=1).tokens)[-COLD:]
    for turn in count():
        paths = ["/mc/So11111111111111111111111111111111111111112", "/mc", "/mc/wrong"]
        if turn < COLD:
            paths.append(f"/mc/{cold[turn]}")
        for path in paths:
            get(api + path)
        yield True


def scrapes(started: Prometheus) -> int:
    data = started.api("query", query='count_over_time(mc_sidecar_build_info{job="mc-sidecar"}[1m])')
    return int(data["result"][0]["value"][1]) if data and data["result"] else 0


def selected(expression: str) -> str:
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression


@pytest.mark.parametrize("name", panel_queries())
def test_every_panel_has_something_to_show(name: str, running: Running) -> None:
    assert running.prometheus.values(selected(panel_queries()[name])), panel_queries()[name]


@pytest.mark.parametrize("rule", [rule["record"] for rule in rules("record")])
def test_every_recording_rule_records(rule: str, running: Running) -> None:
    assert running.prometheus.values(rule)


@pytest.mark.parametrize("alert", rules("alert"), ids=lambda rule: str(rule["alert"]))
def test_everything_an_alert_looks_at_is_there(alert: dict[str, str], running: Running) -> None:
    raw = ["".join(selector) for selector in metric_selectors(alert["expr"])]
    selectors = [*raw, *RULE_SELECTOR.findall(alert["expr"])]
    assert selectors
    assert [selector for selector in selectors if not running.prometheus.values(selector)] == []


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
    assert len(targets["droppedTargets"]) == 1


def test_hit_ratio_of_prometheus_is_the_one_of_the_sidecar(running: Running) -> None:
    [own] = running.prometheus.values("mc_sidecar_cache_hit_ratio")
    [recorded] = running.prometheus.values("mc_sidecar:cache_hit:ratio_rate5m")
    assert math.isclose(own, recorded, abs_tol=0.2)


def test_metrics_are_clean(running: Running) -> None:
    promtool = require_program("promtool", package="prometheus")
    _, text = get(f"{running.ops}/metrics")
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)  # noqa: S603 - promtool from PATH
    assert (done.returncode, done.stderr) == (0, b"")

"""The rules of Grafana's dashboard-linter, and what makes this dashboard stable."""

import re
from itertools import combinations
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.system.monitoring.faults import EVERY_SOURCE_FAILS, FOUND
from tests.system.monitoring.files import (
    FOLDER,
    Json,
    dashboard,
    metric_selectors,
    panel_queries,
    panels,
    selected,
)
from tests.system.monitoring.promtool import check

DATA_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
UNITS: Final = frozenset({"short", "percentunit", "reqps", "cps", "cpm", "s", "bytes", "bool", "currencyUSD"})
"""The ones in use, each known to Grafana's value formats."""
VARIABLES: Final = ("namespace", "application", "pod")
WINDOWS: Final = frozenset({"$__rate_interval", "$__range", "1h", "30d"})
COUNTER: Final = re.compile(r"_(total|sum|count|bucket)$")
RECORDED: Final = re.compile(r"\bmc_sidecar:[\w:]+({[^}]*})?")
QUERIES: Final = panel_queries()


def variable(name: str) -> Json:
    [found] = [v for v in dashboard()["templating"]["list"] if v["name"] == name]
    return dict(found)


def test_dashboard_is_found_again_under_the_same_uid_and_cannot_be_edited_in_place() -> None:
    board = dashboard()
    assert (board["uid"], board["editable"]) == ("mc-sidecar", False)
    assert "id" not in board


def test_rows_tell_the_story_in_order() -> None:
    rows = [panel["title"] for panel in dashboard()["panels"] if panel["type"] == "row"]
    assert rows == ["Is it working", "What it keeps warm", "What it costs", "The fleet", "The market itself"]


def test_data_source_is_a_variable() -> None:
    source = variable("datasource")
    assert (source["type"], source["query"], source["label"]) == ("datasource", "prometheus", "Data source")


@pytest.mark.parametrize("name", VARIABLES)
def test_variables_select_many_and_follow_the_time_range(name: str) -> None:
    """Everything includes what lacks the label: a sidecar outside Kubernetes has no pod."""
    chosen = variable(name)
    assert chosen["type"] == "query"
    assert chosen["label"] == name.title()
    assert chosen["datasource"] == DATA_SOURCE
    assert (chosen["multi"], chosen["includeAll"], chosen["allValue"], chosen["refresh"]) == (True, True, ".*", 2)
    assert re.fullmatch(rf"label_values\(mc_sidecar_build_info(\{{[^}}]+\}})?, {name}\)", chosen["query"]["query"])


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: str(panel["title"]))
def test_every_panel_says_what_it_shows_and_in_which_unit(panel: Json) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["targets"]
    assert panel["datasource"] == DATA_SOURCE
    assert all(target["datasource"] == DATA_SOURCE and target["legendFormat"] for target in panel["targets"])


@pytest.mark.parametrize("name", QUERIES)
def test_every_selector_obeys_the_variables(name: str) -> None:
    """Recording rules have no pod."""
    recorded = RECORDED.findall(QUERIES[name])
    assert all('namespace=~"$namespace", application=~"$application"' in matchers for matchers in recorded)
    selectors = metric_selectors(QUERIES[name])
    assert selectors or recorded
    for metric, matchers in selectors:
        for wanted in VARIABLES:
            assert f'{wanted}=~"${wanted}"' in matchers, metric


@pytest.mark.parametrize("name", QUERIES)
def test_counters_are_only_read_as_rates_or_increases(name: str) -> None:
    expression = QUERIES[name]
    assert set(re.findall(r"\[([^\]]+)\]", expression)) <= WINDOWS
    for metric, matchers in metric_selectors(expression):
        as_rate = re.search(rf"(rate|increase)\({re.escape(metric + matchers)}\[\$__ra", expression)
        assert bool(as_rate) == bool(COUNTER.search(metric)), metric


def test_panels_ask_for_no_more_than_what_is_scraped() -> None:
    monitor = yaml.safe_load((FOLDER / "pod-monitor.yaml").read_text())
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert {panel["interval"] for panel in panels()} == {endpoint["interval"]}


@pytest.mark.parametrize("name", QUERIES)
def test_no_panel_draws_a_line_for_each_pod(name: str) -> None:
    """A fleet has dozens: the worst five, or quantiles."""
    by_pod = re.search(r"\bby \([^)]*\b(pod|instance)\b", QUERIES[name])
    assert not by_pod or "topk (5" in QUERIES[name]


def colour(title: str, value: float) -> str:
    [panel] = [panel for panel in panels() if panel["title"] == title]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    reached = [step for step in steps if step["value"] is None or step["value"] <= value]
    return str(reached[-1]["color"])


@pytest.mark.parametrize(
    ("title", "green", "orange", "red"),
    [
        ("Served fresh", 0.995, 0.97, 0.5),
        ("Failed", 0.0, 0.005, 0.2),
        ("Budget left", 0.9, 0.1, -3.0),
    ],
)
def test_first_row_is_coloured_by_the_objective(title: str, green: float, orange: float, red: float) -> None:
    assert [colour(title, value) for value in (green, orange, red)] == ["green", "orange", "red"]


def test_an_outage_is_red(tmp_path: Path) -> None:
    """No source answers, everything is served stale: one look-up in a hundred still got a fresh value."""
    expected = {
        "expr": selected(QUERIES["Served fresh/A"]),
        "eval_time": f"{FOUND + 30}m",
        "exp_samples": [{"labels": "{}", "value": 6 / 606}],
    }
    assert check(tmp_path, EVERY_SOURCE_FAILS, [expected]) == ""
    assert colour("Served fresh", 6 / 606) == "red"


def test_panels_do_not_overlap_and_have_numbers_and_titles_of_their_own() -> None:
    everything = dashboard()["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    assert len({panel["title"] for panel in everything}) == len(everything)
    cells = [{(x, y) for x in columns(p) for y in lines(p)} for p in everything]
    assert not [pair for pair in combinations(cells, 2) if pair[0] & pair[1]]
    assert max(x for taken in cells for x, _ in taken) == 23


def columns(panel: Json) -> range:
    return range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])


def lines(panel: Json) -> range:
    return range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])

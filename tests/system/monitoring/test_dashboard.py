"""The rules of Grafana's dashboard-linter, and what makes this dashboard stable."""

import re
from itertools import combinations
from typing import Final

import pytest

from tests.system.monitoring.files import Json, dashboard, metric_selectors, panel_queries, panels

DATA_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
UNITS: Final = frozenset({"short", "percentunit", "reqps", "cps", "cpm", "s", "bytes", "bool", "currencyUSD"})
"""The ones in use, each known to Grafana's value formats."""
COUNTER: Final = re.compile(r"_(total|sum|count|bucket)$")
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
    assert rows == ["Is it working", "What it keeps warm", "What it costs", "The market itself"]


def test_data_source_is_a_variable() -> None:
    source = variable("datasource")
    assert (source["type"], source["query"], source["label"]) == ("datasource", "prometheus", "Data source")


@pytest.mark.parametrize(("name", "every"), [("namespace", ".*"), ("job", ".+"), ("instance", ".+")])
def test_variables_select_many_and_follow_the_time_range(name: str, every: str) -> None:
    chosen = variable(name)
    assert chosen["type"] == "query"
    assert chosen["label"] == name.title()
    assert chosen["datasource"] == DATA_SOURCE
    assert (chosen["multi"], chosen["includeAll"], chosen["allValue"], chosen["refresh"]) == (True, True, every, 2)
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
    selectors = metric_selectors(QUERIES[name])
    assert selectors
    for metric, matchers in selectors:
        for wanted in ("job", "instance", "namespace"):
            assert f'{wanted}=~"${wanted}"' in matchers, metric


@pytest.mark.parametrize("name", QUERIES)
def test_counters_are_only_read_as_rates_over_the_rate_interval(name: str) -> None:
    expression = QUERIES[name]
    assert set(re.findall(r"\[([^\]]+)\]", expression)) <= {"$__rate_interval"}
    for metric, matchers in metric_selectors(expression):
        as_rate = f"rate({metric}{matchers}[$__rate_interval])"
        assert (as_rate in expression) == bool(COUNTER.search(metric)), metric


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

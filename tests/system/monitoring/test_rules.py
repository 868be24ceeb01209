"""The rule file: clean, linked to the runbook, with texts for people."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.programs import require_program
from tests.system.k8s.rendering import REPOSITORY
from tests.system.monitoring.faults import (
    ALERTS,
    FOUND,
)
from tests.system.monitoring.files import RUNBOOK, Json, panel_queries, panels, rule_groups, selected
from tests.system.monitoring.promtool import (
    check,
    lookups,
)


def test_alert_tells_people_what_where_and_how_much(tmp_path: Path) -> None:
    told = {
        "summary": "Look-ups in shop/web are refused for want of upstream calls.",
        "description": "9.009% of the look-ups were refused (429): the application asks for more cold tokens than "
        "the sources' budgets allow.",
        "runbook_url": f"{RUNBOOK}#mcsidecarbudgetexhausted",
        "dashboard_url": "https://grafana.example.com/d/mc-sidecar?var-namespace=shop&var-application=web",
    }
    labels = {"severity": "warning", "job": "mc-sidecar", "namespace": "shop", "application": "web"}
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
    labels = '{__name__="mc_sidecar:cache_hit:ratio_rate5m",job="mc-sidecar",namespace="shop",application="web"}'
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
        {"record": f"panel:{number}", "expr": selected(query)}
        for number, query in enumerate(panel_queries().values())
    ]
    done = lint(tmp_path, {"groups": [{"name": "panels", "rules": queries}]})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_its_section_in_the_runbook(alert: str) -> None:
    assert ALERTS[alert]["annotations"]["runbook_url"] == f"{RUNBOOK}#{alert.lower()}"
    assert ALERTS[alert]["annotations"]["dashboard_url"].startswith("https://grafana.example.com/d/mc-sidecar?")
    runbook = (REPOSITORY / "docs" / "runbook.md").read_text()
    assert f"\n## {alert}\n" in runbook


def test_runbook_names_panels_that_are_there() -> None:
    paragraphs = (REPOSITORY / "docs" / "runbook.md").read_text().split("\n\n")
    text = " ".join(" ".join(one.split()) for one in paragraphs if one.startswith("**Where to look"))
    named = set(re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", text)) - {"Status → Service discovery"}
    assert len(named) > 10
    assert named <= {panel["title"] for panel in panels()}

"""The monitoring files of the repository, parsed."""

import json
import re
from typing import Any, Final

import yaml

from tests.system.k8s.rendering import MANIFESTS

Json = dict[str, Any]

FOLDER: Final = MANIFESTS / "monitoring"
SELECTED: Final = {
    "$__rate_interval": "5m",
    "$__range": "5m",
    "$namespace": ".*",
    "$application": ".*",
    "$pod": ".*",
}
"""What Grafana puts in place of the variables when everything is selected."""
RUNBOOK: Final = "https://git.example.com/mc-sidecar/blob/main/docs/runbook.md"
"""Where the alerts link to."""
SELECTOR: Final = re.compile(r"\b((?:mc_sidecar|process)_\w+|up)\s*(\{[^}]*\})?")
"""A metric of the sidecar and its matchers; recording rules have a colon and do not match in whole."""


def rule_groups() -> Json:
    """Return the rule file inside the PrometheusRule: what `promtool` and a plain Prometheus read."""
    spec: Json = yaml.safe_load((FOLDER / "prometheus-rule.yaml").read_text())["spec"]
    return spec


def rules(kind: str) -> list[Json]:
    """Return the rules of a kind, `alert` or `record`."""
    return [rule for group in rule_groups()["groups"] for rule in group["rules"] if kind in rule]


def dashboard() -> Json:
    """Return the dashboard."""
    parsed: Json = json.loads((FOLDER / "dashboard.json").read_text())
    return parsed


def panels() -> list[Json]:
    """Return the dashboard's panels without its row titles."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def panel_queries() -> dict[str, str]:
    """Return every query of the dashboard by its panel's title and letter."""
    return {f"{panel['title']}/{t['refId']}": t["expr"] for panel in panels() for t in panel["targets"]}


def metric_selectors(expression: str) -> list[tuple[str, str]]:
    """Return the metrics of an expression with their matchers, recording rules left out."""
    without_rules = re.sub(r"\bmc_sidecar:[\w:]+(\{[^}]*\})?", "", expression)
    return [(match[1], match[2] or "") for match in SELECTOR.finditer(without_rules)]


def selected(query: str, **values: str) -> str:
    """Return a query of the dashboard with the variables replaced, some by other values than `SELECTED`."""
    for variable, value in (SELECTED | {f"${name}": text for name, text in values.items()}).items():
        query = query.replace(variable, value)
    return query

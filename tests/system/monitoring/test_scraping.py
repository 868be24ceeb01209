"""What a target is called: by the PodMonitor, and by the scrape configuration that equals it."""

import re
from typing import Any, Final

import pytest
import yaml

from tests.system.monitoring.files import FOLDER, Json

OPERATOR_NAMES: Final = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
ADDED_BY_THE_OPERATOR: Final = {"job", "namespace", "pod", "container"}


def rules_of_the_pod_monitor() -> list[Json]:
    monitor = yaml.safe_load((FOLDER / "pod-monitor.yaml").read_text())
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    return [
        {OPERATOR_NAMES.get(key, key): value for key, value in rule.items()} for rule in endpoint["relabelings"]
    ]


def rules_of_the_scrape_configuration() -> list[Json]:
    [job] = yaml.safe_load((FOLDER / "scrape-config.yaml").read_text())
    return [rule for rule in job["relabel_configs"] if "action" not in rule]


def own(rules: list[Json]) -> list[Json]:
    return [rule for rule in rules if rule["target_label"] not in ADDED_BY_THE_OPERATOR]


def relabelled(rules: list[Json], found: dict[str, str]) -> dict[str, str]:
    """Do what Prometheus does with rules of the action `replace`."""
    labels = dict(found)
    for rule in rules:
        text = ";".join(labels.get(label, "") for label in rule.get("source_labels", []))
        match = re.fullmatch(rule.get("regex", "(.*)"), text)
        if match:
            template = re.sub(r"\$(\d)", r"\\\1", rule.get("replacement", "$1"))
            labels[rule["target_label"]] = match.expand(template)
    return {name: value for name, value in labels.items() if not name.startswith("__") and value}


def pod(kind: str, name: str, **labels: str) -> dict[str, Any]:
    meta = {
        "controller_kind": kind,
        "controller_name": name,
        **{f"label_{key}": text for key, text in labels.items()},
    }
    return {f"__meta_kubernetes_pod_{key}": text for key, text in meta.items()}


@pytest.mark.parametrize(
    ("found", "application"),
    [
        (pod("ReplicaSet", "orders-6d4cf56db6"), "orders"),
        (pod("ReplicaSet", "orders-api-6d4cf56db6"), "orders-api"),
        (pod("StatefulSet", "ledger"), "ledger"),
        (pod("DaemonSet", "ledger-node"), "ledger-node"),
        (pod("Job", "ledger-import"), "ledger-import"),
        (pod("Job", "ledger-report-29401920"), "ledger-report"),
        (pod("ReplicaSet", "orders-6d4cf56db6", app="shop"), "shop"),
        (pod("StatefulSet", "ledger", app="shop", app_kubernetes_io_name="ledgers"), "ledgers"),
    ],
)
def test_application_is_named_by_its_labels_or_by_what_owns_the_pod(
    found: dict[str, str], application: str
) -> None:
    labels = relabelled(rules_of_the_pod_monitor(), found)
    workload = found["__meta_kubernetes_pod_controller_kind"]
    assert labels == {"job": "mc-sidecar", "application": application, "workload": workload}


def test_scrape_configuration_names_targets_as_the_pod_monitor_does() -> None:
    assert own(rules_of_the_scrape_configuration()) == own(rules_of_the_pod_monitor())

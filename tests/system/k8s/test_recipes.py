"""The recipes of docs/kubernetes.md do what the page says."""

import re
import shutil
from pathlib import Path
from typing import Final

import pytest

from sidecar.config.file import load_settings
from tests.system.k8s.rendering import (
    CASE_NAMES,
    CASES,
    FOLDERS,
    REPOSITORY,
    Document,
    containers,
    deployments,
    documents,
    one,
    pod_spec,
    render,
    sidecar,
)

DOCUMENTATION: Final = (REPOSITORY / "docs" / "kubernetes.md").read_text()


def by_name(workload: Document) -> dict[str, Document]:
    return {container["name"]: container for container in containers(pod_spec(workload))}


def test_every_case_is_listed() -> None:
    helpers = {"orders", "wallet", "unlabelled", "ledger", "canary"}
    assert {path.name for path in CASES.iterdir() if path.is_dir()} - helpers == {
        name for name, path in FOLDERS.items() if path.parent == CASES
    }


@pytest.mark.parametrize("name", CASE_NAMES)
def test_every_case_is_documented_as_it_is_tested(name: str) -> None:
    text = (CASES / name / "kustomization.yaml").read_text().replace("../../../../../k8s", "../mc-sidecar/k8s")
    assert f"```yaml\n{text}```\n" in DOCUMENTATION


@pytest.mark.parametrize("name", CASE_NAMES)
def test_every_case_is_rendered_from_the_documented_folders(name: str, tmp_path: Path) -> None:
    for folder in ("orders", "wallet", "ledger", "canary", "unlabelled"):
        assert f" {folder}/ " in DOCUMENTATION
        (tmp_path / folder).symlink_to(CASES / folder)
    (tmp_path / "mc-sidecar").symlink_to(REPOSITORY)
    shutil.copytree(CASES / name, tmp_path / "overlay")
    kustomization = tmp_path / "overlay" / "kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace("../../../../../k8s", "../mc-sidecar/k8s"))
    assert render(tmp_path / "overlay") == render(CASES / name)


def test_settings_roll_the_pods_and_the_popular_list_does_not() -> None:
    manifests = documents(FOLDERS["settings"])
    volumes = {v["name"]: v for v in pod_spec(one(manifests, "Deployment", "orders"))["volumes"]}
    settings = one(manifests, "ConfigMap", "mc-sidecar-config-")["metadata"]["name"]
    assert volumes["mc-sidecar-config"]["configMap"]["name"] == settings
    assert volumes["mc-sidecar-popular"]["configMap"]["name"] == "mc-sidecar-popular"
    popular = next(m for m in sidecar(manifests[-1])["volumeMounts"] if m["name"] == "mc-sidecar-popular")
    assert "subPath" not in popular


@pytest.mark.parametrize(
    ("folder", "unchanged"),
    [("changed-ports", "plain"), ("changed-ports-without-native-sidecars", "without-native-sidecars")],
)
def test_ports_are_changed_in_one_place_and_nothing_else_is(folder: str, unchanged: str) -> None:
    """Nor does a flag of ours reach another container, wherever the sidecar stands."""
    [changed], before = deployments(folder), one(documents(FOLDERS[unchanged]), "Deployment", "orders")
    added = sidecar(changed)
    assert added["args"] == [*sidecar(before)["args"], "--api-port=8766", "--ops-port=9766"]
    assert added["ports"] == [{"containerPort": 9766, "name": "mc-sidecar-ops", "protocol": "TCP"}]
    for either in (changed, before):
        sidecar(either).update(args=[], ports=[], image="")
    assert by_name(changed) == by_name(before)


def test_two_applications_in_a_namespace_can_have_popular_lists_of_their_own() -> None:
    manifests = documents(FOLDERS["two-applications"])
    lists = {
        d["metadata"]["name"]: v["configMap"]["name"]
        for d in manifests
        if d["kind"] == "Deployment"
        for v in pod_spec(d)["volumes"]
        if v["name"] == "mc-sidecar-popular"
    }
    assert lists == {"orders": "mc-sidecar-popular", "wallet": "wallet-popular"}


def names_read(manifests: list[Document]) -> dict[str, str]:
    """Return the settings ConfigMap that each Deployment refers to, by namespace."""
    return {
        d["metadata"]["namespace"]: v["configMap"]["name"]
        for d in manifests
        if d["kind"] == "Deployment"
        for v in pod_spec(d)["volumes"]
        if v["name"] == "mc-sidecar-config"
    }


def test_generated_name_is_found_in_each_namespace_but_not_across() -> None:
    manifests = documents(FOLDERS["two-namespaces"])
    generated = {m["metadata"]["namespace"]: m["metadata"]["name"] for m in manifests if m["kind"] == "ConfigMap"}
    assert names_read(manifests) == generated
    assert names_read(documents(FOLDERS["namespace-forgotten"])) == {"shop": "mc-sidecar-config"}


def test_label_must_be_there_before_the_component_looks() -> None:
    assert [c["name"] for c in containers(pod_spec(deployments("labels-too-late")[0]))] == ["web"]
    assert [c["name"] for c in containers(pod_spec(deployments("labels-in-a-base")[0]))] == ["mc-sidecar", "web"]


@pytest.mark.parametrize("folder", ["settings", "two-namespaces", "example", "two-applications"])
def test_settings_and_lists_in_the_manifests_are_read_by_the_sidecar(folder: str, tmp_path: Path) -> None:
    for number, manifest in enumerate(m for m in documents(FOLDERS[folder]) if m["kind"] == "ConfigMap"):
        for name, text in manifest["data"].items():
            (tmp_path / f"{number}-{name}").write_text(text)
    for path in tmp_path.glob("*-sidecar.yaml"):
        load_settings(path, environ={})
    for path in tmp_path.glob("*-popular.yaml"):
        assert load_settings(None, environ={}, overrides={"popular_file": str(path)}).popular_path == path


def test_links_of_every_alert_are_replaced() -> None:
    rule = one(documents(FOLDERS["monitoring-with-your-links"]), "PrometheusRule", "mc-sidecar")
    [alerts] = [group["rules"] for group in rule["spec"]["groups"] if group["name"] == "mc-sidecar-alerts"]
    links = {
        annotation for alert in alerts for annotation in alert["annotations"].items() if "_url" in annotation[0]
    }
    assert len(links) > len(alerts)
    assert {(name, link.split("/d/")[0].split("/blob/")[0]) for name, link in links} == {
        ("dashboard_url", "https://grafana.shop.example"),
        ("runbook_url", "https://git.shop.example/platform/mc-sidecar"),
    }


def test_no_recipe_finds_a_container_by_its_place() -> None:
    """The place is another one where an application has init containers of its own, or another component."""
    assert re.findall(r"ontainers/\d.*", DOCUMENTATION) == []

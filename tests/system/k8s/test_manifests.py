"""The rendered manifests: as reviewed, valid for Kubernetes, and within Pod Security `restricted`."""

import json
import os
import re
from pathlib import Path
from typing import Final

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from sidecar import __version__, cli
from sidecar.config.file import load_settings
from tests.system.k8s.pod_security import violations
from tests.system.k8s.rendering import (
    CASES,
    FOLDERS,
    MANIFESTS,
    REPOSITORY,
    Document,
    containers,
    documents,
    one,
    pod_spec,
    render,
)

GOLDEN: Final = Path(__file__).parent / "golden"
SCHEMAS: Final = Path(__file__).parent / "schemas"
FIRST_WITH_NATIVE_SIDECARS: Final = "1.29"
VERSIONS: Final = (FIRST_WITH_NATIVE_SIDECARS, kubernetes_validate.latest_version())


@pytest.fixture(params=FOLDERS)
def folder(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def sidecar(deployment: Document) -> Document:
    [found] = [c for c in containers(pod_spec(deployment)) if c["name"] == "mc-sidecar"]
    return found


def deployments(folder: str) -> list[Document]:
    return [m for m in documents(FOLDERS[folder]) if m["kind"] == "Deployment"]


def test_rendered_manifests_are_the_reviewed_ones(folder: str) -> None:
    """After a change that is meant, run once with UPDATE_GOLDEN=1 and review the difference."""
    rendered, golden = render(FOLDERS[folder]), GOLDEN / f"{folder}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(rendered)
    assert rendered == golden.read_text()


def test_there_is_no_golden_file_without_its_folder() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(FOLDERS)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid_for_kubernetes(folder: str, version: str) -> None:
    for manifest in documents(FOLDERS[folder]):
        own = SCHEMAS / f"{manifest['kind'].lower()}.json"
        if own.exists():
            jsonschema.validate(manifest, json.loads(own.read_text()))
        else:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_ordinary_container_is_valid_before_native_sidecars() -> None:
    for manifest in documents(FOLDERS["without-native-sidecars"]):
        kubernetes_validate.validate(manifest, "1.25", strict=True)


def test_every_pod_is_within_pod_security_restricted(folder: str) -> None:
    assert {d["metadata"]["name"]: violations(pod_spec(d)) for d in deployments(folder)} == {
        d["metadata"]["name"]: [] for d in deployments(folder)
    }


def test_every_reference_inside_a_pod_is_declared(folder: str) -> None:
    for deployment in deployments(folder):
        spec = pod_spec(deployment)
        volumes = {volume["name"] for volume in spec.get("volumes") or []}
        names = [port["name"] for c in containers(spec) for port in c.get("ports", [])]
        assert len(set(names)) == len(names)
        for container in containers(spec):
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
            ports = {port["name"] for port in container.get("ports", [])}
            probed = [container[p]["httpGet"]["port"] for p in container if p.endswith("Probe")]
            assert set(probed) <= ports


def test_component_adds_a_native_sidecar_in_front_of_the_own_init_containers() -> None:
    [orders] = deployments("plain")
    assert [c["name"] for c in containers(pod_spec(orders))] == ["mc-sidecar", "migrate", "web"]
    added = sidecar(orders)
    assert added["restartPolicy"] == "Always"
    assert (added["startupProbe"]["httpGet"]["path"], added["livenessProbe"]["httpGet"]["path"]) == (
        "/startupz",
        "/livez",
    )
    assert not {"readinessProbe", "lifecycle"} & set(added)
    assert added["image"] == "registry.example.com/mc-sidecar:0.1.0"
    assert orders["spec"]["template"]["metadata"]["labels"]["mc-sidecar"] == "enabled"


def test_component_is_added_to_a_manifest_in_json(tmp_path: Path) -> None:
    """Comments inside the patch would be copied into the JSON and break it."""
    [orders] = documents(CASES / "orders")
    (tmp_path / "mc-sidecar").symlink_to(REPOSITORY)
    for component in ("component", "component-without-native-sidecars"):
        folder = tmp_path / component
        folder.mkdir()
        lines = {"resources": ["orders.json"], "components": [f"../mc-sidecar/k8s/{component}"]}
        (folder / "orders.json").write_text(json.dumps(orders))
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(lines))
        assert sidecar(one(documents(folder), "Deployment", "orders"))["image"] == f"mc-sidecar:{__version__}"


def test_component_generates_nothing_and_reads_only_what_may_be_missing() -> None:
    manifests = documents(FOLDERS["plain"])
    assert [m["kind"] for m in manifests] == ["Deployment"]
    configs = [v["configMap"] for v in pod_spec(manifests[0])["volumes"] if "configMap" in v]
    assert configs == [
        {"name": "mc-sidecar-config", "optional": True},
        {"name": "mc-sidecar-popular", "optional": True},
    ]
    secrets = [e["valueFrom"]["secretKeyRef"] for e in sidecar(manifests[0])["env"] if e["name"] != "POD_NAME"]
    assert all(secret["optional"] for secret in secrets)


def test_settings_roll_the_pods_and_the_popular_list_does_not() -> None:
    manifests = documents(FOLDERS["settings"])
    volumes = {v["name"]: v for v in pod_spec(one(manifests, "Deployment", "orders"))["volumes"]}
    settings = one(manifests, "ConfigMap", "mc-sidecar-config-")["metadata"]["name"]
    assert volumes["mc-sidecar-config"]["configMap"]["name"] == settings
    assert volumes["mc-sidecar-popular"]["configMap"]["name"] == "mc-sidecar-popular"
    popular = next(m for m in sidecar(manifests[-1])["volumeMounts"] if m["name"] == "mc-sidecar-popular")
    assert "subPath" not in popular


def test_ports_are_changed_in_one_place() -> None:
    added = sidecar(deployments("changed-ports")[0])
    assert added["args"][-2:] == ["--api-port=8766", "--ops-port=9766"]
    assert added["ports"] == [{"containerPort": 9766, "name": "mc-sidecar-ops", "protocol": "TCP"}]


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


def test_ordinary_container_lingers_within_the_grace_of_the_pod() -> None:
    both = deployments("without-native-sidecars")
    for deployment in both:
        spec, added = pod_spec(deployment), sidecar(deployment)
        assert spec["containers"][-1]["name"] == "mc-sidecar"
        assert "--linger-seconds=20" in added["args"]
        assert "restartPolicy" not in added
        assert spec.get("terminationGracePeriodSeconds", 30) == 30
    assert len(both) == 2


def test_network_policy_is_never_part_of_the_component() -> None:
    text = "".join(path.read_text() for path in (MANIFESTS / "component").iterdir())
    assert "network-policy" not in text
    [policy] = documents(FOLDERS["network-policy"])
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    assert [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]] == [9765, 8080]


def test_manifests_name_the_version_of_this_checkout() -> None:
    patch = yaml.safe_load((MANIFESTS / "component" / "sidecar.yaml").read_text())
    assert pod_spec(patch)["initContainers"][0]["image"] == f"mc-sidecar:{__version__}"
    example = yaml.safe_load((MANIFESTS / "example" / "kustomization.yaml").read_text())
    assert example["images"][0]["newTag"] == __version__


def test_every_case_is_listed() -> None:
    helpers = {"orders", "wallet", "unlabelled"}
    assert {path.name for path in CASES.iterdir() if path.is_dir()} - helpers == {
        name for name, path in FOLDERS.items() if path.parent == CASES
    }


@pytest.mark.parametrize("name", [name for name, path in FOLDERS.items() if path.parent == CASES])
def test_every_case_is_documented_as_it_is_tested(name: str) -> None:
    text = (CASES / name / "kustomization.yaml").read_text().replace("../../../../../k8s", "mc-sidecar/k8s")
    assert f"```yaml\n{text}```\n" in (REPOSITORY / "docs" / "kubernetes.md").read_text()


def test_component_mounts_what_the_image_reads() -> None:
    """The environment of the Dockerfile names the files; the component mounts their folders and the snapshot's."""
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    read = dict(re.findall(r"(MC_SIDECAR_CONFIG|MC_SIDECAR_POPULAR)=([^:\s]+)", dockerfile))
    added = sidecar(deployments("settings")[0])
    mounts = {mount["name"]: mount["mountPath"] for mount in added["volumeMounts"]}
    assert mounts["mc-sidecar-config"] == str(Path(read["MC_SIDECAR_CONFIG"]).parent)
    assert mounts["mc-sidecar-popular"] == str(Path(read["MC_SIDECAR_POPULAR"]).parent)
    assert f"--snapshot-path={mounts['mc-sidecar-snapshot']}/snapshot" in added["args"]
    files = {file for m in documents(FOLDERS["settings"]) if m["kind"] == "ConfigMap" for file in m["data"]}
    assert files == {Path(path).name for path in read.values()}
    user = added["securityContext"]
    assert f"\nUSER {user['runAsUser']}:{user['runAsGroup']}\n" in dockerfile


def test_arguments_of_the_sidecar_are_arguments_of_the_command() -> None:
    for folder in ("plain", "changed-ports", "without-native-sidecars"):
        options = vars(cli._parser().parse_args(sidecar(deployments(folder)[0])["args"]))
        assert options["command"] == "serve"
        assert options["snapshot_path"] == "/var/lib/mc-sidecar/snapshot"


@pytest.mark.parametrize("folder", ["settings", "two-namespaces", "example", "two-applications"])
def test_settings_and_lists_in_the_manifests_are_read_by_the_sidecar(folder: str, tmp_path: Path) -> None:
    for number, manifest in enumerate(m for m in documents(FOLDERS[folder]) if m["kind"] == "ConfigMap"):
        for name, text in manifest["data"].items():
            (tmp_path / f"{number}-{name}").write_text(text)
    for path in tmp_path.glob("*-sidecar.yaml"):
        load_settings(path, environ={})
    for path in tmp_path.glob("*-popular.yaml"):
        assert load_settings(None, environ={}, overrides={"popular_file": str(path)}).popular_path == path

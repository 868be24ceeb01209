"""The rendered manifests: as reviewed, valid for Kubernetes, and within Pod Security `restricted`."""

import json
import os
import textwrap
from pathlib import Path
from typing import Final

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from sidecar import __version__
from tests.system.k8s.pod_security import violations
from tests.system.k8s.rendering import (
    FOLDERS,
    MANIFESTS,
    REPOSITORY,
    containers,
    deployments,
    documents,
    pod_spec,
    pod_template,
    render,
    workloads,
)

GOLDEN: Final = Path(__file__).parent / "golden"
SCHEMAS: Final = Path(__file__).parent / "schemas"
FIRST_WITH_NATIVE_SIDECARS: Final = "1.29"
VERSIONS: Final = (FIRST_WITH_NATIVE_SIDECARS, kubernetes_validate.latest_version())


@pytest.fixture(params=FOLDERS)
def folder(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def for_review(text: str) -> str:
    """Return rendered manifests without the dashboard, which is reviewed where it stands."""
    dashboard = (MANIFESTS / "monitoring" / "dashboard.json").read_text()
    return text.replace(textwrap.indent(dashboard, "    "), "    (as it is)\n")


def test_rendered_manifests_are_the_reviewed_ones(folder: str) -> None:
    """After a change that is meant, run once with UPDATE_GOLDEN=1 and review the difference."""
    rendered, golden = for_review(render(FOLDERS[folder])), GOLDEN / f"{folder}.yaml"
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
            template = pod_template(manifest)
            if template:
                pods = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": template}
                kubernetes_validate.validate(pods, version, strict=True)
        else:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_ordinary_container_is_valid_before_native_sidecars() -> None:
    for manifest in documents(FOLDERS["without-native-sidecars"]):
        kubernetes_validate.validate(manifest, "1.25", strict=True)


def test_every_pod_is_within_pod_security_restricted(folder: str) -> None:
    broken = {d["metadata"]["name"]: violations(pod_spec(d)) for d in workloads(documents(FOLDERS[folder]))}
    assert [problem for problems in broken.values() for problem in problems] == []


def test_every_reference_inside_a_pod_is_declared(folder: str) -> None:
    for workload in workloads(documents(FOLDERS[folder])):
        spec = pod_spec(workload)
        volumes = {volume["name"] for volume in spec.get("volumes") or []}
        names = [port["name"] for c in containers(spec) for port in c.get("ports", [])]
        assert len(set(names)) == len(names)
        for container in containers(spec):
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
            ports = {port["name"] for port in container.get("ports", [])}
            probes = [container[name] for name in container if name.endswith("Probe")]
            probed = [(probe.get("httpGet") or probe["tcpSocket"])["port"] for probe in probes]
            assert set(probed) <= ports


def test_network_policy_is_never_part_of_the_component() -> None:
    text = "".join(path.read_text() for path in (MANIFESTS / "component").iterdir())
    assert "network-policy" not in text
    [policy] = documents(FOLDERS["network-policy"])
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    assert [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]] == [9765, 8080]


def test_what_goes_out_is_a_policy_of_its_own_with_names_and_https() -> None:
    [policy] = documents(FOLDERS["network-policy-egress"])
    assert policy["spec"]["policyTypes"] == ["Egress"]
    ports = [(port["port"], port["protocol"]) for rule in policy["spec"]["egress"] for port in rule["ports"]]
    assert ports == [(53, "UDP"), (53, "TCP"), (443, "TCP")]


def test_example_gives_no_pod_a_token_of_the_api_server() -> None:
    assert [pod_spec(d)["automountServiceAccountToken"] for d in deployments("example")] == [False]


def test_manifests_name_the_version_of_this_checkout() -> None:
    patch = yaml.safe_load((MANIFESTS / "component" / "sidecar.yaml").read_text())
    assert pod_spec(patch)["initContainers"][0]["image"] == f"mc-sidecar:{__version__}"
    example = yaml.safe_load((MANIFESTS / "example" / "kustomization.yaml").read_text())
    assert example["images"][0]["newTag"] == __version__
    assert f"\nARG VERSION={__version__}\n" in (REPOSITORY / "Dockerfile").read_text()

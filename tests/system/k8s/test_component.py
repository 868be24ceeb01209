"""What the components add to a workload, and to which."""

import json
import re
from pathlib import Path

import pytest
import yaml

from sidecar import __version__, arguments
from tests.system.k8s.rendering import (
    CASES,
    FOLDERS,
    MANIFESTS,
    REPOSITORY,
    build,
    containers,
    deployments,
    documents,
    one,
    pod_spec,
    pod_template,
    sidecar,
    workloads,
)


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
    assert added["image"] == "registry.example.com/mc-sidecar:0.2.0"
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
    assert all(e["valueFrom"]["secretKeyRef"]["optional"] for e in sidecar(manifests[0])["env"])


def test_every_kind_of_workload_gets_the_same_sidecar() -> None:
    expected = sidecar(deployments("plain")[0]) | {"image": f"mc-sidecar:{__version__}"}
    kinds = workloads(documents(FOLDERS["every-kind"]))
    assert [m["kind"] for m in kinds] == ["StatefulSet", "CronJob", "DaemonSet", "Job"]
    for workload in kinds:
        assert containers(pod_spec(workload))[0] == sidecar(workload) == expected
        template = pod_template(workload)
        assert template
        assert template["metadata"]["labels"]["mc-sidecar"] == "enabled"
        assert "restartPolicy" not in pod_spec(workload) or pod_spec(workload)["restartPolicy"] == "Never"


def test_the_three_copies_of_the_pod_template_are_one() -> None:
    """Kustomize can neither patch at another depth nor read a file of another component."""
    files = ("component/sidecar.yaml", "component/cron-job.yaml", "component-rollout/sidecar.yaml")
    first, *others = [pod_template(yaml.safe_load((MANIFESTS / name).read_text())) for name in files]
    assert [other for other in others if other != first] == []


def test_rollout_keeps_its_own_and_gets_the_sidecar_with_generated_names() -> None:
    manifests = documents(FOLDERS["rollout"])
    rollout, orders = one(manifests, "Rollout", "canary"), one(manifests, "Deployment", "orders")
    assert [c["name"] for c in containers(pod_spec(rollout))] == ["mc-sidecar", "migrate", "main"]
    assert sidecar(rollout) == sidecar(orders)
    assert {v["name"] for v in pod_spec(rollout)["volumes"]} == {v["name"] for v in pod_spec(orders)["volumes"]}
    settings = one(manifests, "ConfigMap", "mc-sidecar-config-")["metadata"]["name"]
    keys = one(manifests, "Secret", "mc-sidecar-keys-")["metadata"]["name"]
    assert {v["configMap"]["name"] for v in pod_spec(rollout)["volumes"] if "configMap" in v} == {
        settings,
        "mc-sidecar-popular",
    }
    assert {e["valueFrom"]["secretKeyRef"]["name"] for e in sidecar(rollout)["env"]} == {keys}


def test_rollout_of_a_deployment_takes_the_deployments_pods() -> None:
    [orders] = deployments("rollout-of-a-deployment")
    rollout = one(documents(FOLDERS["rollout-of-a-deployment"]), "Rollout", "orders")
    reference = rollout["spec"]["workloadRef"]
    assert (reference["kind"], reference["name"]) == ("Deployment", orders["metadata"]["name"])
    assert sidecar(orders)["restartPolicy"] == "Always"


@pytest.mark.parametrize(
    ("application", "component", "word"),
    [
        ("canary", "component", "/spec/template/metadata/labels/mc-sidecar failed"),
        ("ledger", "component-without-native-sidecars", "a Job never ends beside an ordinary container failed"),
    ],
)
def test_what_a_component_cannot_do_fails_the_build(
    application: str, component: str, word: str, tmp_path: Path
) -> None:
    (tmp_path / "mc-sidecar").symlink_to(REPOSITORY)
    (tmp_path / "application").symlink_to(CASES / application)
    (tmp_path / "own").mkdir()
    lines = {"resources": ["../application"], "components": [f"../mc-sidecar/k8s/{component}"]}
    (tmp_path / "own" / "kustomization.yaml").write_text(yaml.safe_dump(lines))
    done = build(tmp_path / "own")
    assert done.returncode != 0
    assert word in done.stderr


def test_ordinary_container_lingers_within_the_grace_of_the_pod() -> None:
    both = deployments("without-native-sidecars")
    for deployment in both:
        spec, added = pod_spec(deployment), sidecar(deployment)
        assert spec["containers"][-1]["name"] == "mc-sidecar"
        assert "--linger-seconds=20" in added["args"]
        assert "restartPolicy" not in added
        assert spec.get("terminationGracePeriodSeconds", 30) == 30
    assert len(both) == 2


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
    for folder in ("plain", "changed-ports", "changed-ports-without-native-sidecars"):
        options = vars(arguments.parser().parse_args(sidecar(deployments(folder)[0])["args"]))
        assert options["command"] == "serve"
        assert options["snapshot_path"] == "/var/lib/mc-sidecar/snapshot"

"""What `kubectl kustomize` makes of a folder."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from tests.programs import require_program

REPOSITORY: Final = Path(__file__).parents[3]
MANIFESTS: Final = REPOSITORY / "k8s"
CASES: Final = Path(__file__).parent / "cases"
CASE_NAMES: Final = (
    "plain",
    "settings",
    "changed-ports",
    "changed-ports-without-native-sidecars",
    "every-kind",
    "rollout",
    "rollout-of-a-deployment",
    "two-applications",
    "two-namespaces",
    "namespace-forgotten",
    "labels-in-a-base",
    "labels-too-late",
    "without-native-sidecars",
    "monitoring-with-your-links",
)
FOLDERS: Final = {
    **{name: CASES / name for name in CASE_NAMES},
    **{
        name: MANIFESTS / name
        for name in ("example", "network-policy", "network-policy-egress", "monitoring", "valkey")
    },
}
"""Every folder that is rendered, by the name of its golden file."""

Document = dict[str, Any]


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `kubectl kustomize` on a folder."""
    kubectl = require_program("kubectl", package="kubectl of the Kubernetes project, 1.27 or later")
    return subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)  # noqa: S603 - kubectl from PATH


@cache
def render(folder: Path) -> str:
    """Return the manifests of a kustomization; its components come with it."""
    done = build(folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(folder: Path) -> list[Document]:
    """Return the rendered manifests of a folder, parsed."""
    return list(yaml.safe_load_all(render(folder)))


def one(manifests: list[Document], kind: str, name: str) -> Document:
    """Return the manifest of that kind and name; a generated name may carry a hash."""
    found = [m for m in manifests if m["kind"] == kind and m["metadata"]["name"].startswith(name)]
    assert len(found) == 1, (kind, name, [m["metadata"]["name"] for m in manifests])
    return found[0]


def pod_template(workload: Document) -> Document | None:
    """Return the pod template of a manifest; None when its kind has none."""
    spec: Document = workload.get("spec", {})
    template: Document | None = spec.get("jobTemplate", {"spec": spec})["spec"].get("template")
    return template


def workloads(manifests: list[Document]) -> list[Document]:
    """Return the manifests that have a pod template."""
    return [manifest for manifest in manifests if pod_template(manifest)]


def pod_spec(workload: Document) -> Document:
    """Return the pod spec inside a workload."""
    template = pod_template(workload)
    assert template, workload
    spec: Document = template["spec"]
    return spec


def containers(spec: Document) -> list[Document]:
    """Return the init containers and containers of a pod spec, in the order in which they start."""
    return [*(spec.get("initContainers") or []), *spec["containers"]]


def deployments(folder: str) -> list[Document]:
    """Return the Deployments of a rendered folder."""
    return [m for m in documents(FOLDERS[folder]) if m["kind"] == "Deployment"]


def sidecar(workload: Document) -> Document:
    """Return the one container `mc-sidecar` of a workload."""
    [found] = [c for c in containers(pod_spec(workload)) if c["name"] == "mc-sidecar"]
    return found

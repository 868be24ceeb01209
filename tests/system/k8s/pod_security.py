"""The rules of the Pod Security Standard `restricted`, for pods of Linux containers.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/, with those of `baseline`, which it
includes.
"""

from collections.abc import Iterator
from typing import Any, Final

from tests.system.k8s.rendering import Document, containers

ALLOWED_VOLUMES: Final = frozenset(
    {
        *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral"),
        *("persistentVolumeClaim", "projected", "secret"),
    }
)
ALLOWED_SECCOMP: Final = ("RuntimeDefault", "Localhost")
HANDLERS: Final = ("livenessProbe", "readinessProbe", "startupProbe")


def violations(spec: Document) -> list[str]:
    """Return one line for each rule that a pod spec breaks."""
    found = [*_of_the_pod(spec)]
    shared = spec.get("securityContext") or {}
    for container in containers(spec):
        own = container.get("securityContext") or {}
        found += [f"{container['name']}: {problem}" for problem in _of_a_container(container, own, shared)]
    return found


def _of_the_pod(spec: Document) -> Iterator[str]:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield key
    for volume in spec.get("volumes") or []:
        kinds = set(volume) - {"name"}
        if not kinds <= ALLOWED_VOLUMES:
            yield f"volume {volume['name']}: {', '.join(sorted(kinds))}"
    if (spec.get("securityContext") or {}).get("sysctls"):
        yield "sysctls"


def _of_a_container(container: Document, own: Document, shared: Document) -> Iterator[str]:
    def either(key: str) -> Any:
        return own[key] if key in own else shared.get(key)

    if either("runAsNonRoot") is not True:
        yield "runAsNonRoot must be true"
    if either("runAsUser") == 0:
        yield "runAsUser must not be 0"
    if (either("seccompProfile") or {}).get("type") not in ALLOWED_SECCOMP:
        yield "seccompProfile must be RuntimeDefault or Localhost"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation must be false"
    if own.get("privileged"):
        yield "privileged"
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    yield from _of_capabilities(own.get("capabilities") or {})
    yield from _of_ports_and_probes(container)


def _of_capabilities(capabilities: Document) -> Iterator[str]:
    if "ALL" not in capabilities.get("drop", []):
        yield "capabilities must drop ALL"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "capabilities add more than NET_BIND_SERVICE"


def _of_ports_and_probes(container: Document) -> Iterator[str]:
    if any(port.get("hostPort") for port in container.get("ports") or []):
        yield "hostPort"
    for handler in HANDLERS:
        if (container.get(handler) or {}).get("httpGet", {}).get("host"):
            yield f"{handler} to another host"

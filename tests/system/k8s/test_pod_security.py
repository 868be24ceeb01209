"""Each rule of Pod Security `restricted` is seen to refuse something."""

import copy
from collections.abc import Callable
from typing import Final

import pytest

from tests.system.k8s.pod_security import violations
from tests.system.k8s.rendering import Document

GOOD: Final[Document] = {
    "containers": [
        {
            "name": "web",
            "ports": [{"containerPort": 8080}],
            "livenessProbe": {"httpGet": {"path": "/", "port": 8080}},
            "securityContext": {
                "runAsNonRoot": True,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }
    ],
    "volumes": [{"name": "scratch", "emptyDir": {}}],
}


def changed(change: Callable[[Document, Document], object]) -> Document:
    """Return the good pod after a change to its spec or its container."""
    spec = copy.deepcopy(GOOD)
    change(spec, spec["containers"][0])
    return spec


def test_a_pod_within_the_rules_breaks_none() -> None:
    assert violations(GOOD) == []


def test_pod_wide_settings_count_where_the_standard_says_so() -> None:
    spec = changed(
        lambda s, c: s.update(securityContext={"runAsNonRoot": c["securityContext"].pop("runAsNonRoot")})
    )
    assert violations(spec) == []


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (lambda s, _: s.update(hostNetwork=True), "hostNetwork"),
        (lambda s, _: s.update(hostPID=True), "hostPID"),
        (lambda s, _: s["volumes"].append({"name": "root", "hostPath": {"path": "/"}}), "volume root: hostPath"),
        (lambda s, _: s.update(securityContext={"sysctls": [{"name": "a", "value": "b"}]}), "sysctls"),
        (lambda _, c: c["securityContext"].pop("runAsNonRoot"), "web: runAsNonRoot must be true"),
        (lambda _, c: c["securityContext"].update(runAsUser=0), "web: runAsUser must not be 0"),
        (
            lambda _, c: c["securityContext"].update(seccompProfile={"type": "Unconfined"}),
            "web: seccompProfile must be RuntimeDefault or Localhost",
        ),
        (
            lambda _, c: c["securityContext"].pop("allowPrivilegeEscalation"),
            "web: allowPrivilegeEscalation must be false",
        ),
        (lambda _, c: c["securityContext"].update(privileged=True), "web: privileged"),
        (lambda _, c: c["securityContext"].update(procMount="Unmasked"), "web: procMount"),
        (lambda _, c: c["securityContext"].pop("capabilities"), "web: capabilities must drop ALL"),
        (
            lambda _, c: c["securityContext"]["capabilities"].update(add=["NET_ADMIN"]),
            "web: capabilities add more than NET_BIND_SERVICE",
        ),
        (lambda _, c: c["ports"][0].update(hostPort=80), "web: hostPort"),
        (lambda _, c: c["livenessProbe"]["httpGet"].update(host="10.0.0.1"), "web: livenessProbe to another host"),
    ],
)
def test_each_rule_is_seen_to_be_broken(change: Callable[[Document, Document], object], broken: str) -> None:
    assert violations(changed(change)) == [broken]

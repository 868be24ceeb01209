"""The sidecar and Prometheus as processes of their own."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

import yaml

from tests.programs import require_program
from tests.system.k8s.rendering import REPOSITORY
from tests.system.monitoring.files import FOLDER, rule_groups

TIMEOUT_SECONDS: Final = 30.0
POD: Final = {
    "__meta_kubernetes_namespace": "shop",
    "__meta_kubernetes_pod_name": "web-1",
    "__meta_kubernetes_pod_phase": "Running",
    "__meta_kubernetes_pod_controller_kind": "ReplicaSet",
    "__meta_kubernetes_pod_controller_name": "web-6d4cf56db6",
    "__meta_kubernetes_pod_label_mc_sidecar": "enabled",
    "__meta_kubernetes_pod_container_name": "mc-sidecar",
    "__meta_kubernetes_pod_container_port_name": "mc-sidecar-ops",
}
"""What Prometheus discovers of a pod with the sidecar."""

T = TypeVar("T")


def until(found: Callable[[], T | None], what: str) -> T:
    """Ask again until there is an answer: real processes take real time."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        answer = found()
        if answer is not None:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"not within {TIMEOUT_SECONDS} s: {what}")


def get(url: str, parameters: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """GET a URL of this machine; return status and body."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=5)
    try:
        connection.request("GET", parts.path + (f"?{urlencode(parameters)}" if parameters else ""))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@contextmanager
def process(
    command: list[str], log: Path, environment: Mapping[str, str] | None = None, *, exit_code: int = 0
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command with its output in a file, and stop it with SIGTERM; it must exit with that code then."""
    with log.open("wb") as output:
        running = subprocess.Popen(  # noqa: S603 - commands of the tests
            command, stdout=output, stderr=output, cwd=REPOSITORY, env={**os.environ, **(environment or {})}
        )
        try:
            yield running
        finally:
            running.terminate()
            code = running.wait(TIMEOUT_SECONDS)
    assert code == exit_code, log.read_text()[-2000:]


@contextmanager
def demo(folder: Path) -> Iterator[tuple[str, str]]:
    """Run `mc-sidecar demo`; yield the base URLs of the application's and of the operator's listener."""
    log, settings = folder / "demo.log", folder / "sidecar.yaml"
    settings.write_text(
        "{api: {port: 0}, ops: {port: 0}, refresh: {popular_seconds: 3}, "
        f"snapshot: {{path: {folder / 'snapshot'}, interval_seconds: 1}}}}"
    )
    redis_socket = folder / "redis.sock"
    command = [sys.executable, "-m", "sidecar", "demo", "--config", str(settings)]
    command += ["--redis-url", f"unix://{redis_socket}"]
    program = require_program("redis-server", package="redis-server")
    redis = [program, "--port", "0", "--unixsocket", str(redis_socket), "--save", "", "--dir", str(folder)]

    def listening() -> dict[str, Any] | None:
        assert running.poll() is None, log.read_text()[-2000:]
        lines = [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("}\n")]
        return next((line for line in lines if line["event"] == "listening"), None)

    with process(redis, folder / "redis.log"), process(command, log) as running:
        line = until(listening, "the sidecar listens")
        ops = line["ops"][0].replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - where it listens, not where we do
        until(lambda: True if get(f"{ops}/startupz")[0] == 200 else None, "it is warm")
        yield line["api"][0], ops


def scrape_jobs(ops: str) -> list[dict[str, Any]]:
    """Return the scrape configuration of the repository with one pod in place of its service discovery."""
    jobs: list[dict[str, Any]] = yaml.safe_load((FOLDER / "scrape-config.yaml").read_text())
    for job in jobs:
        del job["kubernetes_sd_configs"]
        other = {**POD, "__meta_kubernetes_pod_container_port_name": "http"}
        target = urlsplit(ops).netloc
        job["static_configs"] = [{"targets": [target], "labels": POD}, {"targets": ["other:80"], "labels": other}]
        job["scrape_interval"] = "500ms"
    return jobs


@contextmanager
def prometheus(folder: Path, ops: str) -> Iterator["Prometheus"]:
    """Run a Prometheus with the repository's scrape configuration and rules."""
    program = require_program("prometheus", package="prometheus")
    groups = [{"name": group["name"], "rules": group["rules"]} for group in rule_groups()["groups"]]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))  # all of them at the test's interval
    configuration = {
        "global": {"evaluation_interval": "500ms"},
        "rule_files": [str(folder / "rules.yaml")],
        "scrape_configs": scrape_jobs(ops),
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        program,
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with process(command, folder / "prometheus.log"):
        yield Prometheus(f"http://{address}")


class Prometheus:
    """The HTTP API of a running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    def api(self, path: str, **parameters: str) -> Any:
        """Return the data of an API call; None while Prometheus does not answer."""
        try:
            status, body = get(f"{self.url}/api/v1/{path}", parameters)
        except OSError:
            return None
        return json.loads(body)["data"] if status == 200 else None

    def values(self, expression: str) -> list[float]:
        """Return the finite values of an instant query."""
        data = self.api("query", query=expression)
        assert data is not None, expression
        numbers = [float(sample["value"][1]) for sample in data["result"]]
        return [number for number in numbers if abs(number) < float("inf")]

    def shown(self, expression: str) -> list[float]:
        """Return its values as soon as there are any: a scrape that took too long leaves a gap."""
        return until(lambda: self.values(expression) or None, expression)

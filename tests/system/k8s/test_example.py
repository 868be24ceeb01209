"""The application of k8s/example asks a running sidecar, as it would in its pod."""

import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.system.k8s.rendering import MANIFESTS
from tests.system.monitoring.processes import demo, get, process, until

JUP: Final = "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN"
NOBODY: Final = "http://127.0.0.1:9"
"""The discard port: no sidecar listens there."""


@contextmanager
def application(folder: Path, sidecar: str) -> Iterator[str]:
    """Run the example's script as its container does; yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [sys.executable, "-u", str(MANIFESTS / "example" / "app.py")]
    environment = {"PORT": port, "MC_SIDECAR_URL": sidecar}
    with process(command, folder / "application.log", environment, exit_code=-15):
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(url), "the application listens")
        yield url


def answers(url: str) -> bool | None:
    try:
        return get(f"{url}/healthz")[0] == 200
    except ConnectionRefusedError:
        return None


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with demo(tmp_path_factory.mktemp("demo")) as (api, _):
        yield api


@pytest.mark.parametrize(
    ("path", "status", "line"),
    [
        ("/", 200, r"SOL [\d,]+ USD, [\d.]+ s old\n"),
        (f"/{JUP}", 200, r"JUP [\d,]+ USD, [\d.]+ s old\n"),
        ("/wrong", 400, r".*'wrong' is not a mint.*\n"),
    ],
)
def test_example_application_shows_what_the_sidecar_says(
    path: str, status: int, line: str, sidecar: str, tmp_path: Path
) -> None:
    with application(tmp_path, sidecar) as url:
        answered, text = get(url + path)
    assert answered == status
    assert re.fullmatch(line, text.decode())


def test_example_application_survives_without_the_sidecar(tmp_path: Path) -> None:
    with application(tmp_path, NOBODY) as url:
        status, text = get(f"{url}/{JUP}")
    assert (status, text[:32]) == (503, b"the sidecar does not answer: [Er")

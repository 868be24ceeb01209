import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.programs import require_program
from tests.system.k8s.rendering import CASES, containers, documents, one, pod_spec
from tests.system.monitoring.processes import demo

README = Path(__file__).parents[2] / "README.md"
ASKING = README.parent / "docs" / "asking.md"
ADDRESS = "http://127.0.0.1:8765"


def snippet(file: Path, heading: str, language: str, position: int = 0) -> str:
    """Return a code block in a language below a heading of a file."""
    section = file.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert len(found) > position, f"no {language} below {heading}"
    return str(found[position])


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with demo(tmp_path_factory.mktemp("demo")) as (api, _):
        yield api


def run(command: list[str], folder: Path) -> list[str]:
    done = subprocess.run(  # noqa: S603 - commands of the README
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def assert_is_jup(printed: list[str]) -> None:
    symbol, market_cap, confidence = printed
    assert symbol == "JUP"
    assert 8e8 < float(market_cap) < 1.4e9
    assert confidence in {"high", "medium", "low"}


def test_python_asks_as_the_documentation_says(api: str, tmp_path: Path) -> None:
    (tmp_path / "ask.py").write_text(snippet(ASKING, "Python", "python").replace(ADDRESS, api))
    assert_is_jup(run([sys.executable, "ask.py"], tmp_path))


def test_node_asks_as_the_documentation_says(api: str, tmp_path: Path) -> None:
    node = require_program("node", package="nodejs")
    (tmp_path / "ask.mjs").write_text(snippet(ASKING, "Node", "js").replace(ADDRESS, api))
    assert_is_jup(run([node, "ask.mjs"], tmp_path))


def test_go_asks_as_the_documentation_says(api: str, tmp_path: Path) -> None:
    go = require_program("go", package="golang-go")
    (tmp_path / "ask.go").write_text(snippet(ASKING, "Go", "go").replace(ADDRESS, api))
    assert_is_jup(run([go, "run", "ask.go"], tmp_path))


def test_python_follows_as_the_documentation_says(api: str, tmp_path: Path) -> None:
    (tmp_path / "follow.py").write_text(snippet(ASKING, "Python", "python", 1).replace(ADDRESS, api))
    assert first_line([sys.executable, "-u", "follow.py"], tmp_path) == "10 tokens"


def test_node_follows_as_the_documentation_says(api: str, tmp_path: Path) -> None:
    node = require_program("node", package="nodejs")
    (tmp_path / "follow.mjs").write_text(snippet(ASKING, "Node", "js", 1).replace(ADDRESS, api))
    assert first_line([node, "follow.mjs"], tmp_path) == "10 tokens"


def test_go_follows_as_the_documentation_says(api: str, tmp_path: Path) -> None:
    go = require_program("go", package="golang-go")
    (tmp_path / "follow.go").write_text(snippet(ASKING, "Go", "go", 1).replace(ADDRESS, api))
    run([go, "build", "-o", "follow", "follow.go"], tmp_path)
    assert first_line([str(tmp_path / "follow")], tmp_path) == "10 tokens"


def first_line(command: list[str], folder: Path) -> str:
    """Start a program that has no end, and return the first line that it prints."""
    program = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)  # noqa: S603 - the documentation's
    with program:
        assert program.stdout is not None
        try:
            return program.stdout.readline().strip()
        finally:
            program.kill()


def test_kustomization_adds_the_sidecar_as_the_readme_says(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text(snippet(README, "Add it to your pod", "yaml"))
    (tmp_path / "deployment.yaml").write_text((CASES / "orders" / "deployment.yaml").read_text())
    (tmp_path / "mc-sidecar").symlink_to(README.parent)
    orders = one(documents(tmp_path), "Deployment", "orders")
    assert [container["name"] for container in containers(pod_spec(orders))] == ["mc-sidecar", "migrate", "web"]

"""Which tests are quick, and which share something that is set up once."""

from pathlib import Path
from typing import Final
from zlib import crc32

import hypothesis
import pytest

HERE: Final = Path(__file__).parent
LONG: Final = frozenset({"system", "stories", "faults"})
"""Folders of whole processes, programs and scenarios, which `--quick` leaves out."""
SHARING: Final = frozenset({"test_prometheus", "test_simulated_hour", "test_readme", "test_page"})
"""Files that set something up once: a browser, a Prometheus, an hour that is played."""
LONGEST_ID: Final = 60

hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")  # an example that took long says nothing on a busy machine


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help=f"leave out {', '.join(sorted(LONG))}")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what takes long, where that is wished, before anything of it is read."""
    return (
        True
        if config.getoption("quick") and collection_path.parent == HERE and collection_path.name in LONG
        else None
    )


def pytest_make_parametrize_id(val: object) -> str | None:
    """Return a short name for a long text: an id is escaped, sent to every worker and typed after -k."""
    if isinstance(val, str | bytes) and len(val) > LONGEST_ID:
        content = val if isinstance(val, bytes) else val.encode(errors="surrogatepass")
        return f"{val[:20]!r}...{crc32(content):08x}"
    return None


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what takes long begin first, and what shares something be run by one worker."""
    assert len({item.nodeid for item in items}) == len(items), "of tests with the same id xdist runs one"
    items.sort(key=lambda item: not is_long(item))
    for item in filter(is_long, items):
        path = item.path.relative_to(HERE)
        if path.stem in SHARING:
            item.add_marker(pytest.mark.xdist_group(path.stem))
        if path.parent.name == "k8s":
            item.add_marker(pytest.mark.xdist_group("k8s"))  # what is rendered is kept


def is_long(item: pytest.Item) -> bool:
    """Return whether a test is in one of the long folders."""
    return item.path.relative_to(HERE).parts[0] in LONG

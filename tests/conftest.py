"""Which tests are quick, and which share something that is set up once."""

from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
LONG: Final = frozenset({"system", "stories", "faults"})
"""Folders of whole processes, programs and scenarios: `make test-fast` leaves them out."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the folders of long tests unread where none of them is asked for: importing them takes seconds."""
    is_long = collection_path.parent == HERE and collection_path.name in LONG
    return True if is_long and config.getoption("markexpr") == "not long" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long by its folder; keep a file of the long ones on one worker, for what it sets up once."""
    for item in items:
        path = item.path.relative_to(HERE)
        if path.parts[0] in LONG:
            item.add_marker("long")
        if item.path.stem in {"test_prometheus", "test_simulated_hour", "test_readme", "test_example"}:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))

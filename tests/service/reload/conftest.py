import logging
from pathlib import Path

import pytest

from tests.service.reload.lists import FIRST, content


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "popular.yaml"
    path.write_text(content(FIRST))
    return path


@pytest.fixture(autouse=True)
def every_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

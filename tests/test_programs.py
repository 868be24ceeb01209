"""A missing program is a skipped test at home and a failed one in CI."""

import pytest

from tests.programs import require_program

MESSAGE = "promtool is not installed: get it with the package prometheus"


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CI", raising=False)


def test_missing_program_skips_and_says_how_to_get_it() -> None:
    with pytest.raises(pytest.skip.Exception, match=MESSAGE):
        require_program("promtool", package="prometheus")


def test_missing_program_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=MESSAGE):
        require_program("promtool", package="prometheus")

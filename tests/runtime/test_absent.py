import importlib
import sys

import pytest

from sidecar.runtime.absent import absent

RARE = "this"
"""A module of the standard library that nothing imports."""


def test_a_package_is_not_found_while_it_is_absent_and_found_afterwards(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sys.modules.pop(RARE, None)
    with absent(RARE), pytest.raises(ModuleNotFoundError):
        importlib.import_module(RARE)
    assert importlib.import_module(RARE).__name__ == RARE
    assert "Zen" in capsys.readouterr().out


def test_what_has_been_imported_before_stays() -> None:
    with absent("json"):
        assert importlib.import_module("json") is sys.modules["json"]
    assert sys.modules["json"] is not None

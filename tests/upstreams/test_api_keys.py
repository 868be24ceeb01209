"""Jupiter's key: by value, from a file that comes and goes, and what it does to the budget."""

import threading
from pathlib import Path

import pytest

from sidecar.config.source_settings import KeyedSourceSettings
from sidecar.sources.jupiter import Jupiter
from sidecar.upstreams import api_keys
from sidecar.upstreams.api_keys import ApiKey
from sidecar.upstreams.budget import Budget
from tests.clock import FakeClock


class Keyed:
    """A key, the clock and the budget it works with, and the secrets it told."""

    def __init__(self, settings: KeyedSourceSettings) -> None:
        self.clock = FakeClock()
        self.budget = Budget(30, self.clock)
        self.learnt: list[str] = []
        self.key = ApiKey(Jupiter, settings, budget=self.budget, clock=self.clock, learn=self.learnt.append)

    def explanation(self) -> tuple[dict[str, str], int]:
        return self.key.headers(), self.budget.requests_per_minute


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a machine under load take its time to read a file."""
    monkeypatch.setattr(api_keys, "ANSWER_SECONDS", 10)


KEYLESS: tuple[dict[str, str], int] = ({}, 30)


def test_without_a_key_no_header_is_sent() -> None:
    assert Keyed(KeyedSourceSettings(base_url="https://api.jup.ag")).explanation() == KEYLESS


def test_an_empty_string_is_no_key() -> None:
    assert Keyed(KeyedSourceSettings(base_url="https://api.jup.ag", api_key="")).explanation() == KEYLESS


def test_a_key_by_value_is_sent() -> None:
    assert Keyed(KeyedSourceSettings(base_url="https://api.jup.ag", api_key="k-1234")).key.headers() == {
        "x-api-key": "k-1234"
    }


def test_a_key_file_opens_the_free_tier_and_its_content_becomes_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("k-1234\n")
    keyed = Keyed(KeyedSourceSettings(base_url="https://api.jup.ag", api_key_file=str(path)))
    assert keyed.explanation() == ({"x-api-key": "k-1234"}, 60)
    assert keyed.learnt == ["k-1234"]


def test_a_key_file_is_read_again_after_ten_seconds(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("k-1")
    keyed = Keyed(KeyedSourceSettings(base_url="https://api.jup.ag", api_key_file=str(path)))
    keyed.explanation()
    path.write_text("k-2")
    keyed.clock.advance(9.9)
    assert keyed.explanation() == ({"x-api-key": "k-1"}, 60)
    keyed.clock.advance(0.1)
    assert keyed.explanation() == ({"x-api-key": "k-2"}, 60)
    path.unlink()
    keyed.clock.advance(10)
    assert keyed.explanation() == KEYLESS


def test_a_key_on_a_disk_that_hangs_stays_as_it_was_until_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    path.write_text("k-1")
    keyed = Keyed(KeyedSourceSettings(base_url="https://api.jup.ag", api_key_file=str(path)))
    assert keyed.key.headers() == {"x-api-key": "k-1"}
    thawed, read = threading.Event(), threading.Event()
    monkeypatch.setattr(api_keys, "ANSWER_SECONDS", 0.01)

    def frozen(_: str) -> str:
        thawed.wait(10)
        read.set()
        return "k-2"

    monkeypatch.setattr(api_keys, "read_key_file", frozen)
    for _ in range(3):
        keyed.clock.advance(10)
        assert keyed.key.headers() == {"x-api-key": "k-1"}
    thawed.set()
    assert read.wait(10)
    monkeypatch.setattr(api_keys, "ANSWER_SECONDS", 10)
    keyed.clock.advance(10)
    assert keyed.key.headers() == {"x-api-key": "k-2"}


def test_a_missing_key_file_means_keyless_with_one_warning_until_it_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "key"
    keyed = Keyed(KeyedSourceSettings(base_url="https://api.jup.ag", api_key_file=str(path)))
    for _ in range(3):
        assert keyed.explanation() == KEYLESS
        keyed.clock.advance(10)
    assert [record.message for record in caplog.records] == ["no key in the key file: asking without one"]
    assert str(path) not in caplog.text
    path.write_text("k-9")
    assert keyed.explanation() == ({"x-api-key": "k-9"}, 60)


def test_an_explicit_number_of_requests_wins(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("k-1")
    keyed = Keyed(
        KeyedSourceSettings(base_url="https://api.jup.ag", api_key_file=str(path), requests_per_minute=7)
    )
    assert keyed.explanation() == ({"x-api-key": "k-1"}, 7)

"""What is allowed in the settings and still will not work is said in a line, without connecting to anything."""

import importlib.util

import pytest

from sidecar.config.advice import has_fleet, warnings
from sidecar.config.settings import FleetSettings, Settings


def settings(redis_url: str) -> Settings:
    return Settings(fleet=FleetSettings(redis_url=redis_url))


def test_a_usable_url_needs_no_word() -> None:
    assert warnings(settings("rediss://user:pass@redis.example:6380/2?ssl_ca_certs=/etc/ca.crt")) == []
    assert has_fleet(settings("redis://redis.example"))
    assert not has_fleet(Settings())


def test_an_unknown_option_of_the_url_is_named_without_what_is_secret() -> None:
    (line,) = warnings(settings("redis://:hunter2@redis.example?socket_timeout=9"))
    assert line.startswith("fleet.redis_url: its query may only have db, ssl_ca_certs, ")
    assert "hunter2" not in line


def test_without_the_client_there_is_no_fleet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.config.advice.find_spec", lambda _: None)
    assert importlib.util.find_spec("redis") is not None
    assert not has_fleet(settings("redis://redis.example"))
    (line,) = warnings(settings("redis://redis.example"))
    assert "pip install 'mc-sidecar[fleet]'" in line

"""What is allowed in the settings and still will not work is said in a line, without connecting to anything."""

import importlib.util
from typing import Any

import msgspec
import pytest

from sidecar.cli import BAD_SETTINGS, main
from sidecar.config.advice import has_fleet, warnings
from sidecar.config.settings import FleetSettings, RefreshSettings, Settings, TrackingSettings


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


def test_a_demo_of_a_fleet_that_cannot_be_says_so_and_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sidecar.config.advice.find_spec", lambda _: None)
    assert main(["demo", "--tokens", "20", "--redis-url", "redis://redis.example"]) == BAD_SETTINGS
    assert "the Redis client is not installed" in capsys.readouterr().err


def tracking(tokens: int, **jupiter: Any) -> Settings:
    sources = Settings().sources
    changed = msgspec.structs.replace(sources.jupiter, **jupiter)
    return Settings(
        tracking=TrackingSettings(max_tokens=tokens), sources=msgspec.structs.replace(sources, jupiter=changed)
    )


def test_more_tokens_than_the_first_sources_budget_can_refresh_in_time_are_named() -> None:
    assert warnings(tracking(100)) == warnings(tracking(10_000)) == []
    (line,) = warnings(tracking(10_000, requests_per_minute=20))
    assert line == (
        "tracking.max_tokens: 10000 tokens need 21 calls a minute of jupiter, 16 of its 20 are left for them: "
        "they are refreshed later than refresh.tracked_seconds says"
    )


def test_a_key_opens_a_larger_budget() -> None:
    fast = RefreshSettings(tracked_seconds=150)
    assert len(warnings(msgspec.structs.replace(tracking(10_000), refresh=fast))) == 1
    assert warnings(msgspec.structs.replace(tracking(10_000, api_key="k-12345678"), refresh=fast)) == []

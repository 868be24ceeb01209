from pathlib import Path

import pytest

from sidecar.config.file import load_settings
from sidecar.config.secret_values import secrets_of
from sidecar.config.settings import FleetSettings, Settings, redacted
from sidecar.config.source_settings import KeyedSourceSettings, SourceSettings, SourcesSettings, effective_rpm
from sidecar.config.validation import contradictions, is_loopback
from sidecar.sources.jupiter import Jupiter
from sidecar.sources.listing import BY_NAME
from sidecar.upstreams.api_keys import read_key_file


def test_the_defaults_contradict_nothing() -> None:
    assert contradictions(Settings()) == []


@pytest.mark.parametrize(
    ("name", "without_key", "with_key"),
    [("jupiter", 30, 60), ("dexscreener", 300, 300), ("geckoterminal", 30, 30), ("solana_rpc", 240, 240)],
)
def test_without_a_figure_the_free_tier_sets_the_budget(name: str, without_key: int, with_key: int) -> None:
    source = getattr(Settings().sources, name)

    assert effective_rpm(BY_NAME[name], source, has_key=False) == without_key
    assert effective_rpm(BY_NAME[name], source, has_key=True) == with_key


@pytest.mark.parametrize("has_key", [False, True])
def test_an_explicit_budget_wins_over_the_tier(*, has_key: bool) -> None:
    assert (
        effective_rpm(
            Jupiter, KeyedSourceSettings(base_url="https://api.jup.ag", requests_per_minute=7), has_key=has_key
        )
        == 7
    )


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"k-123456", "k-123456"),
        (b"  k-123456\r\n", "k-123456"),
        (b"", None),
        (b" \n", None),
        (b"two words", None),
        ("schlüssel".encode(), None),
        (b"k" * 4096, "k" * 4096),
        (b"k" * 4097, None),
    ],
)
def test_a_key_file_holds_one_word_or_no_key(tmp_path: Path, content: bytes, key: str | None) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)

    assert read_key_file(file) == key


def test_a_key_file_that_cannot_be_read_holds_no_key(tmp_path: Path) -> None:
    assert read_key_file(tmp_path / "missing") is None
    assert read_key_file(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LocalHost", True),
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("0.0.0.0", False),  # noqa: S104 - the point is that it is recognised
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
    ],
)
def test_loopback_is_recognised(host: str, *, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    "text",
    [
        "api: {unix_socket: /run/mc.sock, host: 0.0.0.0, port: 9765}",
        "{api: {port: 0}, ops: {port: 0}}",
        "api: {host: 10.0.0.1, allow_non_loopback: true}",
        "cache: {fresh_seconds: 310.01, max_stale_seconds: 310.02}",
        "{pricing: {min_liquidity_usd: 5, good_liquidity_usd: 5}, tracking: {max_tokens: 11}}",
    ],
)
def test_what_only_looks_like_a_contradiction_is_allowed(tmp_path: Path, text: str) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text(text)

    assert contradictions(load_settings(file, environ={})) == []


def with_sources(**sources: SourceSettings) -> Settings:
    return Settings(sources=SourcesSettings(**sources))


PAID = with_sources(
    jupiter=KeyedSourceSettings(
        base_url="https://proxy.example:8443/jup",
        api_key="jup-key-1",
        api_key_file="/etc/jup",
    ),
    solana_rpc=SourceSettings(
        base_url="https://user:pass-word@rpc.example/v2/abcdef0123456789abcdef?token=t0ken&x=1"
    ),
)


def test_settings_are_shown_without_keys_and_without_what_follows_a_host() -> None:
    sources = redacted(PAID)["sources"]

    assert sources["jupiter"] == {
        "base_url": "https://proxy.example:8443/***",
        "api_key": "***",
        "api_key_file": "***",
        "requests_per_minute": None,
        "timeout_seconds": 5.0,
    }
    assert sources["solana_rpc"]["base_url"] == "https://rpc.example/***"
    assert redacted(Settings())["sources"]["jupiter"]["api_key"] is None


def test_settings_are_shown_with_every_key_of_the_file() -> None:
    shown = redacted(Settings())

    assert list(shown) == [
        "api",
        "ops",
        "popular_file",
        "refresh",
        "tracking",
        "cache",
        "pricing",
        "trending",
        "sources",
        "fleet",
        "snapshot",
        "shutdown",
        "log",
    ]
    assert shown["ops"] == {"host": None, "port": 9765}


def test_what_came_from_a_variable_is_shown_as_stars(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text("{api: {port: '${P}'}, pricing: {sources: ['${S}', dexscreener]}, ops: {port: '${Q:-1}'}}")

    shown = redacted(load_settings(file, environ={"P": "8800", "S": "jupiter"}))

    assert (shown["api"]["port"], shown["pricing"]["sources"], shown["ops"]["port"]) == ("***", "***", 1)


FLEET = Settings(fleet=FleetSettings(redis_url="rediss://us-er:pass-word@redis.example:6380/0-path"))


def test_of_the_redis_url_only_the_origin_is_shown() -> None:
    assert redacted(FLEET)["fleet"]["redis_url"] == "rediss://redis.example:6380/***"
    assert repr(FLEET.fleet).count("***") == 1
    assert set(secrets_of(FLEET)) == {"us-er:pass-word", "us-er", "pass-word", "/0-path"}


def test_the_host_of_a_redis_url_from_a_variable_is_secret_too(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text("fleet: {redis_url: '${REDIS}'}")

    settings = load_settings(file, environ={"REDIS": "redis://:word@cache.example/0"})

    assert redacted(settings)["fleet"]["redis_url"] == "***"
    assert {"cache.example", "word"} <= set(secrets_of(settings))


@pytest.mark.parametrize("url", ["unix:///run/redis.sock", "redis://[::1]", "REDIS://cache"])
def test_a_redis_url_names_a_host_or_a_socket(url: str) -> None:
    assert contradictions(Settings(fleet=FleetSettings(redis_url=url))) == []


def test_the_repr_holds_no_secret() -> None:
    texts = [repr(PAID), repr(PAID.sources), repr(PAID.sources.jupiter), repr(PAID.sources.solana_rpc)]

    assert repr(PAID.sources.dexscreener) == (
        "SourceSettings({'base_url': 'https://api.dexscreener.com', "
        "'requests_per_minute': None, 'timeout_seconds': 5.0})"
    )
    assert not any(secret in text for secret in secrets_of(PAID) for text in texts)


def test_secrets_are_keys_and_all_of_a_base_url_but_its_origin() -> None:
    assert set(secrets_of(PAID)) == {
        "jup-key-1",
        "/etc/jup",
        "/jup",
        "user:pass-word",
        "user",
        "pass-word",
        "/v2/abcdef0123456789abcdef",
        "abcdef0123456789abcdef",
        "token=t0ken&x=1",
        "t0ken",
    }


def test_the_defaults_hold_no_secret() -> None:
    assert secrets_of(Settings()) == ()


def test_secrets_are_what_variables_held_and_what_was_made_of_it(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text("{snapshot: {path: '/data/${A}/${B}'}}")

    assert set(secrets_of(load_settings(file, environ={"A": "zone-1", "B": "b"}))) == {"zone-1", "/data/zone-1/b"}

from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.config.file import load_settings
from sidecar.config.popular import POPULAR
from sidecar.config.redaction import Redactor
from sidecar.config.secret_values import secrets_of
from sidecar.config.section import Section
from sidecar.config.settings import ApiSettings, FileSettings, Settings
from sidecar.errors import SettingsError
from tests.config.mistakes import BAD_SETTINGS

HERE = Path(__file__).parent
SHIPPED = HERE.parent.parent / "config" / "sidecar.yaml"
SOL = "So11111111111111111111111111111111111111112"


def key_of(settings: Settings) -> str | None:
    return dict(settings.sources.keyed())["jupiter"].api_key


def load(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    file = tmp_path / "sidecar.yaml"
    file.write_text(text)
    return load_settings(file, environ=environ or {})


def dotted_keys(section: Section, prefix: str = "") -> Iterator[str]:
    for name in section.__struct_fields__:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from dotted_keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def mistakes(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text, environ)
    return caught.value.mistakes


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_a_bad_file_leads_to_exactly_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)

    with pytest.raises(SettingsError) as caught:
        load_settings(Path("bad") / f"{name}.yaml", environ={"TEST_WORD": "eightythree"})

    assert caught.value.mistakes == [BAD_SETTINGS[name]]


def test_every_bad_file_has_its_line() -> None:
    assert {file.stem for file in (HERE / "bad").iterdir()} == BAD_SETTINGS.keys()


def test_the_shipped_file_is_the_defaults() -> None:
    shipped, defaults = load_settings(SHIPPED, environ={}), Settings()

    differing = {name for name in Settings.__struct_fields__ if getattr(shipped, name) != getattr(defaults, name)}

    assert differing == {"popular_path", "written"}
    assert shipped.popular_path == SHIPPED.parent / "popular.yaml"


def test_the_shipped_file_has_every_key_but_the_log_format_which_depends_on_the_terminal() -> None:
    assert load_settings(SHIPPED, environ={}).written == set(dotted_keys(FileSettings())) - {"log.format"}
    assert "# format: json " in SHIPPED.read_text()


def test_without_a_file_the_settings_are_the_defaults() -> None:
    assert load_settings(None, environ={}) == Settings()


@pytest.mark.parametrize("text", ["", "# nothing\n", "api:\nops:\n", "\ufeffapi: {}\n"])
def test_a_file_that_sets_nothing_is_the_defaults(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == Settings()


def test_one_key_of_a_source_leaves_its_others_at_their_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path, "sources: {solana_rpc: {base_url: 'https://rpc.example/k'}}")

    assert settings.sources.solana_rpc.base_url == "https://rpc.example/k"
    assert settings.sources.solana_rpc.timeout_seconds == 10.0
    assert settings.sources.jupiter == Settings().sources.jupiter


def test_whole_numbers_fit_fractional_settings(tmp_path: Path) -> None:
    assert load(tmp_path, "refresh: {popular_seconds: 1, stats_seconds: 1e3}").refresh.stats_seconds == 1000.0


def test_a_missing_settings_file_is_a_mistake(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"

    with pytest.raises(SettingsError, match=r"none\.yaml: cannot be read: No such file or directory$"):
        load_settings(missing, environ={})


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "popular.yaml").write_text(f"tokens: [{{mint: {SOL}, symbol: ''}}]")
    text = """
    refresh: {popular_seconds: soon}
    cache: {max_stale_seconds: 360}
    cash: {}
    api: {port: "${PORT}${HOST}"}
    """

    assert mistakes(tmp_path, text) == [
        f"cash: unknown key, perhaps cache; allowed here: {', '.join(sorted(FileSettings.__struct_fields__))}",
        "api.port: the environment variable PORT is not set",
        "api.port: the environment variable HOST is not set",
        "refresh.popular_seconds: must be a number from 0.1 to 86400, not 'soon'",
        "cache.max_stale_seconds: must be above cache.fresh_seconds (360), not 360",
        f"{tmp_path}/popular.yaml: tokens[0].symbol: must be a string of 1 to 32 printable characters, not ''",
    ]


def test_nothing_is_concluded_from_a_value_that_is_itself_a_mistake(tmp_path: Path) -> None:
    text = "{cache: {fresh_seconds: 200}, refresh: {tracked_seconds: -1}}"

    assert mistakes(tmp_path, text) == ["refresh.tracked_seconds: must be a number from 0.1 to 86400, not -1"]


def test_variables_are_expanded_and_converted(tmp_path: Path) -> None:
    text = """
    api: {host: "${HOST}", port: "${PORT:-8766}", allow_non_loopback: "${OPEN}", allowed_hosts: ["a-${ZONE}", b]}
    ops: {port: "${OPS_PORT}"}
    log: {level: "${LEVEL}"}
    sources: {jupiter: {api_key: "${KEY:-}", requests_per_minute: "${RPM:-}"}}
    snapshot: {path: "/data/$$x/${ZONE}"}
    """
    environ = {"HOST": "::1", "OPEN": "false", "ZONE": "eu-1", "OPS_PORT": "9001", "LEVEL": "debug", "RPM": ""}

    settings = load(tmp_path, text, environ)

    assert settings.api == ApiSettings(host="::1", port=8766, allowed_hosts=("a-eu-1", "b"))
    assert (settings.ops.port, settings.log.level, settings.snapshot.path) == (9001, "debug", "/data/$x/eu-1")
    assert settings.sources.jupiter == Settings().sources.jupiter
    assert settings.from_environment == {
        "api.host",
        "api.allow_non_loopback",
        "api.allowed_hosts",
        "ops.port",
        "log.level",
        "snapshot.path",
    }


def test_free_text_from_variables_is_remembered_as_secret_but_numbers_and_words_of_ours_are_not(
    tmp_path: Path,
) -> None:
    text = "{api: {port: '${PORT}'}, log: {level: '${LEVEL}'}, snapshot: {path: '/data/${ZONE}'}}"

    settings = load(tmp_path, text, {"PORT": "8800", "LEVEL": "info", "ZONE": "eu-1"})

    assert settings.environment_values == {"eu-1", "/data/eu-1"}


def test_an_empty_string_is_null_where_null_is_allowed(tmp_path: Path) -> None:
    settings = load(tmp_path, "{sources: {jupiter: {api_key: '', api_key_file: k}}, ops: {host: ''}}")

    assert (key_of(settings), settings.ops.host) == (None, None)


def test_a_value_from_a_variable_is_masked_in_every_mistake(tmp_path: Path) -> None:
    text = "{api: {host: '${H}'}, cache: {fresh_seconds: '${F}'}, popular_file: '${P}'}"
    environ = {"H": "10.9.8.7", "F": "11", "P": "secret-name.yaml"}

    found = "\n".join(mistakes(tmp_path, text, environ))

    assert "***: cannot be read: No such file or directory" in found
    assert "needs api.allow_non_loopback (false), not ***" in found
    assert "longest source timeout (10), not ***" in found
    assert not any(value in found for value in ("10.9.8.7", "secret-name", "not 11"))


def test_overrides_beat_the_file_and_even_its_mistakes(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text("{api: {port: none}, ops: , log: {level: debug}}")

    settings = load_settings(
        file, environ={}, overrides={"api.port": 0, "ops.port": 1, "shutdown.drain_seconds": 2}
    )

    assert (settings.api.port, settings.ops.port, settings.shutdown.drain_seconds) == (0, 1, 2.0)
    assert settings.written == {"api.port", "ops.port", "shutdown.drain_seconds", "log.level"}


def test_overrides_are_checked_like_the_file() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(None, environ={}, overrides={"api.port": 70_000, "log.level": "loud"})

    assert caught.value.mistakes == [
        "api.port: must be a whole number from 0 to 65535, not 70000",
        "log.level: must be debug, error, info or warning, not 'loud'",
    ]


@pytest.mark.parametrize(("text", "mistake"), [("[]", "the file"), ("{api: 1}", "api")])
def test_an_override_does_not_hide_that_its_section_is_none(tmp_path: Path, text: str, mistake: str) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text(text)

    with pytest.raises(SettingsError, match=f"^{mistake}: must be a mapping of keys"):
        load_settings(file, environ={}, overrides={"api.port": 1})


def test_more_values_than_any_settings_have_are_refused(tmp_path: Path) -> None:
    rows = "".join(f"k{number}: [1, 2, 3]\n" for number in range(9000))
    assert "there are too many values" in mistakes(tmp_path, rows)[0]


@pytest.mark.parametrize("blank", [" ", "\n", "\r\n", "\t"])
def test_white_space_around_a_secret_or_a_url_is_none_of_it(tmp_path: Path, blank: str) -> None:
    text = """
    sources:
      jupiter: {api_key: "${KEY}"}
      solana_rpc: {base_url: "${RPC}/${KEY}?a=1"}
    fleet: {redis_url: "${REDIS}"}
    """
    environ = {
        name: f"{blank}{value}{blank}"
        for name, value in {"KEY": "key-1234", "RPC": "https://rpc.example", "REDIS": "redis://cache"}.items()
    }

    settings = load(tmp_path, text, environ)

    assert key_of(settings) == "key-1234"
    assert settings.sources.solana_rpc.base_url == "https://rpc.example/key-1234?a=1"
    assert settings.fleet.redis_url == "redis://cache"
    assert "key-1234" in secrets_of(settings)
    assert key_of(load(tmp_path, "sources: {jupiter: {api_key: ' key-5678 '}}")) == "key-5678"


def test_a_wrong_max_tokens_does_not_make_the_popular_list_wrong_too(tmp_path: Path) -> None:
    rows = "".join(f"- {{mint: {token.mint}, symbol: {token.symbol}}}\n" for token in POPULAR)
    path = tmp_path / "popular.yaml"
    path.write_text(f"tokens:\n{rows}")

    assert mistakes(tmp_path, "tracking: {max_tokens: 0}") == [
        "tracking.max_tokens: must be a whole number from 1 to 10000, not 0"
    ]
    assert mistakes(tmp_path, "tracking: {max_tokens: 10}") == [
        f"{path}: tokens: must be at most tracking.max_tokens (10); line 12, column 3 is one too many"
    ]


def test_without_a_settings_file_no_popular_list_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "popular.yaml").write_text("albums: [x]")
    settings = load_settings(None, environ={})
    assert (settings.popular, settings.popular_path) == (POPULAR, None)
    (tmp_path / "mine.yaml").write_text("tokens: []")
    settings = load_settings(None, environ={}, overrides={"popular_file": "mine.yaml"})
    assert (settings.popular, settings.popular_path) == ((), Path("mine.yaml"))


def test_the_host_of_a_url_that_came_from_a_variable_is_secret_too(tmp_path: Path) -> None:
    text = "sources: {solana_rpc: {base_url: '${RPC}'}}"
    settings = load(tmp_path, text, {"RPC": "http://account-name.rpc.example:8899/path"})
    masked = Redactor(secrets_of(settings)).redact(
        "Cannot connect to host account-name.rpc.example:8899 ssl:default"
    )
    assert masked == "Cannot connect to host *** ssl:default"

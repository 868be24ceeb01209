import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.config.kinds import LogFormat
from sidecar.config.redaction import Redactor
from sidecar.config.settings import LogSettings, Settings
from sidecar.config.yaml_file import read_yaml
from sidecar.errors import SettingsError
from sidecar.runtime.logs import configure_logging, format_in_effect


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_record_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json", Redactor())

    logging.getLogger("sidecar.x").info(
        "%d refreshed", 3, extra={"loop": "popular", "ratio": float("nan"), "ok": True}
    )

    (line,) = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    assert list(record)[:4] == ["timestamp", "level", "logger", "event"]
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "level": "info",
        "logger": "sidecar.x",
        "event": "3 refreshed",
        "loop": "popular",
        "ratio": None,
        "ok": True,
    }


def test_records_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", "json", Redactor())

    logging.getLogger("sidecar.x").info("small talk")
    logging.getLogger("aiohttp.server").warning("odd")

    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["odd"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_gets_into_a_line(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    configure_logging("debug", log_format, Redactor(["top/secret"]))  # type: ignore[arg-type] # parametrized
    log = logging.getLogger("sidecar.x")

    try:
        raise OSError("no https://h/top%2Fsecret")  # noqa: TRY301 - the traceback is what is tested
    except OSError as error:
        nested = {"urls": [error, ("top/secret",)], "by top/secret": {"n": 1.5}}
        log.exception("failed: %s", "top%2Fsecret", extra={"cause": error, "nested": nested})

    written = capsys.readouterr().err
    assert "secret" not in written.replace("test_no_secret", "")
    assert "Traceback" in written
    assert "OSError: no https://h/***" in written


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_names_our_modules_whatever_a_url_has_in_its_path(
    capsys: pytest.CaptureFixture[str], log_format: LogFormat
) -> None:
    two_lines = "key\n1 of 2"
    configure_logging("debug", log_format, Redactor(["/jupiter", "/yaml_file", two_lines]))

    try:
        try:
            read_yaml(Path("/no/jupiter"))
        except SettingsError as error:
            raise ValueError(two_lines) from error
    except ValueError:
        logging.getLogger("sidecar.x").exception("failed at /jupiter")

    written = capsys.readouterr().err.replace("\\n", "\n").replace("\\", "")
    assert "sidecar/config/yaml_file.py" in written
    assert "/jupiter" not in written
    assert "1 of 2" not in written.replace('two_lines = "key\n1 of 2"', "")


def test_a_warning_of_python_is_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json", Redactor())

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old API", stacklevel=1)

    assert "UserWarning: old API" in json.loads(capsys.readouterr().err)["event"]


def test_setting_up_twice_writes_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json", Redactor())
    configure_logging("info", "console", Redactor())

    logging.getLogger("sidecar.x").info("once")

    assert capsys.readouterr().err.count("once") == 1


@pytest.mark.parametrize(
    ("written", "terminal", "expected"),
    [(False, False, "json"), (False, True, "console"), (True, False, "json"), (True, True, "json")],
)
def test_the_format_is_as_written_else_console_on_a_terminal(
    *, written: bool, terminal: bool, expected: str
) -> None:
    settings = Settings(log=LogSettings(format="json"), written=frozenset({"log.format"} if written else ()))

    assert format_in_effect(settings, terminal=terminal) == expected

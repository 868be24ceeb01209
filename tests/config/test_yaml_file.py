import contextlib
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.yaml_file import MAX_BYTES, read_yaml, scalar, shown
from sidecar.errors import SettingsError


def test_nested_values_become_plain_ones(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("a: {b: [1, -2.5, .5, 1e3, true, null, ~], c: 'true', d: \"1\"}\n0666: 0666\n")

    assert read_yaml(file) == {
        "a": {"b": [1, -2.5, 0.5, 1000.0, True, None, None], "c": "true", "d": "1"},
        "0666": "0666",
    }


@pytest.mark.parametrize("text", ["yes", "off", "0x10", "0o17", "12:30", "2026-01-01", "1_000", ".inf", "."])
def test_only_what_every_yaml_reader_agrees_on_is_not_a_string(text: str) -> None:
    assert scalar(text) == text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: \xff", "is not UTF-8 text"),
        (b"a: \x00", "is not valid YAML: special characters are not allowed"),
        (b" " * (MAX_BYTES + 1), "is larger than 1 MiB"),
        (b'"a\\nb": 1', "line 1, column 1: a key must be 1 to 64 printable characters"),
        (b"k" * 65 + b": 1", "line 1, column 1: a key must be 1 to 64 printable characters"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(content)

    with pytest.raises(SettingsError) as caught:
        read_yaml(file)

    assert caught.value.mistakes == [f"{file}: {reason}"]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be read: Is a directory$"):
        read_yaml(tmp_path)


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(b"# ".ljust(MAX_BYTES - 1, b"x") + b"\n")

    assert read_yaml(file) is None


@given(st.binary(max_size=60) | st.text("[]{}&*!-?:|>'\"#%@` \n\tab01,", max_size=60).map(str.encode))
def test_no_content_raises_anything_but_a_settings_error(content: bytes) -> None:
    with NamedTemporaryFile() as file:
        Path(file.name).write_bytes(content)
        with contextlib.suppress(SettingsError):
            read_yaml(Path(file.name))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (False, "false"),
        (1.5, "1.5"),
        ("a", "'a'"),
        ([], "[]"),
        (["a", 1], "[a, 1]"),
        (["a\nb"], "'[a\\nb]'"),
        ([["a"]], "a list"),
        ({"api_key": "k"}, "a mapping"),
        ("x" * 70, "'" + "x" * 63 + "…"),
    ],
)
def test_values_are_shown_as_written_on_one_short_line(value: Any, text: str) -> None:
    assert shown(value) == text

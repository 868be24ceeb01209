"""Which popular list is read beside the settings, and what a bad one costs."""

import errno
import os
from pathlib import Path
from threading import Event
from time import process_time

import pytest

from sidecar.config.popular import POPULAR, PopularToken
from sidecar.models import Mint
from tests.config.test_config_file import SOL, load, mistakes


def test_the_popular_list_is_found_beside_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"tokens: [{{mint: {SOL}, symbol: SOL}}]")

    settings = load(tmp_path, "popular_file: mine.yaml")

    assert settings.popular == (PopularToken(Mint(SOL), "SOL"),)
    assert settings.popular_path == tmp_path / "mine.yaml"


def test_without_a_popular_list_beside_the_file_the_built_in_one_is_used(tmp_path: Path) -> None:
    settings = load(tmp_path, "{}")

    assert (settings.popular, settings.popular_path) == (POPULAR, None)


def test_a_popular_list_that_cannot_be_reached_is_told_even_when_it_was_not_named(tmp_path: Path) -> None:
    (tmp_path / "popular.yaml").symlink_to("popular.yaml")

    settings = load(tmp_path, "{}")

    assert settings.popular_mistakes == (f"{tmp_path}/popular.yaml: cannot be read: {os.strerror(errno.ELOOP)}",)
    assert settings.popular == POPULAR


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("tokens: {", "is not valid YAML: line 1, column 10: expected the node content, but found '<stream end>'"),
        ("tokens: 1", "tokens: must be a list of mint and symbol, not 1"),
        (f"tokens: [{{mint: {SOL}, symbol: ''}}]", "tokens[0].symbol: must be a string of 1 to 32 printable"),
    ],
)
def test_a_bad_popular_list_leaves_the_built_in_one_and_its_mistakes(
    tmp_path: Path, text: str, mistake: str
) -> None:
    (tmp_path / "popular.yaml").write_text(text)

    settings = load(tmp_path, "tracking: {max_tokens: 9}")

    assert settings.popular == POPULAR[:9]
    assert settings.popular_path == tmp_path / "popular.yaml"
    assert [mistake in one for one in settings.popular_mistakes] == [True]


def test_a_popular_list_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "popular.yaml")

    settings = load(tmp_path, "{}")

    assert settings.popular_mistakes == (f"{tmp_path}/popular.yaml: cannot be read: is not a regular file",)


def test_a_disk_that_does_not_answer_leaves_the_built_in_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thawed = Event()
    monkeypatch.setattr("sidecar.runtime.disk.ANSWER_SECONDS", 0.05)
    monkeypatch.setattr("sidecar.config.popular.read_regular", lambda *_: thawed.wait(10))

    settings = load(tmp_path, "{}")

    thawed.set()
    assert settings.popular_mistakes == (f"{tmp_path}/popular.yaml: cannot be read: the disk does not answer",)
    assert settings.popular == POPULAR


def test_a_list_of_a_megabyte_is_refused_at_the_first_row_too_many(tmp_path: Path) -> None:
    rows = "".join(f"  - {{mint: {SOL[:-5]}{number:05}, symbol: S{number}}}\n" for number in range(13_000))
    (tmp_path / "popular.yaml").write_text(f"tokens:\n{rows}")
    began = process_time()

    (mistake,) = mistakes(tmp_path, "{}")

    assert process_time() - began < 1
    place = "line 102, column 5 is one too many"
    assert mistake == f"{tmp_path}/popular.yaml: tokens: must be at most tracking.max_tokens (100); {place}"

"""What is read in a pod, where ConfigMaps are mounted as folders that may be empty."""

import os
from pathlib import Path

import pytest

from sidecar.cli import main

SOL = "So11111111111111111111111111111111111111112"
LIST = f"tokens: [{{mint: {SOL}, symbol: SOL}}]\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay out the image's files and the two mounted folders, and name them as the Dockerfile does."""
    for folder in ("config", "popular"):
        (tmp_path / folder).mkdir()
    (tmp_path / "sidecar.yaml").write_text("{}")
    (tmp_path / "popular.yaml").write_text("tokens: []\n")
    files = tmp_path / "config" / "sidecar.yaml", tmp_path / "sidecar.yaml"
    monkeypatch.setenv("MC_SIDECAR_CONFIG", os.pathsep.join(map(str, files)))
    monkeypatch.setenv("MC_SIDECAR_POPULAR", str(tmp_path / "popular" / "popular.yaml"))
    return tmp_path


def mount(folder: Path, key: str, text: str) -> None:
    """Write a key of a ConfigMap as the kubelet does: through a link to a folder that is swapped as a whole."""
    (folder / "..2026").mkdir()
    (folder / "..2026" / key).write_text(text)
    (folder / "..data").symlink_to("..2026")
    (folder / key).symlink_to(f"..data/{key}")


def checked(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str]:
    code = main(["check-config", *flags])
    shown = capsys.readouterr()
    return code, shown.out + shown.err


def test_what_is_not_mounted_is_read_from_the_image(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "config" / "..data").symlink_to("nothing: an optional ConfigMap that does not exist")
    assert checked(capsys) == (0, f"the settings are good; 0 popular tokens from {root}/popular.yaml\n")


def test_what_is_mounted_is_read(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mount(root / "popular", "popular.yaml", LIST)
    assert checked(capsys) == (0, f"the settings are good; 1 popular tokens from {root}/popular/popular.yaml\n")
    mount(root / "config", "sidecar.yaml", "tracking: {max_tokens: 0}")
    code, shown = checked(capsys)
    assert (code, shown.startswith("mc-sidecar: tracking.max_tokens: must be")) == (2, True)


def test_list_next_to_the_settings_needs_no_folder_of_its_own(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MC_SIDECAR_POPULAR", str(root / "config" / "popular.yaml"))
    mount(root / "config", "sidecar.yaml", "{}")
    assert checked(capsys) == (0, "the settings are good; 11 popular tokens from the built-in list\n")


def test_keys_of_another_name_are_mistakes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mount(root / "popular", "tokens.yaml", LIST)
    mount(root / "config", "settings.yaml", "{}")
    settings = f"mc-sidecar: MC_SIDECAR_CONFIG: {root}/config holds settings.yaml, but no sidecar.yaml\n"
    popular = f"mc-sidecar: MC_SIDECAR_POPULAR: {root}/popular holds tokens.yaml, but no popular.yaml\n"
    assert checked(capsys) == (2, settings + popular)
    assert checked(capsys, f"--config={root}/config/settings.yaml") == (2, popular)


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "soon"])
def test_wait_takes_a_time_that_ends(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["wait", f"--timeout={seconds}"])
    assert ended.value.code == 2
    assert "argument --timeout: " in capsys.readouterr().err

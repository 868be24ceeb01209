# ruff: noqa: ASYNC240 - a test may wait for the disk
import errno
import logging
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sidecar.config.settings import ShutdownSettings
from sidecar.snapshot import manager as snapshot_manager
from sidecar.snapshot import memory as snapshot_memory
from sidecar.snapshot.file import write
from tests.clock import UNIX_START
from tests.snapshot.lives import A, life, next_life, settings_for


@pytest.fixture(autouse=True)
def every_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, Any]]:
    return [(r.levelname, r.message, r.__dict__.get("error")) for r in caplog.records]


async def test_no_snapshot_yet_is_nothing_to_warn_of(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with next_life(settings_for(path)):
        assert told(caplog) == [("INFO", "no snapshot to start from", None)]
    assert not path.with_name("snapshot.rejected").exists()


async def test_a_folder_that_is_not_there_is_nothing_to_warn_of_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with next_life(settings_for(tmp_path / "none" / "snapshot")):
        assert told(caplog) == [("INFO", "no snapshot to start from", None)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04", "it is not a snapshot"),
        (b'{"format":"mc-sidecar-snapshot","version":9}\n', "its version is 9, and only 2 is understood"),
        (
            b'{"format":"mc-sidecar-snapshot","version":1,"bytes":2}\nab',
            "its version is 1, and only 2 is understood",
        ),
        (b'{"format":"mc-sidecar-snapshot","version":2}\nab', "its checksum is wrong"),
        (b'{"format":"mc-sidecar-snapshot","version":2}\n' + b"x" * 1_162_241, "it is larger than 1162240 bytes"),
    ],
)
async def test_what_is_no_snapshot_is_set_aside_with_one_warning(
    path: Path, caplog: pytest.LogCaptureFixture, content: bytes, reason: str
) -> None:
    path.write_bytes(content)
    async with next_life(settings_for(path)) as one:
        assert told(caplog) == [("WARNING", "snapshot refused", reason)]
        assert caplog.records[0].__dict__["kept_as"] == f"{path}.rejected"
        assert Path(f"{path}.rejected").read_bytes() == content
        assert await one.snapshots.save()
    caplog.clear()
    async with next_life(settings_for(path)):
        assert [message for _, message, _ in told(caplog)] == ["snapshot restored"]


@pytest.mark.parametrize(
    "content", [[], [b'{"type":"demand","mint":"x","place":"popular"}\n'], [b'{"type":"taken"}\n']]
)
async def test_a_snapshot_that_does_not_say_when_it_was_taken_is_refused(
    path: Path, caplog: pytest.LogCaptureFixture, content: list[bytes]
) -> None:
    write(path, content)
    async with next_life(settings_for(path)):
        assert told(caplog) == [("WARNING", "snapshot refused", "it does not say when it was taken")]


async def test_deep_nesting_is_just_another_senseless_line(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(path, [b'{"type":"taken","at":[1.0,1.0]}\n', b'{"type":"token","x":' + b"[" * 100_000 + b"\n"])
    async with next_life(settings_for(path)):
        assert [message for _, message, _ in told(caplog)] == ["snapshot restored"]
        assert caplog.records[0].__dict__["dropped"] == 1


async def test_what_cannot_be_set_aside_is_left_there(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(b"PK")

    def refuse(_: Path) -> Path:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(snapshot_manager, "set_aside", refuse)
    async with next_life(settings_for(path)):
        assert told(caplog) == [("WARNING", "snapshot refused", "it is not a snapshot")]
        assert caplog.records[0].__dict__["not_kept"] == "Read-only file system"
    assert path.exists()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
async def test_what_is_no_regular_file_is_set_aside_with_one_warning_so_that_saves_work(
    path: Path, caplog: pytest.LogCaptureFixture, make: Callable[[Path], None]
) -> None:
    make(path)
    kind = stat.S_IFMT(path.stat().st_mode)
    async with next_life(settings_for(path)) as one:
        assert told(caplog) == [("WARNING", "snapshot not read", "is not a regular file")]
        assert caplog.records[0].__dict__["kept_as"] == f"{path}.rejected"
        assert await one.snapshots.save()
    assert stat.S_IFMT(Path(f"{path}.rejected").stat().st_mode) == kind
    assert path.is_file()


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES])
async def test_a_good_snapshot_that_cannot_be_read_at_the_moment_is_not_overwritten(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    async with life(settings_for(path)) as one:
        one.hold(A)
        await one.snapshots.save()
    good = path.read_bytes()
    caplog.clear()

    def refuse(*_: object) -> bytes:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(snapshot_manager, "read", refuse)
    async with next_life(settings_for(path)) as one:
        assert told(caplog) == [("WARNING", "snapshot not read", os.strerror(code))]
        assert await one.snapshots.save()
    assert Path(f"{path}.rejected").read_bytes() == good
    assert path.read_bytes() != good


async def test_what_can_neither_be_read_nor_set_aside_is_left_there_with_one_warning(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.mkdir()
    Path(f"{path}.rejected").write_bytes(b"a folder does not replace a file")
    async with next_life(settings_for(path)):
        assert told(caplog) == [("WARNING", "snapshot not read", "is not a regular file")]
        assert caplog.records[0].__dict__["not_kept"] == "Not a directory"
    assert path.is_dir()


async def test_a_bug_in_the_restoring_does_not_stop_the_start_either(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with life(settings_for(path)) as one:
        await one.snapshots.save()

    def break_off(_: bytes) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(snapshot_manager, "decode", break_off)
    async with next_life(settings_for(path)):
        assert told(caplog) == [("ERROR", "snapshot refused", None)]
        assert caplog.records[0].exc_info
    assert Path(f"{path}.rejected").exists()


def no_folder(folder: Path) -> Callable[[], None]:
    folder.rmdir()
    return folder.mkdir


def a_folder_in_the_way(folder: Path) -> Callable[[], None]:
    (folder / "snapshot").mkdir()
    return (folder / "snapshot").rmdir


def a_folder_in_the_way_of_the_temporary_file(folder: Path) -> Callable[[], None]:
    (folder / "snapshot.tmp").mkdir()
    return (folder / "snapshot.tmp").rmdir


def read_only(folder: Path) -> Callable[[], None]:
    folder.chmod(0o500)
    return lambda: folder.chmod(0o700)


@pytest.mark.parametrize(
    "spoil",
    [
        no_folder,
        a_folder_in_the_way,
        a_folder_in_the_way_of_the_temporary_file,
        pytest.param(
            read_only, marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may write into any folder")
        ),
    ],
)
async def test_writes_that_fail_warn_once_and_their_end_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], Callable[[], None]]
) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    repair = spoil(folder)
    async with life(settings_for(folder / "snapshot")) as one:
        assert not await one.snapshots.save()
        assert not await one.snapshots.save()
        assert [(level, message) for level, message, _ in told(caplog)] == [("WARNING", "snapshot not written")]
        assert one.success.value is None
        repair()
        assert await one.snapshots.save()
        assert await one.snapshots.save()
        assert one.success.value == UNIX_START
    assert [message for _, message, _ in told(caplog)] == ["snapshot not written", "snapshot written again"]


async def test_a_frozen_disk_fails_a_save_and_the_last_one_of_a_stop_in_time(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    thawed = threading.Event()
    monkeypatch.setattr(snapshot_manager, "write", lambda *_: thawed.wait(30))
    monkeypatch.setattr(snapshot_manager, "SHORTEST_LAST_WRITE_SECONDS", 0.01)
    settings = msgspec.structs.replace(settings_for(path), shutdown=ShutdownSettings(drain_seconds=0))
    async with life(settings) as one:
        one.hold(A)
        await one.snapshots.start()
        assert not await one.snapshots.save(0.01)
        await one.snapshots.stop()
    thawed.set()
    assert told(caplog)[1:] == [("WARNING", "snapshot not written", "the disk does not answer")]


async def test_a_frozen_disk_does_not_hold_up_the_start(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    thawed = threading.Event()
    monkeypatch.setattr(snapshot_manager, "read", lambda *_: thawed.wait(30))
    monkeypatch.setattr(snapshot_manager, "ANSWER_SECONDS", 0.01)
    async with next_life(settings_for(path)):
        assert told(caplog) == [("WARNING", "snapshot not read", "the disk does not answer")]
    thawed.set()


async def test_a_bug_in_the_encoding_is_logged_once_and_the_old_file_stays(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with life(settings_for(path)) as one:
        one.hold(A)
        await one.snapshots.save()
        before = path.read_bytes()

        def break_off(_: object) -> bytes:
            raise ZeroDivisionError

        monkeypatch.setattr(snapshot_memory, "encode", break_off)
        assert not await one.snapshots.save()
        assert not await one.snapshots.save()
    assert told(caplog) == [("ERROR", "snapshot not written", None)]
    assert path.read_bytes() == before

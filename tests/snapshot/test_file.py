import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from sidecar.runtime.disk import read_regular
from sidecar.snapshot.file import SnapshotError, read, set_aside, write

LIMIT = 1000
CONTENT = [b"first line\n", b"second line\n"]


def edited(path: Path, **changes: object) -> None:
    """Change the header of the file."""
    header, _, content = path.read_bytes().partition(b"\n")
    path.write_bytes(msgspec.json.encode({**msgspec.json.decode(header), **changes}) + b"\n" + content)


def test_what_is_written_is_read_back(path: Path) -> None:
    write(path, CONTENT)
    assert read(path, LIMIT) == b"first line\nsecond line\n"


def test_an_empty_content_is_a_content(path: Path) -> None:
    write(path, [])
    assert read(path, LIMIT) == b""


def test_the_header_names_format_version_length_and_checksum(path: Path) -> None:
    write(path, CONTENT)
    assert msgspec.json.decode(path.read_bytes().partition(b"\n")[0]) == {
        "format": "mc-sidecar-snapshot",
        "version": 2,
        "sha256": sha256(b"first line\nsecond line\n").hexdigest(),
    }


def test_only_the_owner_may_read_it_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        write(path, CONTENT)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_old_snapshot_is_replaced_and_a_killed_writers_file_too(path: Path) -> None:
    write(path, [b"old"])
    leftover = path.with_name("snapshot.tmp")
    leftover.write_bytes(b"half")
    leftover.chmod(0o644)
    write(path, CONTENT)
    assert read(path, LIMIT) == b"".join(CONTENT)
    assert [file.name for file in path.parent.iterdir()] == ["snapshot"]


def test_a_temporary_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    path.with_name("snapshot.tmp").symlink_to(victim)
    write(path, CONTENT)
    assert victim.read_bytes() == b"precious"


def test_the_file_is_on_disk_before_it_gets_its_name_and_the_name_after(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        steps.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        sync(descriptor)

    def rename(self: Path, target: Path) -> Path:
        steps.append(f"rename {self.name} to {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", rename)
    write(path, CONTENT)
    assert steps == ["sync snapshot.tmp", "rename snapshot.tmp to snapshot", f"sync {path.parent.name}"]


def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, [b"old"])

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(path, CONTENT)
    assert read(path, LIMIT) == b"old"
    assert [file.name for file in path.parent.iterdir()] == ["snapshot"]


def test_a_full_disk_keeps_the_old_file(path: Path) -> None:
    """A limit on the file size stands for the full disk: the kernel refuses the write in the same place."""
    program = (
        "import resource, signal, sys; from pathlib import Path; from sidecar.snapshot.file import write\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); path = Path(sys.argv[1]); write(path, [b'old'])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "try: write(path, [b'x' * 100_000])\n"
        "except OSError as error: print(error.strerror)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, check=True)  # noqa: S603
    assert done.stdout == b"File too large\n"
    assert read(path, LIMIT) == b"old"
    assert [file.name for file in path.parent.iterdir()] == ["snapshot"]


def test_without_a_file_it_says_so(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(path, LIMIT)


def a_directory(path: Path) -> None:
    path.mkdir()


def a_named_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make", [a_directory, a_named_pipe])
def test_what_is_no_file_cannot_be_read_and_is_not_waited_for(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    with pytest.raises(OSError, match="is not a regular file"):
        read(path, LIMIT)


FOREIGN = [
    b"",
    b"\n",
    b"{",
    b"[]\n",
    b'{"format": "tar", "version": 1}\n',
    b"\xff\xfe\x00",
    b"x" * 5000,
    b'{"version": 1}',
]


@pytest.mark.parametrize("foreign", FOREIGN)
def test_another_kind_of_file_is_no_snapshot(path: Path, foreign: bytes) -> None:
    path.write_bytes(foreign)
    with pytest.raises(SnapshotError, match=r"^it is not a snapshot$"):
        read(path, LIMIT)


def test_a_later_version_is_named(path: Path) -> None:
    write(path, CONTENT)
    edited(path, version=3, compression="zstd")
    with pytest.raises(SnapshotError, match=r"^its version is 3, and only 2 is understood$"):
        read(path, LIMIT)


@pytest.mark.parametrize("kept", range(-24, 0))
def test_a_file_cut_short_anywhere_is_refused(path: Path, kept: int) -> None:
    write(path, CONTENT)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SnapshotError, match=r"^its checksum is wrong$"):
        read(path, LIMIT)


def test_a_file_with_more_than_was_written_is_refused(path: Path) -> None:
    write(path, CONTENT)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(SnapshotError, match=r"^its checksum is wrong$"):
        read(path, LIMIT)


def test_a_changed_byte_is_noticed(path: Path) -> None:
    write(path, CONTENT)
    path.write_bytes(path.read_bytes().replace(b"second", b"sexond"))
    with pytest.raises(SnapshotError, match=r"^its checksum is wrong$"):
        read(path, LIMIT)


def test_the_limit_is_of_the_content(path: Path) -> None:
    write(path, [b"x" * LIMIT])
    assert len(read(path, LIMIT)) == LIMIT
    write(path, [b"x" * (LIMIT + 1)])
    with pytest.raises(SnapshotError, match=r"^it is larger than 1000 bytes$"):
        read(path, LIMIT)


def test_of_a_huge_file_only_the_allowed_part_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, CONTENT)
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    asked: list[int] = []
    whole = read_regular

    def watched(file: Path, max_bytes: int) -> bytes:
        asked.append(max_bytes)
        return whole(file, max_bytes)

    monkeypatch.setattr("sidecar.snapshot.file.read_regular", watched)
    with pytest.raises(SnapshotError, match="larger than"):
        read(path, LIMIT)
    assert asked == [LIMIT + 1025]


def test_what_is_refused_is_kept_once(path: Path) -> None:
    for content in (b"one", b"two"):
        path.write_bytes(content)
        assert set_aside(path).name == "snapshot.rejected"
    assert [(file.name, file.read_bytes()) for file in path.parent.iterdir()] == [("snapshot.rejected", b"two")]

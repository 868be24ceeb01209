import asyncio
import os
import threading
from pathlib import Path

import pytest

from sidecar.runtime import disk
from sidecar.runtime.disk import Disk, answer_of, read_regular


def test_of_a_file_at_most_so_many_bytes_are_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"abcdef")

    assert (read_regular(file, 4), read_regular(file, 10)) == (b"abcd", b"abcdef")


def test_a_pipe_and_a_device_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match="is not a regular file"):
            read_regular(path, 10)


def test_an_answer_comes_back_and_an_error_is_raised() -> None:
    assert answer_of(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        answer_of(lambda: 1 / 0)


def test_no_answer_is_a_timeout_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    thawed = threading.Event()
    monkeypatch.setattr(disk, "ANSWER_SECONDS", 0.01)

    with pytest.raises(TimeoutError, match="the disk does not answer"):
        answer_of(lambda: thawed.wait(10))
    thawed.set()


async def test_work_is_done_one_after_the_other() -> None:
    one, order = Disk(), []

    def slow() -> int:
        threading.Event().wait(0.02)
        order.append("slow")
        return 1

    first = asyncio.create_task(one.do(slow, 5))
    await asyncio.sleep(0)
    await one.do(lambda: order.append("quick"), 5)
    assert await first == 1
    assert order == ["slow", "quick"]


async def test_while_work_hangs_no_other_is_begun_and_afterwards_all_is_well() -> None:
    one, thawed, begun = Disk(), threading.Event(), []
    with pytest.raises(TimeoutError, match="the disk does not answer"):
        await one.do(lambda: thawed.wait(10), 0.01)
    with pytest.raises(TimeoutError):
        await one.do(lambda: begun.append(1), 0.01)
    assert begun == []
    thawed.set()
    assert await one.do(lambda: 7, 5) == 7


async def test_what_the_work_raises_is_raised() -> None:
    with pytest.raises(PermissionError):
        await Disk().do(lambda: (_ for _ in ()).throw(PermissionError()).__next__(), 5)


def test_an_event_loop_that_ends_first_hears_nothing_and_nothing_breaks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    thawed = threading.Event()
    ended = threading.Event()

    def work() -> None:
        thawed.wait(10)
        ended.set()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await Disk().do(work, 0.01)

    asyncio.run(give_up())
    thawed.set()
    assert ended.wait(10)
    assert not caplog.records

"""A disk may never answer: a mount that hangs must hold up neither the service nor the end of the process."""

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any, Final, TypeVar

ANSWER_SECONDS: Final = 5.0
"""How long a read of a small file may take."""

T = TypeVar("T")


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Return at most so many bytes of a file. Raises OSError, also for a named pipe, which might never end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(max_bytes)
    finally:
        os.close(descriptor)


def answer_of(work: Callable[[], T]) -> T:
    """Return what the work returns. Raises what it raises, and TimeoutError when five seconds are over."""
    try:
        return begin(work).result(ANSWER_SECONDS)
    except TimeoutError as error:
        raise _no_answer() from error


class Disk:
    """Does one piece of blocking work after the other, in threads which no exit waits for.

    The event loop's own threads are joined at its end, so a read that hangs there would keep the process alive.
    """

    def __init__(self) -> None:
        self._last: Future[Any] | None = None

    async def do(self, work: Callable[[], T], within_seconds: float) -> T:
        """Return what the work returns.

        Raises what it raises, and TimeoutError when it has not ended in time, or was not begun because what was
        begun before it has not.
        """
        try:
            async with asyncio.timeout(within_seconds):  # on the event loop's clock: a disk knows no other
                if self._last is not None:
                    await _ended(self._last)
                self._last = begun = begin(work)
                await _ended(begun)
        except TimeoutError as error:
            raise _no_answer() from error
        return begun.result()


async def _ended(work: Future[Any]) -> None:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not ended.done():
            ended.set_result(None)

    def tell(_: object) -> None:
        with suppress(RuntimeError):  # the event loop has ended meanwhile
            loop.call_soon_threadsafe(end)

    work.add_done_callback(tell)
    await ended


def begin(work: Callable[[], T]) -> Future[T]:
    """Have the work done in a thread which no exit waits for."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            future.set_exception(error)

    Thread(target=run, name="disk", daemon=True).start()
    return future


def _no_answer() -> TimeoutError:
    return TimeoutError(errno.ETIMEDOUT, "the disk does not answer")

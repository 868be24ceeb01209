"""Processes on a core of their own, and what they cost: CPU seconds and memory, read from /proc."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

SERVER_CORE: Final = 0
OTHER_CORE: Final = 1
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0


class Process:
    """A running child process. Its figures include its own children, without those that have ended."""

    def __init__(
        self, arguments: Sequence[str], core: int | str, environ: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        self.started = time.perf_counter()
        more.setdefault("stdout", subprocess.DEVNULL)
        more.setdefault("stderr", subprocess.DEVNULL)
        pinned = ["taskset", "-c", str(core), *arguments]
        self.popen = subprocess.Popen(pinned, env={**os.environ, **(environ or {})}, text=True, **more)  # noqa: S603

    def cpu_seconds(self) -> float:
        """Return user and system time so far."""
        return sum(map(_cpu_seconds, self._family()))

    def rss_mib(self) -> float:
        """Return resident memory now."""
        return sum(_memory_kib(pid, "VmRSS") for pid in self._family()) / 1024

    def peak_mib(self) -> float:
        """Return the most that was resident at once."""
        return sum(_memory_kib(pid, "VmHWM") for pid in self._family()) / 1024

    def lines(self) -> Iterator[str]:
        """Yield what it writes to its standard output, when that was asked for with `stdout=PIPE`."""
        yield from self.popen.stdout or ()

    def first_line(self) -> str:
        """Wait for its first line."""
        return next(self.lines())

    def stop(self) -> None:
        """Ask it to end, and kill it when it does not."""
        self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()

    def _family(self) -> Iterator[int]:
        return _descendants(self.popen.pid)


def python(*arguments: str) -> list[str]:
    """Return the command line of a module or script under this interpreter."""
    return [sys.executable, *arguments]


def version_of(interpreter: str) -> str:
    """Return the version of a Python."""
    code = "import platform; print(platform.python_version())"
    done = subprocess.run([interpreter, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603
    return done.stdout.strip()


def wait_for(url: str, process: Process, seconds: float = _START_SECONDS) -> float:
    """Poll until the URL answers 200; return the seconds since the process was started. Raises TimeoutError."""
    while time.perf_counter() - process.started < seconds:
        if process.popen.poll() is not None:
            raise ChildProcessError(f"{process.popen.args!r} ended with {process.popen.returncode}")
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            fetch(url)
            return time.perf_counter() - process.started
        time.sleep(0.005)
    raise TimeoutError(f"no answer from {url}")


def wait_for_port(port: int, process: Process, seconds: float = _START_SECONDS) -> None:
    """Return once something listens on a port. Raises TimeoutError."""
    while time.perf_counter() - process.started < seconds:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.005)
    raise TimeoutError(f"nothing listens on port {port}")


def fetch(url: str, body: bytes | None = None) -> bytes:
    """Return the body of a 200. Raises HTTPError for other statuses."""
    headers = {} if body is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - http on loopback
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - same
        content: bytes = response.read()
        return content


def _descendants(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from _descendants(int(child))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory_kib(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))

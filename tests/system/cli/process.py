"""`python -m sidecar` as a process of its own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

TIMEOUT_SECONDS: Final = 20.0
FREE_PORTS: Final = ("--api-port", "0", "--ops-port", "0")


class Process:
    """A running command. `log` holds every line that was read so far, as the object that it is."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child
        self.log: list[dict[str, Any]] = []

    async def until(self, event: str, **fields: Any) -> dict[str, Any]:
        """Read the log up to a line about this event, with these fields."""
        assert self.child.stderr is not None
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while text := await self.child.stderr.readline():
                line = json.loads(text)
                self.log.append(line)
                if line["event"] == event and fields.items() <= line.items():
                    return dict(line)
        raise AssertionError(f"no {event!r} in {self.log}")

    async def listening(self) -> tuple[str, str]:
        """Return the base URLs of the application's and of the operator's listener."""
        line = await self.until("listening")
        return line["api"][0], line["ops"][0].replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - where it listens

    async def end(self, *signals: signal.Signals) -> int:
        """Send the signals and return the exit code; the rest of the log is read, and must be JSON."""
        for number in signals:
            self.child.send_signal(number)
        assert self.child.stderr is not None
        async with asyncio.timeout(TIMEOUT_SECONDS):
            rest = await self.child.stderr.read()
            self.log += map(json.loads, rest.splitlines())
            return await self.child.wait()


@asynccontextmanager
async def started(*arguments: str, environment: Mapping[str, str] | None = None) -> AsyncIterator[Process]:
    """Start a command, and kill it if it still runs at the end."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", *arguments),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        env=_environment(environment),
    )
    try:
        yield Process(child)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def run(*arguments: str, environment: Mapping[str, str] | None = None) -> tuple[int, str, list[str]]:
    """Run a command to its end; return exit code, standard output and the lines of standard error."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", *arguments),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=_environment(environment),
    )
    async with asyncio.timeout(TIMEOUT_SECONDS):
        output, errors = await child.communicate()
    return await child.wait(), output.decode(), errors.decode().splitlines()


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MC_SIDECAR")}
    return {**kept, **(more or {})}

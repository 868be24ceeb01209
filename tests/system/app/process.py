"""The sidecar as a process of its own, on the simulated market."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from sidecar.refresh.loop import GRACE_SECONDS

PROGRAM = (
    "import sidecar.cli, sidecar.refresh.loop as loops; loops.GRACE_SECONDS = {grace_seconds}; "
    "exit(sidecar.cli.main())"
)
FREE_PORT = ("--api-port", "0")
START_SECONDS = 20.0
END_SECONDS = 10.0


class Sidecar:
    def __init__(self, process: asyncio.subprocess.Process, addresses: dict[str, Any]) -> None:
        self.process = process
        self.addresses = addresses
        self.log = ""

    @property
    def port(self) -> int:
        return int(self.addresses["api"][0].rsplit(":", 1)[1])

    async def probe(self, path: str) -> tuple[int, dict[str, Any]]:
        base = self.addresses["ops"][0]
        async with aiohttp.ClientSession() as session, session.get(base + path) as response:
            return response.status, await response.json()

    async def ended(self) -> int:
        """Wait for the end and return the exit code."""
        async with asyncio.timeout(END_SECONDS):
            _, rest = await self.process.communicate()
        self.log += rest.decode()
        assert self.process.returncode is not None
        return self.process.returncode


async def launch(
    directory: Path,
    config: str,
    *arguments: str,
    grace_seconds: float = GRACE_SECONDS,
    open_files: int | None = None,
) -> asyncio.subprocess.Process:
    """Start the demo with this configuration, its loops as late as that before they count as stuck."""
    path = directory / "sidecar.yaml"
    path.write_text(config)
    program = [sys.executable, "-c", PROGRAM.format(grace_seconds=grace_seconds)]
    command = [*program, "--config", str(path), "demo", "--ops-port", "0", *arguments]
    if open_files is not None:
        command = ["sh", "-c", 'ulimit -n "$0"; exec "$@"', str(open_files), *command]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MC_SIDECAR")}
    return await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=environment)


@asynccontextmanager
async def sidecar(
    directory: Path,
    config: str = "",
    arguments: Sequence[str] = FREE_PORT,
    grace_seconds: float = GRACE_SECONDS,
    open_files: int | None = None,
) -> AsyncIterator[Sidecar]:
    """Run the demo until the context ends; it listens and is warm."""
    process = await launch(
        directory,
        "ops: {host: 127.0.0.1}\nlog: {format: json}\n" + config,
        *arguments,
        grace_seconds=grace_seconds,
        open_files=open_files,
    )
    log = ""
    try:
        assert process.stderr is not None
        async with asyncio.timeout(START_SECONDS):
            while (line := json.loads(await process.stderr.readline()))["event"] != "listening":
                log += json.dumps(line)
            running = Sidecar(process, line)
            running.log = log
            while (await running.probe("/startupz"))[0] != 200:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()

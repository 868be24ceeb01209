"""`mc-sidecar serve` as a process of its own, on upstreams that the test serves."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

from sidecar.demo import Source

TIMEOUT_SECONDS: Final = 30.0


class Process:
    """A running sidecar, its log so far and its two listeners."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.log: list[dict[str, Any]] = []
        self._api = self._ops = ""

    async def event(self, name: str) -> dict[str, Any]:
        """Return the next log line with this event."""
        assert self._process.stderr is not None
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                line = json.loads(await self._process.stderr.readline())
                self.log.append(line)
                if line["event"] == name:
                    return dict(line)

    async def listening(self) -> None:
        addresses = await self.event("listening")
        self._api, self._ops = addresses["api"][0], addresses["ops"][0]

    async def drain(self) -> None:
        """Read the log until its end, so that a long one does not stop the process."""
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self.log.append(json.loads(line))

    async def token(self, mint: str) -> dict[str, Any]:
        """Ask the application's listener for a token."""
        async with aiohttp.ClientSession() as session, session.get(f"{self._api}/mc/{mint}") as response:
            body: dict[str, Any] = await response.json(content_type=None)
            return body

    async def tokens(self, mints: Sequence[str]) -> dict[str, Any]:
        """Ask the application's listener for many tokens at once."""
        asked = {"mints": list(mints)}
        async with aiohttp.ClientSession() as session, session.post(f"{self._api}/mc", json=asked) as response:
            body: dict[str, Any] = await response.json()
            return body

    async def status(self) -> dict[str, Any]:
        async with aiohttp.ClientSession() as session, session.get(f"{self._ops}/status") as response:
            body: dict[str, Any] = await response.json(content_type=None)
            return body

    async def metrics(self) -> str:
        async with aiohttp.ClientSession() as session, session.get(f"{self._ops}/metrics") as response:
            return await response.text()

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Return the exit code when the process has ended."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await self._process.wait()


def serving(folder: Path, urls: Mapping[Source, str], **settings: Any) -> AbstractAsyncContextManager[Process]:
    """Run the sidecar with these upstreams and settings until the context ends; it listens."""
    return serving_program(("sidecar",), folder, urls, settings)


@asynccontextmanager
async def serving_program(
    program: Sequence[str], folder: Path, urls: Mapping[Source, str], settings: Mapping[str, Any]
) -> AsyncIterator[Process]:
    """Run a module that takes the command's arguments as `serving` runs the sidecar."""
    tree = {
        "api": {"host": "127.0.0.1", "port": 0},
        "ops": {"host": "127.0.0.1", "port": 0},
        "sources": {str(name): {"base_url": url} for name, url in urls.items()},
        "log": {"format": "json"},
        **settings,
    }
    path = folder / "sidecar.yaml"
    path.write_text(yaml.safe_dump(tree))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MC_SIDECAR")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *program, "serve", "--config", str(path)),
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    running = Process(process)
    try:
        await running.listening()
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()

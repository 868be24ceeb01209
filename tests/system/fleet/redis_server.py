"""A real redis-server of the test's own, that can be killed, frozen and started again."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis

from tests.programs import require_program

PROGRAM: Final = os.environ.get("REDIS_SERVER", "redis-server")
"""Which server the tests drive: valkey-server speaks the same language."""


class RedisServer:
    """One server. It keeps nothing on disk: started again it is empty."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._program = require_program(PROGRAM, package=PROGRAM)
        self._folder = folder
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None
        self.socket = folder / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    async def start(self) -> None:
        """Start and wait until it answers."""
        self._process = await asyncio.create_subprocess_exec(
            *(self._program, "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no"),
            *("--dir", str(self._folder), "--daemonize", "no", *self._arguments),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(10):
            while not await self._answers():  # noqa: ASYNC110 - it is a process of its own
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Kill it, and wait for its end."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await process.wait()
            self.socket.unlink(missing_ok=True)

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    async def command(self, *parts: Any, password: str | None = None) -> Any:
        """Run one command on a connection of its own."""
        client = Redis.from_url(self.url, protocol=2, password=password)
        try:
            return await client.execute_command(*parts)  # type: ignore[no-untyped-call]
        finally:
            await client.aclose()

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, f"{self._program} ended at once"
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self.socket))
        except OSError:
            return False
        return True


@asynccontextmanager
async def redis_server(folder: Path, *arguments: str) -> AsyncIterator[RedisServer]:
    """Run a server while the context lasts."""
    server = RedisServer(folder, *arguments)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()

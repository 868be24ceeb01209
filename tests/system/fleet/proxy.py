"""A proxy in front of a Redis, which can be slow or fall silent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory


class Proxy:
    """Passes all on. `seconds`: how late answers are; `is_silent`: it accepts, and says nothing any more."""

    def __init__(self, target: Path, url: str) -> None:
        self.url = url
        self.seconds = 0.0
        self.is_silent = False
        self._target = target
        self.connections: set[asyncio.Task[None] | None] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection, and pass on what comes until one side ends it; end it where Redis takes none."""
        self.connections.add(asyncio.current_task())
        with closing(writer):
            try:
                there, back = await asyncio.open_unix_connection(self._target)
            except OSError:
                return
            with closing(back), suppress(ConnectionError):
                await asyncio.gather(self._questions(reader, back), self._answers(there, writer))

    async def _questions(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            while data := await reader.read(65_536):
                if not self.is_silent:
                    writer.write(data)

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            while data := await reader.read(65_536):
                await asyncio.sleep(self.seconds)
                if not self.is_silent:
                    writer.write(data)


@asynccontextmanager
async def proxy(target: Path) -> AsyncIterator[Proxy]:
    """Run a proxy in front of a Redis that listens at a socket."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "proxy.sock"
        passing_on = Proxy(target, f"unix://{path}")
        server = await asyncio.start_unix_server(passing_on.accept, path)
        try:
            yield passing_on
        finally:
            server.close()
            await asyncio.sleep(0)  # what has just been accepted begins
            taken = [task for task in passing_on.connections if task is not None]
            for task in taken:
                task.cancel()
            await asyncio.gather(*taken, return_exceptions=True)

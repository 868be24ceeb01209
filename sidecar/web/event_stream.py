"""An answer of server-sent events: text/event-stream, HTML Living Standard 9.2."""

from collections.abc import AsyncIterator, Callable
from typing import Final

from sidecar.web.connection import LongAnswer

RETRY: Final = b"retry: 1000\n\n"
"""Milliseconds after which a browser comes back."""
KEEP_ALIVE: Final = b":\n\n"
"""A comment: it shows both sides, and what lies between them, that the connection lives."""
HEADERS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}


def event(name: str, data: bytes, identity: bytes) -> bytes:
    """Return one event as it goes over the wire; `data` is one line."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (identity, name.encode(), data)


class EventStream(LongAnswer):
    """Writes texts as fast as the client takes them, until they end; `end` makes them end."""

    def __init__(self, texts: AsyncIterator[bytes], end: Callable[[], None]) -> None:
        super().__init__(headers=HEADERS)
        self._texts = texts
        self._end = end

    def end(self) -> None:
        """Let the texts end."""
        self._end()

    async def write_eof(self, data: bytes = b"") -> None:
        """Write all texts."""
        await self.write(RETRY)
        async for text in self._texts:
            await self.write(text)
        await super().write_eof(data)

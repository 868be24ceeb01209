"""Bounds what a connection to an upstream may receive, before the HTTP parser sees it.

The parser builds an object for each interim response and each chunk, however empty: a few megabytes of them would
be a hundred megabytes and a second of standstill.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection

MOST_RECEIVED_BYTES: Final = 3 * 1024 * 1024
"""Of one answer as it is sent: head, interim responses and chunk extensions included."""
TOO_MUCH: Final = f"more than {MOST_RECEIVED_BYTES} bytes received"
"""In the text of the error that such a connection ends with: aiohttp keeps no more of its cause."""
SLICE_BYTES: Final = 16 * 1024
"""What the parser gets in one turn of the event loop."""


class BoundedConnector(aiohttp.TCPConnector):
    """A TCPConnector that closes a connection when one answer on it is too large."""

    async def connect(self, req: ClientRequest, *rest: Any, **options: Any) -> Connection:
        """Connect, or take a connection from the pool; what it receives is counted from now on."""
        connection = await super().connect(req, *rest, **options)
        transport, handler = connection.transport, connection.protocol
        if transport is not None and handler is not None:
            transport.set_protocol(_Bounded(transport, handler))
        return connection


class _Bounded(asyncio.BufferedProtocol):
    """Hands what is received on, a slice each turn of the event loop, up to the bound.

    uvloop reads again and again in one turn while there is something to read: slices wait for theirs here.
    """

    def __init__(self, transport: asyncio.Transport, handler: ResponseHandler) -> None:
        self._transport = transport
        self._handler = handler
        self._buffer = bytearray(SLICE_BYTES)
        self._received = 0
        self._waiting: deque[bytes] = deque()
        self._end: Callable[[], object] | None = None
        """What to tell the handler when it has got everything: that the connection is lost."""

    def get_buffer(self, _sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._received += nbytes
        if self._received > MOST_RECEIVED_BYTES:
            self._waiting.clear()
            self._transport.abort()
            return
        self._waiting.append(bytes(memoryview(self._buffer)[:nbytes]))
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._hand_on)

    def _hand_on(self) -> None:
        if self._waiting:
            self._handler.data_received(self._waiting[0])
            self._waiting.popleft()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._hand_on)
        else:
            self._finish()

    def eof_received(self) -> None:
        self._handler.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._received > MOST_RECEIVED_BYTES:
            exc = ConnectionAbortedError(TOO_MUCH)
        self._end = partial(self._handler.connection_lost, exc)
        if not self._waiting:
            self._finish()

    def _finish(self) -> None:
        end, self._end = self._end, None
        if end is not None:
            end()

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()

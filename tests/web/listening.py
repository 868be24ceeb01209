"""A listener with a few routes of its own, and clients that write to it byte by byte."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import msgspec
from aiohttp import web

from sidecar.metrics.hot import HotCounters
from sidecar.metrics.metrics import Metrics
from sidecar.web.connections import HARD_STOP_SECONDS, Connections
from sidecar.web.event_stream import EventStream, event
from sidecar.web.limits import LARGEST_BODY_BYTES, Limits
from sidecar.web.middleware import check_size, error_middleware
from sidecar.web.sockets import bind_tcp
from tests.clock import FakeClock

HOST: Final = b"Host: localhost\r\n"
GET: Final = b"GET /small HTTP/1.1\r\n" + HOST + b"\r\n"
LARGE_BYTES: Final = 32 * 1024 * 1024
"""More than all buffers on the way to a client that does not read."""
EVENT_BYTES: Final = 256 * 1024
TIMEOUT_SECONDS: Final = 30.0


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> Any:
        """The code of a problem, which says that it is one."""
        assert self.headers["content-type"] == "application/problem+json"
        return msgspec.json.decode(self.body)["code"]


class Client:
    """A connection that sends what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send, and give the listener time to read it."""
        self._writer.write(data)
        await self._writer.drain()
        await settle()

    async def ask(self, data: bytes) -> Reply:
        await self.send(data)
        return await self.reply()

    async def reply(self) -> Reply:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return Reply(int(head[0].split()[1]), headers, body)

    async def is_closed(self) -> bool:
        """Wait for the end of the connection; nothing may come before it."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            try:
                return await self._reader.read() == b""
            except ConnectionResetError:
                return True

    async def skip(self, count: int) -> None:
        """Read so many bytes of whatever comes."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await self._reader.readexactly(count)
        await settle()

    async def close(self) -> None:
        self._writer.transport.abort()
        await asyncio.sleep(0)


class Listener:
    def __init__(self, connections: Connections, port: int, clock: FakeClock, hot: HotCounters) -> None:
        self.connections = connections
        self.hot = hot
        self.port = port
        self.clock = clock
        self.release = asyncio.Event()
        self._clients: list[Client] = []
        self.written = 0
        """Events that the client of /events has been written."""
        self.ended = False
        """Whether an answer to /events has come to its end."""

    async def events(self) -> AsyncIterator[bytes]:
        """Yield large events until the end."""
        while not self.ended:
            self.written += 1
            yield event("large", bytes(EVENT_BYTES), b"1")
            await asyncio.sleep(0)

    def end(self) -> None:
        self.ended = True

    async def client(self, *, receive_buffer: int | None = None) -> Client:
        """Connect, and wait until the listener has noticed."""
        raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        raw.setblocking(False)  # noqa: FBT003 - the signature of the standard library
        if receive_buffer is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self.port))
        client = Client(*await asyncio.open_connection(sock=raw))
        self._clients.append(client)
        await settle()
        return client

    async def sweep(self, times: int) -> None:
        for _ in range(times):
            self.connections.sweep()
        await settle()

    async def close_clients(self) -> None:
        for client in self._clients:
            await client.close()


async def settle() -> None:
    """Let everything happen that has been sent over loopback."""
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def listening(limits: Limits | None = None) -> AsyncIterator[Listener]:
    """Serve the routes: small, large, echo, and wait, which answers once `release` is set."""
    clock = FakeClock()
    hot = Metrics(clock, version="1", revision="none").hot
    app = web.Application(middlewares=[error_middleware(hot, check_size)], client_max_size=LARGEST_BODY_BYTES)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=HARD_STOP_SECONDS)
    sockets = bind_tcp("api", "127.0.0.1", 0)
    connections = Connections(runner, limits or Limits(8), clock=clock, hot=hot)
    listener = Listener(connections, sockets[0].getsockname()[1], clock, hot)

    async def small(_: web.Request) -> web.Response:
        return web.Response(text="small")

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=bytes(LARGE_BYTES))

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def wait(_: web.Request) -> web.Response:
        await listener.release.wait()
        return web.Response(text="done")

    async def endless(_: web.Request) -> web.StreamResponse:
        return EventStream(listener.events(), listener.end)

    app.add_routes(
        [
            *(web.get("/small", small), web.get("/large", large), web.post("/echo", echo), web.get("/wait", wait)),
            web.get("/events", endless),
        ]
    )
    await runner.setup()
    await connections.listen(sockets)
    try:
        yield listener
    finally:
        await listener.close_clients()
        await connections.close(0.0)

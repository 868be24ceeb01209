"""The connections of one listener: how many there are, who is cut off, and how they come to an end.

Bounded by construction: `Limits.connections` connections, and MOST_REFUSALS more that are refused. Each holds at
most a head of LARGEST_HEAD_BYTES that is still coming; the bodies that the middleware lets in, 128 KB; 32 small
requests in a row (aiohttp's MAX_MSG_QUEUE_SIZE), of which one is handled; and that one's answer.
"""

import asyncio
import logging
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, cast

from aiohttp import web

from sidecar.errors import OverloadedError
from sidecar.runtime.clock import Clock
from sidecar.web.connection import IDLE, SWEEP_SECONDS, Connection, Limits, raw_response
from sidecar.web.middleware import problem_of
from sidecar.web.sockets import BACKLOG, let_nobody_in

MOST_REFUSALS: Final = 64
REFUSAL_SECONDS: Final = 1.0
"""How long a client that is one too many has to send what it is refused."""
QUIET_SECONDS: Final = 0.1
"""How long, at the end, clients in conversation have to send one more request and hear that it is the last."""
HANDSHAKE_SECONDS: Final = 0.02
"""How long, before listening ends, who is half connected has to get through; on one machine it takes far less."""
HARD_STOP_SECONDS: Final = 0.1
"""What aiohttp gives a handler before it is cancelled, once the time for draining is over."""

log = logging.getLogger(__name__)


class Connections:
    """The connections of a listener, from `listen` to `close`; what `runner`, set up, answers them."""

    def __init__(self, runner: web.AppRunner, limits: Limits, *, clock: Clock) -> None:
        self.runner = runner
        self.winding_down = False
        """Whether each answer is its connection's last; set to let the clients go one by one."""
        self._limits = limits
        self._clock = clock
        self._open: dict[Connection, None] = {}
        self._apart: dict[Connection, None] = {}
        """Those with an answer that may go on for ever; who gives such answers bounds their number."""
        self._refusals: set[_Refusal] = set()
        self._empty = asyncio.Event()
        self._is_full = False
        self._listening: list[tuple[socket.socket, asyncio.Server]] = []
        self._sweeper: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    # Lifetime

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Serve clients of bound, listening sockets, which `close` closes."""
        _announce_requests(self.runner.server)
        self._sweeper = asyncio.create_task(self._sweep_for_ever(), name="sweep")
        loop = asyncio.get_running_loop()
        for one in sockets:
            # A copy: closing it ends the accepting, but not the queue of clients that are waiting for it.
            serve = loop.create_unix_server if one.family == socket.AF_UNIX else loop.create_server
            server = await serve(self._new, sock=one.dup(), backlog=BACKLOG)
            self._listening.append((one, server))

    async def close(self, drain_seconds: float) -> None:
        """Stop listening, answer what has arrived, wait for that at most so many seconds, then cut off."""
        self.winding_down = True
        await self._stop_listening()
        await self._until_empty(min(QUIET_SECONDS, drain_seconds))
        for connection in list(self._open):
            if connection.is_quiet and not connection.has_unread_bytes:
                connection.force_close()
        await self._until_empty(drain_seconds - QUIET_SECONDS)
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self.runner.cleanup()
        for connection in [*self._open, *self._apart]:
            connection.abort()
        for refusal in list(self._refusals):
            refusal.abort()

    async def _stop_listening(self) -> None:
        loop = asyncio.get_running_loop()
        for one, _ in self._listening:
            let_nobody_in(one)
        await asyncio.sleep(HANDSHAKE_SECONDS)
        for one, server in self._listening:
            server.close()
            waiting = _accept_waiting(one)
            one.close()
            for client in waiting:
                await loop.connect_accepted_socket(self._new, client)
        self._listening.clear()

    async def _until_empty(self, seconds: float) -> None:
        """Wait in real time, whatever clock is given: it is clients that are waited for."""
        if self._open and seconds > 0:
            self._empty.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), seconds)

    # Who comes and goes

    def opened(self, connection: Connection) -> None:
        """Count a connection."""
        self._apart.pop(connection, None)
        self._open[connection] = None

    def set_apart(self, connection: Connection) -> None:
        """Count a connection no longer."""
        if self._open.pop(connection, self) is None:
            self._apart[connection] = None

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._open.pop(connection, None)
        self._apart.pop(connection, None)
        if not self._open:
            self._empty.set()

    def _new(self) -> asyncio.Protocol:
        """Make the protocol of a client that has been accepted."""
        if len(self._open) >= self._limits.connections and not self._make_room():
            return self._refuse()
        return Connection(self, cast("web.Server", self.runner.server))

    def _make_room(self) -> bool:
        """Close the connection that has kept us waiting longest, those that never finish a request first."""
        waiting = [one for one in self._open if one.gives_way]
        if not waiting:
            return False
        max(waiting, key=lambda one: (one.state != IDLE, one.sweeps)).abort()
        return True

    def _refuse(self) -> "_Refusal":
        if not self._is_full:
            self._is_full = True
            log.warning("clients are refused: too many connections", extra={"limit": self._limits.connections})
        return _Refusal(self._refusals)

    # Who is too slow

    async def _sweep_for_ever(self) -> None:
        while True:
            await self._clock.sleep(SWEEP_SECONDS)
            self.sweep()

    def sweep(self) -> None:
        """Cut off who is too slow; it counts as SWEEP_SECONDS, however long ago the last one was."""
        for connection in [*self._open, *self._apart]:
            if connection.sweep(self._limits):
                connection.abort()
        for refusal in list(self._refusals):
            refusal.sweep()
        if len(self._open) * 2 <= self._limits.connections:
            self._is_full = False


class _Refusal(asyncio.Protocol):
    """Tells one client too many that it is one too many, as soon as it has asked for something."""

    def __init__(self, all_refusals: "set[_Refusal]") -> None:
        self._all = all_refusals
        self._link: asyncio.Transport
        self._sweeps = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._link = cast("asyncio.Transport", transport)
        if len(self._all) >= MOST_REFUSALS:
            self._link.abort()
        else:
            self._all.add(self)

    def data_received(self, _: bytes) -> None:
        if not self._link.is_closing():
            error = OverloadedError("all connections are in use", retry_after=1)
            self._link.write(raw_response(problem_of(error, None)))
            self._link.close()

    def connection_lost(self, _: BaseException | None) -> None:
        self._all.discard(self)

    def sweep(self) -> None:
        self._sweeps += 1
        if self._sweeps * SWEEP_SECONDS > REFUSAL_SECONDS:
            self.abort()

    def abort(self) -> None:
        self._link.abort()


def _announce_requests(server: Any) -> None:
    """Let each connection know when a request begins; every protocol of this server is a Connection."""
    make = server.request_factory

    def begin(message: Any, payload: Any, connection: Connection, writer: Any, task: Any) -> Any:
        connection.begin(payload)
        return make(message, payload, connection, writer, task)

    server.request_factory = begin


def _accept_waiting(listening: socket.socket) -> list[socket.socket]:
    """Take the clients out of the queue that the kernel has shaken hands with already."""
    clients: list[socket.socket] = []
    with suppress(BlockingIOError):
        while len(clients) < BACKLOG:
            client, _ = listening.accept()
            client.setblocking(False)  # noqa: FBT003 - the signature of the standard library
            clients.append(client)
    return clients

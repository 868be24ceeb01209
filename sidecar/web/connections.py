"""The connections of one listener: how many there are, which are cut off, and how they come to an end.

Bounded by construction: `Limits.connections` connections, and MOST_REFUSALS more that are refused. Each holds at
most a head of LARGEST_HEAD_BYTES that is still coming; the bodies that the middleware lets in, 128 KB; 32 small
requests in a row (aiohttp's MAX_MSG_QUEUE_SIZE), of which one is handled; and that one's answer.
An idle one holds no answer.
"""

import asyncio
import logging
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from aiohttp import web

from sidecar.metrics.hot import UNMATCHED, HotCounters
from sidecar.runtime.clock import Clock
from sidecar.web.aiohttp_parts import announce_requests, server_of
from sidecar.web.connection import SWEEP_SECONDS, Connection
from sidecar.web.fast_path import FastPath
from sidecar.web.limits import Limits
from sidecar.web.refusal import Refusal
from sidecar.web.sockets import BACKLOG

ACCEPTING_TURNS: Final = 5
"""Turns of the event loop in which what the kernel has accepted becomes a connection of ours."""
QUIET_SECONDS: Final = 0.1
"""How long, at the end, clients in conversation have to send one more request and hear that it is the last."""
HARD_STOP_SECONDS: Final = 0.1
"""What aiohttp gives a handler before it is cancelled, once the time for draining is over."""

log = logging.getLogger(__name__)


class Connections:
    """The connections of a listener, from `listen` to `close`; what `runner`, set up, answers them."""

    def __init__(
        self,
        runner: web.AppRunner,
        limits: Limits,
        *,
        clock: Clock,
        hot: HotCounters,
        fast_path: FastPath | None = None,
    ) -> None:
        self.runner = runner
        self.limits = limits
        self.winding_down = False
        """Whether each answer is its connection's last."""
        self.fast_path = fast_path
        self._hot = hot
        self._clock = clock
        self._open: dict[Connection, None] = {}
        self._apart: dict[Connection, None] = {}
        """Those with an answer that may go on for ever; what gives such answers bounds their number."""
        self._refusals: set[Refusal] = set()
        self._empty = asyncio.Event()
        self._is_full = False
        self._servers: list[asyncio.Server] = []
        self._sweeper: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    # Lifetime

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Serve clients of bound, listening sockets."""
        announce_requests(server_of(self.runner))
        self._sweeper = asyncio.create_task(self._sweep_for_ever(), name="sweep")
        loop = asyncio.get_running_loop()
        for one in sockets:
            serve = loop.create_unix_server if one.family == socket.AF_UNIX else loop.create_server
            self._servers.append(await serve(self._new, sock=one, backlog=BACKLOG))

    def wind_down(self) -> None:
        """Make each answer its connection's last, so that the clients go one by one."""
        self.winding_down = True
        self.fast_path = None

    async def close(self, drain_seconds: float) -> None:
        """Answer what has arrived, stop listening, wait for answers at most so many seconds, then cut off."""
        self.wind_down()
        for _ in range(ACCEPTING_TURNS):
            await asyncio.sleep(0)
        await self._until_empty(min(QUIET_SECONDS, drain_seconds))
        for server in self._servers:
            server.close()
        for connection in list(self._open):
            if connection.is_quiet:
                connection.force_close()
        await self._until_empty(drain_seconds - QUIET_SECONDS)
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self.runner.cleanup()
        for connection in [*self._open, *self._apart]:
            connection.abort()
        for refusal in list(self._refusals):
            refusal.abort()

    async def _until_empty(self, seconds: float) -> None:
        """Wait in real time, whatever clock is given: it is clients that are waited for."""
        if self._open and seconds > 0:
            self._empty.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), seconds)

    # What comes and goes

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
        self._apart.pop(connection, None)
        self._open.pop(connection, None)
        if not self._open:
            self._empty.set()

    def count_refusal(self, status: int) -> None:
        """Count an answer that no route gave."""
        self._hot.route(UNMATCHED).record(status, 0.0)

    def _new(self) -> asyncio.Protocol:
        """Make the protocol of a client that has been accepted."""
        if len(self._open) >= self.limits.connections and not self._make_room():
            return self._refuse()
        return Connection(self, server_of(self.runner))

    def _make_room(self) -> bool:
        """Close the connection that has kept the sidecar waiting most: the oldest silent one goes at once."""
        waiting = [one for one in self._open if one.gives_way]
        if not waiting:
            return False
        max(waiting, key=lambda one: one.kept_waiting).abort()
        return True

    def _refuse(self) -> Refusal:
        if not self._is_full:
            self._is_full = True
            log.warning("clients are refused: too many connections", extra={"limit": self.limits.connections})
        return Refusal(self._refusals, self.count_refusal)

    # Which are too slow

    async def _sweep_for_ever(self) -> None:
        while True:
            await self._clock.sleep(SWEEP_SECONDS)
            self.sweep()

    def sweep(self) -> None:
        """Cut off what is too slow; it counts as SWEEP_SECONDS, however long ago the last one was."""
        for connection in [*self._open, *self._apart]:
            if connection.sweep():
                connection.abort()
        for refusal in list(self._refusals):
            refusal.sweep()
        if len(self._open) * 2 <= self.limits.connections:
            self._is_full = False

"""One client's connection: a conversation, and a watch over how long the client takes."""

import asyncio
import math
from typing import Final, Protocol

from aiohttp import web

from sidecar.web.conversation import Conversation, Terms

SWEEP_SECONDS: Final = 0.5
GIVES_WAY_SWEEPS: Final = 2
"""Sweeps after which a connection that waits for its client may be closed to make room for a new one."""


class Owner(Terms, Protocol):
    """What a connection knows of its listener."""

    def opened(self, connection: "Connection") -> None:
        """Take note of a new connection."""

    def closed(self, connection: "Connection") -> None:
        """Forget a connection that is gone."""

    def set_apart(self, connection: "Connection") -> None:
        """Count a connection no longer, until it has `opened` again: its answer may go on for ever."""


class LongAnswer(web.StreamResponse):
    """An answer that goes on until one side ends it. Its connection is none of those that are counted."""

    def end(self) -> None:
        """Come to an end; harmless when it has."""
        raise NotImplementedError


class Connection(Conversation):
    """Time is counted in sweeps, which a process that stands still does not make: thawed, it cuts nothing off."""

    __slots__ = ("_long_answer", "_owner", "_unwritten_bytes")

    def __init__(self, owner: Owner, server: web.Server) -> None:
        super().__init__(owner, server)
        self._owner = owner
        self._unwritten_bytes = 0
        self._long_answer: LongAnswer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the listener's connections."""
        self._owner.opened(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave the listener's connections."""
        self._owner.closed(self)
        if self._long_answer is not None:
            self._long_answer.end()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # what asyncio.Protocol allows
        """Keep the connection for the answers that are due, but for one that goes on for ever."""
        return super().eof_received() and self._long_answer is None

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write the answer, a long one for as long as it goes on."""
        if isinstance(resp, LongAnswer):
            return await self._stream(request, resp, start_time)
        return await super().finish_response(request, resp, start_time)

    async def _stream(
        self, request: web.BaseRequest, answer: LongAnswer, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        self._long_answer = answer
        self._owner.set_apart(self)
        try:
            return await super(Conversation, self).finish_response(request, answer, start_time)
        finally:
            answer.end()
            self.is_busy, self.sweeps, self._long_answer = False, 0, None
            if not self.link.is_closing():
                self._owner.opened(self)

    @property
    def is_quiet(self) -> bool:
        """Nothing has arrived that has not been answered."""
        is_under_way = self.is_busy or self.has_queued or self.head_bytes
        return not is_under_way and not self.link.get_write_buffer_size()

    @property
    def gives_way(self) -> bool:
        """It may be closed for the sake of a new one: its client sent nothing, left, or has kept us waiting."""
        waits = not self.is_busy or self._lacks_body or self.unwritten_sweeps > 0
        return self.is_silent or self._ends or (waits and self.sweeps >= GIVES_WAY_SWEEPS)

    @property
    def kept_waiting(self) -> tuple[bool, bool, int]:
        """What decides which of two has to give way: the greater goes."""
        return self.is_silent or self._ends, self.is_busy or self.head_bytes > 0, self.sweeps

    def sweep(self) -> bool:
        """Count one more sweep and return whether the client is too slow."""
        self.sweeps += 1
        before, self._unwritten_bytes = self._unwritten_bytes, self.link.get_write_buffer_size()
        is_stuck = self._long_answer is None or self._unwritten_bytes == before
        self.unwritten_sweeps = self.unwritten_sweeps + 1 if self._unwritten_bytes and is_stuck else 0
        limits = self._owner.limits
        if self._long_answer is not None:
            return self.unwritten_sweeps * SWEEP_SECONDS > limits.stuck_seconds
        if self.unwritten_sweeps:
            return self.unwritten_sweeps * SWEEP_SECONDS > limits.write_seconds
        return self.sweeps * SWEEP_SECONDS > self._seconds_left_to_client()

    def _seconds_left_to_client(self) -> float:
        limits = self._owner.limits
        if self._lingers and not self.is_busy:
            return limits.linger_seconds
        if self._lacks_body and (self._lingers or not self.has_queued):
            return limits.body_seconds
        if self.is_busy:
            return math.inf
        return limits.head_seconds if self.is_silent or self.head_bytes else limits.idle_seconds

    def abort(self) -> None:
        """Close at once and leave the count: a polite end would wait for ever for a client that does not read."""
        self._owner.closed(self)
        self.link.abort()

"""One client's connection: aiohttp's, with a watch over slow clients, and problems for what is no request."""

import asyncio
import math
from typing import Final, Protocol, cast

from aiohttp import StreamReader, web

from sidecar.web.aiohttp_parts import END_OF_HEAD, HttpProtocol, end_of, is_refusal
from sidecar.web.fast_path import FastPath
from sidecar.web.limits import LARGEST_HEAD_BYTES, Limits
from sidecar.web.problems import problem_of_http, raw_response

SWEEP_SECONDS: Final = 0.5
GIVES_WAY_SWEEPS: Final = 2
"""Sweeps after which a connection that waits for its client may be closed to make room for a new one."""


class Owner(Protocol):
    """What a connection knows of its listener."""

    limits: Limits
    winding_down: bool
    fast_path: FastPath | None

    def opened(self, connection: "Connection") -> None:
        """Take note of a new connection."""

    def closed(self, connection: "Connection") -> None:
        """Forget a connection that is gone."""

    def set_apart(self, connection: "Connection") -> None:
        """Count a connection no longer, until it has `opened` again: its answer may go on for ever."""

    def count_refusal(self, status: int) -> None:
        """Count an answer that no route gave."""


class LongAnswer(web.StreamResponse):
    """An answer that goes on until one side ends it. Its connection is none of those that are counted."""

    def end(self) -> None:
        """Come to an end; harmless when it has."""
        raise NotImplementedError


class Connection(HttpProtocol):
    """Time is counted in sweeps, which a process that stands still does not make: thawed, it cuts nothing off."""

    __slots__ = (
        *(
            "_ends",
            "_is_endless",
            "_last_bytes",
            "_lingers",
            "_owner",
            "_payload",
            "_request",
            "is_busy",
            "is_silent",
            "link",
        ),
        *("_long_answer", "at_boundary", "head_bytes", "sweeps", "unwritten_bytes", "unwritten_sweeps"),
    )

    link: asyncio.Transport
    """The transport to the last: aiohttp forgets its own when it begins to close, flushed or not."""

    def __init__(self, owner: Owner, server: web.Server) -> None:
        super().__init__(server, owner.limits)
        self._owner = owner
        self._payload: StreamReader | None = None
        self._request: bytes | None = None
        self._last_bytes = b""
        self._ends = False
        self._lingers = False
        self._is_endless = False
        self.is_silent = True
        """The client has not sent anything yet."""
        self.is_busy = False
        """From the beginning of a request's handling until its answer is there to be written."""
        self.at_boundary = True
        """All that has arrived are whole requests: the next byte begins one."""
        self.head_bytes = 0
        self.sweeps = 0
        self.unwritten_bytes = 0
        self.unwritten_sweeps = 0
        self._long_answer: LongAnswer | None = None

    # What happens to it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the listener's connections."""
        self.link = cast("asyncio.Transport", transport)
        self._owner.opened(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave the listener's connections."""
        self._owner.closed(self)
        if self._long_answer is not None:
            self._long_answer.end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Answer at once what the fast path can; leave everything else to aiohttp."""
        fast_path = self._owner.fast_path
        is_free = self.at_boundary and self.is_free
        if fast_path is not None and is_free and (answer := fast_path.answer(data)) is not None:
            self.is_silent = False
            self.sweeps = self.unwritten_sweeps = 0
            self.link.write(answer)
        elif not data:
            self.at_boundary = False
            self.parse_on()
        elif not self._lingers:
            self._read(data, is_whole=is_free)

    def _read(self, data: bytes, *, is_whole: bool = False) -> None:
        """Let aiohttp parse, and note how far its client has got; `is_whole`: the first byte begins a request."""
        if not (self.is_silent or self.is_busy or self.head_bytes or self._lacks_body):
            self.sweeps = 0
        was_body, self.is_silent = self._lacks_body, False
        before = self._last_bytes
        self._last_bytes = data[-3:]
        new = self.parse(data)
        if new:
            message, payload = new[-1]
            self._lingers = is_refusal(message)
            if not self._lingers:
                self._payload = payload
        is_over = bool(new) and data.endswith(END_OF_HEAD) and not self.asks_for_upgrade
        self.at_boundary = is_over and not (self._lacks_body or self._lingers)
        self._request = data if is_whole and self.at_boundary and len(new) == 1 else None
        if self.at_boundary or self._lacks_body:
            self.head_bytes = 0
        elif not was_body:
            self.head_bytes += len(data)
        if new and self.loses_bytes:
            end = None if was_body else end_of(before + data, new)
            self._read_lost(data, None if end is None else end - len(before))
        elif self.head_bytes > LARGEST_HEAD_BYTES and not self._lingers:
            self._refuse_endless_head()

    def _read_lost(self, data: bytes, end: int | None) -> None:
        """Parse what came behind an upgrade that is not known, which aiohttp's parser drops."""
        self.head_bytes = 0
        if end is None:
            self._ends = True  # where that begins cannot be told
        elif end < len(data):
            self._read(data[end:])

    def eof_received(self) -> bool:  # type: ignore[override]  # what asyncio.Protocol allows
        """Keep the connection for the answers that are due: a client may close its half right after asking."""
        self._ends = True
        is_due = (self.is_busy or self.has_queued) and not self._lacks_body
        return is_due and self._long_answer is None

    def begin(self, payload: StreamReader) -> None:
        """Note that a request's head is complete and its handling begins."""
        self.is_busy, self.sweeps, self.unwritten_sweeps = True, 0, 0
        if not payload.is_eof():
            self._payload = payload

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write the answer; when the listener is winding down, or nothing more can come, it is the last."""
        if isinstance(resp, LongAnswer):
            return await self._stream(request, resp, start_time)
        self.is_busy, self.sweeps = False, 0
        if self._owner.winding_down or (self._ends and not self.has_queued):
            resp.force_close()
        elif self._request is not None and self._owner.fast_path is not None:
            self._owner.fast_path.learn(self._request, request, resp)
        self._request = None
        result = await super().finish_response(request, resp, start_time)
        if self._lingers and not self.has_queued:
            self._linger()
        return result

    async def _stream(
        self, request: web.BaseRequest, answer: LongAnswer, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        self._long_answer = answer
        self._owner.set_apart(self)
        try:
            return await super().finish_response(request, answer, start_time)
        finally:
            answer.end()
            self.is_busy, self.sweeps, self._long_answer = False, 0, None
            if not self.link.is_closing():
                self._owner.opened(self)

    def refused(self, error: web.HTTPException) -> web.Response:
        """Return the problem that says what the parser refuses."""
        self._owner.count_refusal(error.status)
        return problem_of_http(error)

    # What the listener does with it

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
    def patience_tried(self) -> tuple[bool, bool, int]:
        """What decides which of two has to give way: the greater goes."""
        return self.is_silent or self._ends, self.is_busy or self.head_bytes > 0, self.sweeps

    def sweep(self) -> bool:
        """Count one more sweep and return whether the client is too slow."""
        self.sweeps += 1
        before, self.unwritten_bytes = self.unwritten_bytes, self.link.get_write_buffer_size()
        is_stuck = self._long_answer is None or self.unwritten_bytes == before
        self.unwritten_sweeps = self.unwritten_sweeps + 1 if self.unwritten_bytes and is_stuck else 0
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

    @property
    def _lacks_body(self) -> bool:
        return self._payload is not None and not self._payload.is_eof()

    def _refuse_endless_head(self) -> None:
        """Refuse a head without an end, once what came before it has been answered."""
        self._lingers = self._is_endless = True
        if not self.is_busy and not self.has_queued:
            self._linger()

    def _linger(self) -> None:
        """End the connection from our side; what the client goes on sending is read, so that it sees why."""
        if self.link.is_closing():
            return
        if self._is_endless:
            self._owner.count_refusal(431)
            self.link.write(raw_response(problem_of_http(web.HTTPRequestHeaderFieldsTooLarge())))
        self.hand_over()
        self.sweeps = 0
        self.link.write_eof()

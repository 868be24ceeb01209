"""One client's connection: aiohttp's, with a watch over slow clients, and problem+json for bad requests."""

import asyncio
import math
import select
from collections.abc import Coroutine
from typing import Any, Final, NamedTuple, Protocol, cast

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from sidecar.web.middleware import PARSER_LIMIT_BYTES, problem_of_http

SWEEP_SECONDS: Final = 0.5
GIVES_WAY_SWEEPS: Final = 2
"""Sweeps after which a connection that waits for its client may be closed to make room for a new one."""
LARGEST_HEAD_BYTES: Final = PARSER_LIMIT_BYTES
LARGEST_FIELD_BYTES: Final = PARSER_LIMIT_BYTES // 2
"""Smaller than the parser's limit of a line: its error tells the two apart by the limit alone."""
LINGERING_SECONDS: Final = 2.0
"""How long the rest of a body that nobody wants is read, so that its sender gets to see the answer."""
LONGER_THAN_ANY_SECONDS: Final = 86_400.0
"""Puts aiohttp's own keep-alive timer out of the way: it would fire in a process that was frozen."""


class Limits(NamedTuple):
    """How many connections a listener has, and how many seconds each may take over what."""

    connections: int
    head_seconds: float = 5.0
    """From the connection, or the first byte of a later request, to the end of the header fields."""
    body_seconds: float = 5.0
    """From there to the end of the body."""
    write_seconds: float = 10.0
    """Something of an answer has not been taken by the client, and no further request begins."""
    stuck_seconds: float = 60.0
    """Nothing at all of a LongAnswer has been taken: a slow client is let be, a dead one is not."""
    idle_seconds: float = 75.0
    """From an answer to the first byte of the next request."""


IDLE: Final = 0
"""Between requests."""
RECEIVING: Final = 1
"""The head of a request is on its way."""
BUSY: Final = 2
"""From the end of a request's head until its answer is there to be written."""
STREAMING: Final = 3
"""While a LongAnswer is written."""


class Owner(Protocol):
    """What a connection knows of its listener."""

    winding_down: bool

    def opened(self, connection: "Connection") -> None:
        """Take note of a new connection."""

    def set_apart(self, connection: "Connection") -> None:
        """Count a connection no longer, until it has `opened` again: its answer may go on for ever."""

    def closed(self, connection: "Connection") -> None:
        """Forget a connection that is gone."""


class LongAnswer(web.StreamResponse):
    """An answer that goes on until one side ends it. Its connection is none of those that are counted."""

    def end(self) -> None:
        """Come to an end; harmless when it has."""
        raise NotImplementedError


class Connection(web.RequestHandler):
    """Time is counted in sweeps, which a process that stands still does not make: thawed, it cuts nobody off."""

    __slots__ = (
        *("_long_answer", "_owner", "_payload", "head_bytes", "link", "state", "sweeps"),
        *("unwritten_bytes", "unwritten_sweeps"),
    )

    link: asyncio.Transport
    """The transport to the last: aiohttp forgets its own when it begins to close, flushed or not."""

    def __init__(self, owner: Owner, server: web.Server) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # the documented way to have none
            keepalive_timeout=LONGER_THAN_ANY_SECONDS,
            lingering_time=LINGERING_SECONDS,
            max_line_size=PARSER_LIMIT_BYTES,
            max_field_size=LARGEST_FIELD_BYTES,
        )
        self._owner = owner
        self._payload: StreamReader | None = None
        self._long_answer: LongAnswer | None = None
        self.state = RECEIVING
        self.head_bytes = 0
        self.sweeps = 0
        self.unwritten_sweeps = 0
        self.unwritten_bytes = 0

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
        """Watch the head of a request grow. aiohttp calls this without data, too, to go on parsing."""
        if data and self.state < BUSY and not self._lacks_body:
            if self.state == IDLE:
                self.state, self.sweeps = RECEIVING, 0
            self.head_bytes += len(data)
        super().data_received(data)
        if self.head_bytes > LARGEST_HEAD_BYTES:  # what has been complete after all has begun by then
            self._loop.call_soon(self._refuse_endless_head)

    def begin(self, payload: StreamReader) -> None:
        """Note that a request's head is complete and its handling begins."""
        self.state, self.sweeps, self.unwritten_sweeps = BUSY, 0, 0
        self._payload = None if payload.is_eof() else payload

    def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
        """Write the answer; when the listener is winding down it is the connection's last."""
        self.state, self.sweeps, self.head_bytes = IDLE, 0, 0
        if isinstance(resp, web.HTTPException):
            resp = problem_of_http(resp)  # raised outside the middlewares: an Expect that nobody can meet
        if self._owner.winding_down:
            resp.force_close()
        if isinstance(resp, LongAnswer):
            return self._stream(request, resp, start_time)
        return super().finish_response(request, resp, start_time)

    async def _stream(
        self, request: web.BaseRequest, answer: LongAnswer, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        self.state, self._long_answer = STREAMING, answer
        self._owner.set_apart(self)
        try:
            return await super().finish_response(request, answer, start_time)
        finally:
            answer.end()
            self.state, self.sweeps, self._long_answer = IDLE, 0, None
            if not self.link.is_closing():
                self._owner.opened(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what the parser refuses with a problem: a client's mistake is not worth a traceback."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        response = problem_of_http(_as_http_error(exc))
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log a bug; that the rest of a refused body is broken, too, is none."""
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **kw)

    # What the listener does with it

    @property
    def is_quiet(self) -> bool:
        """Nothing has arrived that has not been answered."""
        return self.state < BUSY and not self.head_bytes and not self.link.get_write_buffer_size()

    @property
    def has_unread_bytes(self) -> bool:
        """The kernel holds something that the event loop has not been told of yet, be it the end."""
        poll = select.poll()
        poll.register(self.link.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    @property
    def gives_way(self) -> bool:
        """It has kept us waiting for long enough to be closed for the sake of a new one."""
        waits = self.state < BUSY or self._lacks_body or self.unwritten_sweeps > 0
        return waits and self.sweeps >= GIVES_WAY_SWEEPS

    def sweep(self, limits: Limits) -> bool:
        """Count one more sweep and tell whether the client is too slow."""
        self.sweeps += 1
        before, self.unwritten_bytes = self.unwritten_bytes, self.link.get_write_buffer_size()
        is_stuck = self.state != STREAMING or self.unwritten_bytes == before
        self.unwritten_sweeps = self.unwritten_sweeps + 1 if self.unwritten_bytes and is_stuck else 0
        if self.state == STREAMING:
            return self.unwritten_sweeps * SWEEP_SECONDS > limits.stuck_seconds
        if self.unwritten_sweeps:
            return self.unwritten_sweeps * SWEEP_SECONDS > limits.write_seconds
        return self.sweeps * SWEEP_SECONDS > self._seconds_left_to_client(limits)

    def _seconds_left_to_client(self, limits: Limits) -> float:
        if self._lacks_body:
            return limits.body_seconds
        return {IDLE: limits.idle_seconds, RECEIVING: limits.head_seconds}.get(self.state, math.inf)

    def abort(self) -> None:
        """Close at once and leave the count: a polite end would wait for ever for a client that does not read."""
        self._owner.closed(self)
        self.link.abort()

    @property
    def _lacks_body(self) -> bool:
        return self._payload is not None and not self._payload.is_eof()

    def _refuse_endless_head(self) -> None:
        """Refuse a head, unless it turned out to be complete and the bytes to be the body's."""
        if self.state == RECEIVING and not self.link.is_closing():
            self.link.write(raw_response(problem_of_http(web.HTTPRequestHeaderFieldsTooLarge())))
            self.force_close()


def raw_response(response: web.Response) -> bytes:
    """Serialise an answer that is written without a request; it ends its connection."""
    body = cast("bytes", response.body)
    headers = {**response.headers, "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{name}: {headers[name]}" for name in headers)]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _as_http_error(error: HttpProcessingError) -> web.HTTPException:
    """Tell what a parser's error means; its text, which holds the client's bytes, stays behind."""
    if isinstance(error, LineTooLong):
        is_line = error.args[1] == PARSER_LIMIT_BYTES
        return web.HTTPRequestURITooLong() if is_line else web.HTTPRequestHeaderFieldsTooLarge()
    if "Too many headers" in error.message:
        return web.HTTPRequestHeaderFieldsTooLarge()
    return web.HTTPBadRequest(text="not a well-formed HTTP request")

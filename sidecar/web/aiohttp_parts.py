"""All of aiohttp that its documentation does not promise: one base class, and one list of what it relies on.

A test looks every name of the list up in the aiohttp that is installed, so that an upgrade fails with its name.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, cast

from aiohttp import HttpVersion10, HttpVersion11, StreamReader, hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import ERROR
from multidict import CIMultiDictProxy

from sidecar.web.limits import LARGEST_FIELD_BYTES, PARSER_LIMIT_BYTES, READ_BUFFER_BYTES, Limits

USED: Final = {
    "RequestHandler": (
        *("_buffer_paused", "_force_close", "_messages", "_paused", "_request_count", "_upgraded", "_waiter"),
        *("force_close", "connection_made", "data_received", "eof_received", "connection_lost"),
        *("finish_response", "handle_error", "log_exception", "_drain_helper"),
    ),
    "RequestHandler.__init__": (
        *("manager", "loop", "access_log", "keepalive_timeout", "lingering_time"),
        *("max_line_size", "max_field_size", "read_bufsize", "auto_decompress"),
    ),
    "Server": ("request_factory",),
    "BaseRequest": ("_read_bytes",),
    "RawRequestMessage": ("method", "path", "version", "headers", "upgrade", "_replace"),
    "StreamReader": ("is_eof",),
    "HttpProcessingError": ("message",),
    "LineTooLong": ("args",),
}
"""By class: the attributes that are used or overridden, and the parameters of the constructor."""

END_OF_HEAD: Final = b"\r\n\r\n"
_LONGER_THAN_ANY_SECONDS: Final = 86_400.0
"""Puts aiohttp's own keep-alive timer out of the way: it would fire in a process that was frozen."""


class HttpProtocol(web.RequestHandler):
    """aiohttp's protocol of one connection, with what is asked of it put into words.

    Bodies are not inflated: most are never read. `begin` and `refused` are there to be overridden.
    """

    __slots__ = ()

    def __init__(self, server: web.Server, limits: Limits) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # the documented way to have none
            keepalive_timeout=_LONGER_THAN_ANY_SECONDS,
            lingering_time=limits.linger_seconds,
            max_line_size=PARSER_LIMIT_BYTES,
            max_field_size=LARGEST_FIELD_BYTES,
            read_bufsize=READ_BUFFER_BYTES,
            auto_decompress=False,
        )

    @property
    def is_free(self) -> bool:
        """Nothing that was parsed is unanswered, the connection takes another request, and its client reads."""
        waiter = self._waiter
        return waiter is not None and not waiter.done() and not self._paused

    @property
    def has_queued(self) -> bool:
        """Parsed requests wait for their turn."""
        return bool(self._messages)

    def parse(self, data: bytes) -> Sequence[tuple[object, StreamReader]]:
        """Let aiohttp parse some bytes; return the requests that became complete but for their bodies."""
        before = self._request_count
        super().data_received(data)
        new = self._request_count - before
        return list(self._messages)[-new:] if new else []

    @property
    def holds_back(self) -> bool:
        """The queue is full: whole requests, too, may wait for being parsed."""
        return self._buffer_paused

    @property
    def asks_for_upgrade(self) -> bool:
        """The request that was parsed last wants another protocol."""
        message = self._messages[-1][0] if self._messages else None
        return isinstance(message, RawRequestMessage) and message.upgrade

    @property
    def loses_bytes(self) -> bool:
        """The parser has dropped what came with that request: the protocol is none that it knows."""
        return self.asks_for_upgrade and not self._upgraded

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write an answer, and wait for a client that does not read; aiohttp goes on to the next request.

        It keeps both objects until then: their bodies go now, so that an idle connection holds none.
        """
        resp, is_gone = await super().finish_response(request, resp, start_time)
        request._read_bytes = None  # noqa: SLF001 - listed above
        if isinstance(resp, web.Response):
            resp.body = None
        if self._paused and not is_gone:
            try:
                await self._drain_helper()
            except ConnectionError:
                is_gone = True
        return resp, is_gone

    def hand_over(self) -> None:
        """Let aiohttp do nothing more with the connection, which stays open."""
        self._force_close = True

    def begin(self, payload: StreamReader) -> None:
        """Note that the handling of a request begins."""

    def refused(self, error: web.HTTPException) -> web.Response:
        """Return the answer to what the parser refuses."""
        raise NotImplementedError

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what the parser refuses: a client's mistake is not worth a traceback."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        response = self.refused(_as_http_error(exc))
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log a bug; that the rest of a refused body is broken, too, is none."""
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **kw)


def is_refusal(message: object) -> bool:
    """Return whether what was parsed is no request but an error."""
    return not isinstance(message, RawRequestMessage)


def end_of(data: bytes, parsed: Sequence[tuple[object, StreamReader]]) -> int | None:
    """Return where the requests end that were parsed from the beginning of the data; None if it cannot be told."""
    end = 0
    for message, payload in parsed:
        found = data.find(END_OF_HEAD, end)
        if found < 0 or not isinstance(message, RawRequestMessage):
            return None
        end = found + len(END_OF_HEAD)
        if payload is not EMPTY_PAYLOAD:
            length = message.headers.get(hdrs.CONTENT_LENGTH)
            if length is None:
                return None
            end += int(length)
    return end if end <= len(data) else None


def announce_requests(server: web.Server) -> None:
    """Let each connection know when a request begins; every protocol of this server is an HttpProtocol."""
    make = server.request_factory

    def begin(message: Any, payload: Any, connection: Any, writer: Any, task: Any) -> Any:
        connection.begin(payload)
        return make(_ordinary(message), payload, connection, writer, task)

    server.request_factory = begin


def _ordinary(message: RawRequestMessage) -> RawRequestMessage:
    """Return a request in a version that we speak, without an expectation that aiohttp answers with 417."""
    if message is ERROR or message.version not in {HttpVersion10, HttpVersion11}:
        message = message._replace(version=HttpVersion11)
    if message.headers and message.headers.get(hdrs.EXPECT, "100-continue").lower() != "100-continue":
        headers = message.headers.copy()
        del headers[hdrs.EXPECT]
        message = message._replace(headers=CIMultiDictProxy(headers))
    return message


def _as_http_error(error: HttpProcessingError) -> web.HTTPException:
    """Return what a parser's error means; its text, which holds the client's bytes, stays behind."""
    if isinstance(error, LineTooLong):
        is_line = error.args[1] == PARSER_LIMIT_BYTES
        return web.HTTPRequestURITooLong() if is_line else web.HTTPRequestHeaderFieldsTooLarge()
    if "Too many headers" in error.message:
        return web.HTTPRequestHeaderFieldsTooLarge()
    return web.HTTPBadRequest(text="not a well-formed HTTP request")


def server_of(runner: web.AppRunner) -> web.Server:
    """Return the server of a runner that is set up."""
    return cast("web.Server", runner.server)

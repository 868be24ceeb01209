"""What a connection receives and is answered: by the fast path, by aiohttp, or with what is wrong about it."""

import asyncio
from collections.abc import Sequence
from typing import Protocol, cast

from aiohttp import StreamReader, web

from sidecar.web.aiohttp_parts import END_OF_HEAD, HttpProtocol, end_of, is_refusal
from sidecar.web.fast_path import FastPath
from sidecar.web.limits import LARGEST_HEAD_BYTES, Limits
from sidecar.web.problems import problem_of_http, raw_response


class Terms(Protocol):
    """What a conversation knows of its listener."""

    limits: Limits
    winding_down: bool
    fast_path: FastPath | None

    def count_refusal(self, status: int) -> None:
        """Count an answer that no route gave."""


class Conversation(HttpProtocol):
    """Requests and answers in turn, and how far the client has got with its own."""

    __slots__ = (
        *("_ends", "_is_endless", "_last_bytes", "_lingers", "_payload", "_request", "_terms"),
        *("at_boundary", "head_bytes", "is_busy", "is_silent", "link", "sweeps", "unwritten_sweeps"),
    )

    link: asyncio.Transport
    """The transport to the last: aiohttp forgets its own when it begins to close, flushed or not."""

    def __init__(self, terms: Terms, server: web.Server) -> None:
        super().__init__(server, terms.limits)
        self._terms = terms
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
        self.unwritten_sweeps = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.link = cast("asyncio.Transport", transport)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Answer at once what the fast path can; leave everything else to aiohttp."""
        fast_path = self._terms.fast_path
        is_free = self.at_boundary and self.is_free
        if fast_path is not None and is_free and (answer := fast_path.answer(data)) is not None:
            self.is_silent = False
            self.sweeps = self.unwritten_sweeps = 0
            self.link.write(answer)
        elif not data:
            self._read_on()
        elif not self._lingers:
            self._read(data, is_whole=is_free)

    def _read(self, data: bytes, *, is_whole: bool = False) -> None:
        """Let aiohttp parse, and note how far its client has got; `is_whole`: the first byte begins a request."""
        if not (self.is_silent or self.is_busy or self.head_bytes or self._lacks_body):
            self.sweeps = 0
        was_body, self.is_silent = self._lacks_body, False
        before = self._last_bytes
        self._last_bytes = data[-3:]
        new = self._parse(data)
        is_over = bool(new) and data.endswith(END_OF_HEAD) and not self.asks_for_upgrade
        self.at_boundary = is_over and not (self._lacks_body or self._lingers)
        self._request = data if is_whole and self.at_boundary and len(new) == 1 else None
        end = None if was_body or not new else end_of(before + data, new)
        if self.at_boundary or self._lacks_body or self.holds_back:
            self.head_bytes = 0
        elif new:
            self.head_bytes = 0 if end is None else len(before) + len(data) - end
        elif not was_body:
            self.head_bytes += len(data)
        if new and self.loses_bytes:
            self._read_lost(data, None if end is None else end - len(before))
        elif self.head_bytes > LARGEST_HEAD_BYTES and not self._lingers:
            self._refuse_endless_head()

    def _read_on(self) -> None:
        """Parse what was held back; aiohttp calls `data_received` without data for that."""
        self.at_boundary = False
        if self._parse(b"") and self.loses_bytes:
            self._ends = True  # what came behind that is lost

    def _parse(self, data: bytes) -> Sequence[tuple[object, StreamReader]]:
        new = self.parse(data)
        if new:
            message, payload = new[-1]
            self._lingers = is_refusal(message)
            if not self._lingers:
                self._payload = payload
        return new

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
        return (self.is_busy or self.has_queued) and not self._lacks_body

    def begin(self, payload: StreamReader) -> None:
        """Note that a request's head is complete and its handling begins."""
        self.is_busy, self.sweeps, self.unwritten_sweeps = True, 0, 0
        if not payload.is_eof():
            self._payload = payload

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write the answer; when the listener is winding down, or nothing more can come, it is the last."""
        self.is_busy, self.sweeps = False, 0
        if self._terms.winding_down or (self._ends and not self.has_queued):
            resp.force_close()
        elif self._request is not None and self._terms.fast_path is not None:
            self._terms.fast_path.learn(self._request, request, resp)
        self._request = None
        result = await super().finish_response(request, resp, start_time)
        if self._lingers and not self.has_queued:
            self._linger()
        return result

    def refused(self, error: web.HTTPException) -> web.Response:
        """Return the problem that says what the parser refuses."""
        self._terms.count_refusal(error.status)
        return problem_of_http(error)

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
            self._terms.count_refusal(431)
            self.link.write(raw_response(problem_of_http(web.HTTPRequestHeaderFieldsTooLarge())))
        self.hand_over()
        self.sweeps = 0
        self.link.write_eof()

"""`SyncMarketCaps`: the client for code without an event loop."""

import os
import socket
from collections import deque
from collections.abc import Iterable
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Any, Final, Self, TypeVar, overload

from sidecar.client.wire import (
    DEFAULT_TIMEOUT,
    DEFAULT_URL,
    Set,
    address,
    in_requests,
    read_batch,
    read_token,
    read_tokens,
    unreachable,
)
from sidecar.errors import InvalidMintError, McSidecarError
from sidecar.models import BatchResult, MarketCap, parse_mint

T = TypeVar("T")

IDLE_CONNECTIONS: Final = 16
"""Kept at most for the next look-ups; threads beyond it each open their own."""
_RAISE: Final[Any] = object()
_JSON: Final = {"Content-Type": "application/json"}


class SyncMarketCaps:
    """`MarketCaps` without the stream, for any number of threads. Outlives a fork: the child connects anew.

    `timeout` is in seconds, for each step of a look-up: connecting, and every wait for bytes.
    """

    def __init__(self, base_url: str = DEFAULT_URL, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._base_url = base_url
        self._address = address(base_url)
        self._timeout = timeout
        self._idle: deque[_Connection] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections; harmless when closed."""
        while (one := self._kept()) is not None:
            one.close()

    @overload
    def get(self, mint: str) -> MarketCap: ...

    @overload
    def get(self, mint: str, *, default: T) -> MarketCap | T: ...

    def get(self, mint: str, *, default: Any = _RAISE) -> Any:
        """Return a token's market cap; with a `default`, that in place of every error but InvalidMintError."""
        try:
            return read_token(*self._ask("GET", f"/mc/{parse_mint(mint)}"))
        except McSidecarError as error:
            if default is _RAISE or isinstance(error, InvalidMintError):
                raise
            return default

    def get_many(self, mints: Iterable[str]) -> BatchResult:
        """Look up any number of tokens, each once, a thousand a request; a bad mint is an error of its own."""
        tokens: dict[str, MarketCap] = {}
        errors: dict[str, McSidecarError] = {}
        for body in in_requests(mints, errors):
            batch = read_batch(*self._ask("POST", "/mc", body))
            tokens |= batch.tokens
            errors |= batch.errors
        return BatchResult(tokens, errors)

    def popular(self, *, limit: int = 1000) -> list[MarketCap]:
        """Return the tokens of the popular list that are priced, highest market cap first."""
        return self._list("popular", limit)

    def tracked(self, *, limit: int = 1000) -> list[MarketCap]:
        """Return all tokens that are kept warm and priced, highest market cap first."""
        return self._list("tracked", limit)

    def trending(self, *, limit: int = 1000) -> list[MarketCap]:
        """Return the trending tokens that are kept warm and priced, highest market cap first."""
        return self._list("trending", limit)

    def _list(self, name: Set, limit: int) -> list[MarketCap]:
        return read_tokens(*self._ask("GET", f"/mc?set={name}&limit={limit}"))

    def _ask(self, method: str, target: str, body: bytes | None = None) -> tuple[int, str | None, bytes]:
        """Send a request; once more when a kept connection turns out to be gone: nothing here changes anything."""
        kept = self._kept()
        if kept is not None:
            try:
                return self._ask_on(kept, method, target, body)
            except (ConnectionError, HTTPException):
                kept.close()
            except OSError as error:
                kept.close()
                raise unreachable(self._base_url, error) from error
        fresh = _Connection(self._address.url.removeprefix("http://"), self._address.unix_socket, self._timeout)
        try:
            return self._ask_on(fresh, method, target, body)
        except (HTTPException, OSError) as error:
            fresh.close()
            raise unreachable(self._base_url, error) from error

    def _ask_on(
        self, connection: "_Connection", method: str, target: str, body: bytes | None
    ) -> tuple[int, str | None, bytes]:
        connection.request(method, target, body, _JSON if body else {})
        answer = connection.getresponse()
        read = answer.status, answer.headers.get("Retry-After"), answer.read()
        if answer.will_close or len(self._idle) >= IDLE_CONNECTIONS:
            connection.close()
        else:
            self._idle.append(connection)
        return read

    def _kept(self) -> "_Connection | None":
        """Return a connection of this process that is not in use."""
        while self._idle:
            try:
                one = self._idle.pop()
            except IndexError:  # another thread was quicker
                return None
            if one.process == os.getpid():
                return one
            one.close()
        return None


class _Connection(HTTPConnection):
    """A connection over TCP, or over a Unix socket where one is named."""

    def __init__(self, host: str, unix_socket: str | None, timeout: float) -> None:
        super().__init__(host, timeout=timeout)
        self._unix_socket = unix_socket
        self.process = os.getpid()

    def connect(self) -> None:
        if self._unix_socket is None:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._unix_socket)

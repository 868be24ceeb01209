"""`MarketCaps`: the client for code on an event loop."""

from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Any, Final, Self, TypeVar, overload

import aiohttp

from sidecar.client.events import Event
from sidecar.client.stream import Answers, follow, target_of
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

MOST_CONNECTIONS: Final = 256
"""Half of what a sidecar takes by default; of a thousand look-ups at once the rest wait for their turn."""
_RAISE: Final[Any] = object()
_JSON: Final = {"Content-Type": "application/json"}


class MarketCaps:
    """Asks a sidecar, over connections that are kept; use it as a context manager or `close` it.

    `base_url` is http://host:port or unix:///path, `timeout` the seconds a look-up may take in all. Look-ups raise
    the error family (McSidecarError), SidecarUnreachableError of it where nothing answers.
    """

    def __init__(self, base_url: str = DEFAULT_URL, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._base_url = base_url
        self._address = address(base_url)
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None
        self._streams: Answers = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections, streams included; harmless when closed."""
        if self._session is not None:
            await self._session.close()
        for answer in list(self._streams):
            answer.close()

    @overload
    async def get(self, mint: str) -> MarketCap: ...

    @overload
    async def get(self, mint: str, *, default: T) -> MarketCap | T: ...

    async def get(self, mint: str, *, default: Any = _RAISE) -> Any:
        """Return a token's market cap; with a `default`, that in place of every error but InvalidMintError."""
        try:
            return read_token(*await self._ask("GET", f"/mc/{parse_mint(mint)}"))
        except McSidecarError as error:
            if default is _RAISE or isinstance(error, InvalidMintError):
                raise
            return default

    async def get_many(self, mints: Iterable[str]) -> BatchResult:
        """Look up any number of tokens, each once, a thousand a request; a bad mint is an error of its own."""
        tokens: dict[str, MarketCap] = {}
        errors: dict[str, McSidecarError] = {}
        for body in in_requests(mints, errors):
            batch = read_batch(*await self._ask("POST", "/mc", body))
            tokens |= batch.tokens
            errors |= batch.errors
        return BatchResult(tokens, errors)

    async def popular(self, *, limit: int = 1000) -> list[MarketCap]:
        """Return the tokens of the popular list that are priced, highest market cap first."""
        return await self._list("popular", limit)

    async def tracked(self, *, limit: int = 1000) -> list[MarketCap]:
        """Return all tokens that are kept warm and priced, highest market cap first."""
        return await self._list("tracked", limit)

    async def trending(self, *, limit: int = 1000) -> list[MarketCap]:
        """Return the trending tokens that are kept warm and priced, highest market cap first."""
        return await self._list("trending", limit)

    def stream(self, mints: Iterable[str] = (), *, set: Set | None = None) -> AsyncIterator[Event]:  # noqa: A002
        """Return the changes of up to 100 mints, or of a set, from a Snapshot on, without end.

        A connection that breaks is made again, after a while that grows from one second to thirty, and the stream
        goes on where it was; a sidecar that has restarted begins with a Snapshot. Raises what cannot get better:
        InvalidRequestError, TooManyMintsError, ForbiddenError. ValueError: mints and set, or neither.
        """
        return follow(self._connected(), self._address.url + target_of(mints, set), self._streams)

    async def _list(self, name: Set, limit: int) -> list[MarketCap]:
        return read_tokens(*await self._ask("GET", f"/mc?set={name}&limit={limit}"))

    async def _ask(self, method: str, target: str, body: bytes | None = None) -> tuple[int, str | None, bytes]:
        url, headers = self._address.url + target, _JSON if body else None
        try:
            async with self._connected().request(
                method, url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as answer:
                return answer.status, answer.headers.get("Retry-After"), await answer.read()
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise unreachable(self._base_url, error) from error

    def _connected(self) -> aiohttp.ClientSession:
        """Return the session, made at first use: aiohttp wants a running loop for it."""
        if self._session is None:
            path = self._address.unix_socket
            most = MOST_CONNECTIONS
            connector = aiohttp.UnixConnector(path, limit=most) if path else aiohttp.TCPConnector(limit=most)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._session

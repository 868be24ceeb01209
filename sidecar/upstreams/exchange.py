"""The only place that calls the aiohttp client: one request sent, its answer read within bounds and parsed."""

from collections.abc import Callable, Mapping
from typing import Final

import aiohttp
from yarl import URL

from sidecar.errors import Outcome, SchemaError, UpstreamError
from sidecar.models import Parsed, T
from sidecar.runtime.clock import Clock, Instant, now
from sidecar.upstreams.budget import Budget
from sidecar.upstreams.connector import TOO_MUCH
from sidecar.upstreams.rate_headers import retry_after_seconds, window_reset_seconds

LARGEST_ANSWER_BYTES: Final = 2 * 1024 * 1024
"""Decoded. The largest that we ask for, 900 pairs of DexScreener, has 1.4 MB."""

_CHUNK_BYTES = 64 * 1024
_USER_AGENT = "mc-sidecar"
_LONGEST_DETAIL_CHARS = 300
_TOO_MANY_REQUESTS = 429

Parse = Callable[[bytes, Instant], Parsed[T]]


class Exchange:
    """Asks one source over HTTP. Rate headers that announce an empty window block its budget."""

    def __init__(
        self,
        name: str,
        *,
        timeout_seconds: float,
        budget: Budget,
        session: aiohttp.ClientSession,
        clock: Clock,
        redact: Callable[[str], str],
        credentials: Callable[[], Mapping[str, str]],
    ) -> None:
        self._name = name
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=timeout_seconds)
        self._budget = budget
        self._session = session
        self._clock = clock
        self._redact = redact
        self._credentials = credentials

    async def ask(
        self,
        method: str,
        url: URL,
        parse: Parse[T],
        *,
        attempts: aiohttp.ClientMiddlewareType,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Parsed[T]:
        """Send a request and parse its answer; `attempts` sees each time it is sent. Raises UpstreamError."""
        sent = {"User-Agent": _USER_AGENT, "Accept": "application/json", **headers, **self._credentials()}
        try:
            async with self._session.request(
                method,
                url,
                data=body,
                headers=sent,
                timeout=self._timeout,
                allow_redirects=False,
                middlewares=[attempts],
            ) as response:
                self._check_status(response)
                return parse(await self._read(response), now(self._clock))
        except UpstreamError as error:
            raise self._error(error.outcome, error.detail, error.retry_after, error.status) from error
        except SchemaError as error:
            raise self._error("schema", f"unexpected answer: {error}") from error
        except TimeoutError as error:
            raise self._error("timeout", f"no answer within {self._timeout.total:g} s") from error
        except (aiohttp.ClientError, OSError, UnicodeError) as error:  # the last: a host that is no name
            outcome: Outcome = "too_large" if TOO_MUCH in str(error) else "connect"
            raise self._error(outcome, f"{type(error).__name__}: {error}") from error

    def _check_status(self, response: aiohttp.ClientResponse) -> None:
        unix = self._clock.time()
        if (reset := window_reset_seconds(response.headers, unix)) is not None:
            self._budget.block(reset)
        if response.status == _TOO_MANY_REQUESTS:
            retry_after = retry_after_seconds(response.headers.get("Retry-After"), unix)
            raise self._error("rate_limited", "answered 429", retry_after)
        if response.status != 200:  # noqa: PLR2004 - the only status that carries an answer
            outcome: Outcome = "http_5xx" if response.status >= 500 else "http_4xx"  # noqa: PLR2004 - its meaning
            raise self._error(outcome, f"answered {response.status}", status=response.status)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            body += chunk
            if len(body) > LARGEST_ANSWER_BYTES:
                response.close()
                raise self._error("too_large", f"answer larger than {LARGEST_ANSWER_BYTES} bytes")
        return bytes(body)

    def _error(
        self, outcome: Outcome, detail: str, retry_after: float | None = None, status: int | None = None
    ) -> UpstreamError:
        detail = self._redact(detail)[:_LONGEST_DETAIL_CHARS]
        return UpstreamError(self._name, outcome, detail, retry_after=retry_after, status=status)

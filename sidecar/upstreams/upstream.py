"""The only place that calls the aiohttp client.

One `Upstream` is one source's API: its base URL, key, budget, circuit, limits and metrics. Every outcome
becomes either a parsed answer or an `UpstreamError`.
"""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import msgspec
from yarl import URL

from sidecar.errors import NotAskedError, Outcome, SchemaError, UpstreamError
from sidecar.metrics.metrics import Metrics
from sidecar.models import Parsed, Priority, T
from sidecar.runtime.clock import Clock, Instant, now
from sidecar.upstreams.breaker import CircuitBreaker, State
from sidecar.upstreams.budget import Budget, ConcurrencyLimit
from sidecar.upstreams.rate_headers import retry_after_seconds, window_reset_seconds

LARGEST_ANSWER_BYTES: Final = 2 * 1024 * 1024
"""Decoded. The largest that we ask for, 900 pairs of DexScreener, has 1.4 MB."""
LONGEST_BACKGROUND_WAIT_SECONDS: Final = 11.0
"""How long background work waits for a slot: the short window, so that it waits at most for its next one."""

_CHUNK_BYTES = 64 * 1024
_USER_AGENT = "mc-sidecar"
_LONGEST_DETAIL_CHARS = 300
_TOO_MANY_REQUESTS = 429

Parse = Callable[[bytes, Instant], Parsed[T]]

log = logging.getLogger(__name__)


class Upstream:
    """One source's HTTP API. `credentials` returns the headers that hold the current API key, none without."""

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        timeout_seconds: float,
        budget: Budget,
        slots: ConcurrencyLimit,
        session: aiohttp.ClientSession,
        clock: Clock,
        metrics: Metrics,
        redact: Callable[[str], str] = str,
        credentials: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self.name = name
        self.budget = budget
        self.breaker = CircuitBreaker(clock, self._circuit_changed)
        self.last_error: str | None = None
        """What was wrong with the newest answer, None when it was good."""
        self.last_success_unix: float | None = None
        self._base = URL(base_url, encoded=True)
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=timeout_seconds)
        self._slots = slots
        self._session = session
        self._clock = clock
        self._metrics = metrics
        self._redact = redact
        self._credentials = credentials

    async def get(
        self,
        path: str,
        params: Mapping[str, str],
        parse: Parse[T],
        priority: Priority,
        headers: Mapping[str, str] = {},
    ) -> Parsed[T]:
        """GET a path below the base URL; a query in the base URL is kept.

        Raises UpstreamError, NotAskedError when there is no budget in time or the circuit is open.
        """
        base = self._base
        url = base.with_path(base.raw_path.rstrip("/") + path, encoded=True, keep_query=True).extend_query(params)
        return await self._ask("GET", url, parse, priority, headers=headers)

    async def post(self, payload: object, parse: Parse[T], priority: Priority) -> Parsed[T]:
        """POST JSON to the base URL exactly as it was given. Raises as `get` does."""
        headers = {"Content-Type": "application/json"}
        body = msgspec.json.encode(payload)
        return await self._ask("POST", self._base, parse, priority, headers=headers, body=body)

    def refusal(self, priority: Priority) -> NotAskedError | None:
        """Return why a call may not begin now, None where it may, or after a wait for budget."""
        if retry_in := self.breaker.retry_in():
            return NotAskedError(self.name, "circuit", retry_in)
        if not priority.waits and (delay := self.budget.delay(priority)):
            return NotAskedError(self.name, "budget", delay)
        return None

    def broke(self, error: Exception) -> UpstreamError:
        """Take an unexpected exception for a failure; the first in a row is logged with its traceback."""
        problem = f"unexpected {type(error).__name__}"
        if self.last_error != problem:
            log.error("upstream broke", extra={"source": self.name, "problem": problem}, exc_info=error)
        self.last_error = problem
        return UpstreamError(self.name, "schema", problem)

    def retry_in(self, priority: Priority) -> float:
        """Return the seconds until a call may begin; 0 means now."""
        return max(self.breaker.retry_in(), self.budget.delay(priority))

    async def _ask(
        self,
        method: str,
        url: URL,
        parse: Parse[T],
        priority: Priority,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> Parsed[T]:
        async with self._turn(priority):
            started = self._clock.monotonic()
            outcome: str | None = "connect"
            try:
                parsed = await self._exchange(method, url, parse, priority, headers=headers, body=body)
                outcome = "schema" if parsed.unreadable else "ok"
            except UpstreamError as error:
                outcome = error.outcome
                self._failed(error)
                raise
            except asyncio.CancelledError:
                outcome = None
                self.breaker.given_up()
                raise
            except BaseException:
                self.breaker.failed()
                raise
            finally:
                if outcome is not None:
                    self._measure(outcome, started)
            self._succeeded(parsed.unreadable)
            return parsed

    def _measure(self, outcome: str, started: float) -> None:
        self._metrics.upstream_requests.labels(self.name, outcome).inc()
        self._metrics.upstream_duration.labels(self.name).observe(self._clock.monotonic() - started)

    @asynccontextmanager
    async def _turn(self, priority: Priority) -> AsyncIterator[None]:
        """Hold a concurrency slot, with a budget slot taken at the moment the call begins."""
        most = LONGEST_BACKGROUND_WAIT_SECONDS if priority.waits else 0.0
        while True:
            self._check_circuit()
            began = self._clock.monotonic()
            delay = await self.budget.wait(priority, most)
            self._metrics.upstream_budget_wait.labels(self.name).inc(self._clock.monotonic() - began)
            if delay:
                raise NotAskedError(self.name, "budget", delay)
            async with self._slots.hold(self.name, priority):
                self._check_circuit()
                if self.budget.delay(priority):
                    continue
                self.breaker.begin()
                self.budget.begin(priority)
                yield
                return

    def _check_circuit(self) -> None:
        if retry_in := self.breaker.retry_in():
            raise NotAskedError(self.name, "circuit", retry_in)

    async def _exchange(
        self,
        method: str,
        url: URL,
        parse: Parse[T],
        priority: Priority,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Parsed[T]:
        sent = {"User-Agent": _USER_AGENT, "Accept": "application/json", **headers, **self._credentials()}
        try:
            async with self._session.request(
                method,
                url,
                data=body,
                headers=sent,
                timeout=self._timeout,
                allow_redirects=False,
                middlewares=[self._counting(priority)],
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
            raise self._error("connect", f"{type(error).__name__}: {error}") from error

    def _counting(self, priority: Priority) -> aiohttp.ClientMiddlewareType:
        """Count what aiohttp sends again after a lost connection as the call that it is; a probe is sent once."""
        attempts = itertools.count()

        async def attempt(
            request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            if next(attempts):
                if self.breaker.state != "closed" or self.budget.delay(priority):
                    raise aiohttp.ClientConnectionError("the connection was lost")
                self._metrics.upstream_requests.labels(self.name, "connect").inc()
                self.budget.begin(priority)
            return await send(request)

        return attempt

    def _check_status(self, response: aiohttp.ClientResponse) -> None:
        unix = self._clock.time()
        if (reset := window_reset_seconds(response.headers, unix)) is not None:
            self.budget.block(reset)
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
        return UpstreamError(self.name, outcome, detail, retry_after=retry_after, status=status)

    def _failed(self, error: UpstreamError) -> None:
        if error.outcome == "rate_limited":
            self.budget.refused(error.retry_after)
            self.breaker.succeeded()
        else:
            self.breaker.failed()
        self._note(error.detail)

    def _succeeded(self, unreadable: int) -> None:
        self.budget.accepted()
        self.breaker.succeeded()
        self.last_success_unix = self._clock.time()
        self._note(f"{unreadable} rows of an unexpected shape" if unreadable else None)

    def _note(self, problem: str | None) -> None:
        """Log the edges only: the first failure and the recovery; what lies between is in the counters."""
        if problem is not None and self.last_error is None:
            log.warning("upstream failing: %s", self.name, extra={"source": self.name, "problem": problem})
        if problem is None and self.last_error is not None:
            log.info("upstream recovered: %s", self.name, extra={"source": self.name})
        self.last_error = problem

    def _circuit_changed(self, state: State) -> None:
        self._metrics.upstream_circuit_open.labels(self.name).set(state != "closed")
        log.warning("circuit %s: %s", state, self.name, extra={"source": self.name, "state": state})

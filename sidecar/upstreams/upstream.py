"""One source's API: when a call may begin, and the call.

Every outcome becomes either a parsed answer or an `UpstreamError`.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import msgspec
from yarl import URL

from sidecar.errors import NotAskedError, UpstreamError
from sidecar.metrics.metrics import Metrics
from sidecar.models import Parsed, Priority, T
from sidecar.runtime.clock import Clock
from sidecar.upstreams.budget import Budget, ConcurrencyLimit
from sidecar.upstreams.exchange import Exchange, Parse
from sidecar.upstreams.outcomes import Outcomes

LONGEST_BACKGROUND_WAIT_SECONDS: Final = 11.0
"""How long background work waits for a slot: the short window, so that it waits at most for its next one."""


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
        self.outcomes = Outcomes(name, budget, clock, metrics)
        self.breaker = self.outcomes.breaker
        self._base = URL(base_url, encoded=True)
        self._exchange = Exchange(
            name,
            timeout_seconds=timeout_seconds,
            budget=budget,
            session=session,
            clock=clock,
            redact=redact,
            credentials=credentials,
        )
        self._slots = slots
        self._clock = clock
        self._metrics = metrics

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
                attempts = self._counting(priority)
                parsed = await self._exchange.ask(
                    method, url, parse, attempts=attempts, headers=headers, body=body
                )
                outcome = "schema" if parsed.unreadable else "ok"
            except UpstreamError as error:
                outcome = error.outcome
                self.outcomes.failed(error)
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
                    self.outcomes.measure(outcome, started)
            self.outcomes.succeeded(parsed.unreadable)
            return parsed

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

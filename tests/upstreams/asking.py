"""One upstream of ours, asking a real server that answers as a test has it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
from aiohttp import web

from sidecar.config.redaction import Redactor, secret_parts
from sidecar.metrics.metrics import Metrics
from sidecar.models import Parsed, Priority
from sidecar.runtime.clock import Instant
from sidecar.upstreams.budget import Budget, ConcurrencyLimit
from sidecar.upstreams.upstream import Upstream
from tests.clock import FakeClock

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Received(NamedTuple):
    """A request as the server saw it."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class Asked:
    """The upstream, and what its server got."""

    def __init__(self, upstream: Upstream, clock: FakeClock, metrics: Metrics, received: list[Received]) -> None:
        self.upstream = upstream
        self.clock = clock
        self.metrics = metrics
        self.received = received

    async def get(self, priority: Priority = Priority.MISS) -> bytes:
        return (await self.upstream.get("/prices", {"ids": "a,b"}, as_it_is, priority)).value

    def metric(self, name: str, **labels: str) -> float:
        labels = {"source": "jupiter", **labels}
        value = self.metrics.registry.get_sample_value(f"mc_sidecar_upstream_{name}", labels)
        assert value is not None, (name, labels)
        return value

    def outcomes(self) -> dict[str, float]:
        """Return how often each outcome was counted, those that were."""
        samples = next(m for m in self.metrics.registry.collect() if m.name == "mc_sidecar_upstream_requests")
        return {
            sample.labels["outcome"]: sample.value
            for sample in samples.samples
            if sample.value and sample.labels["source"] == "jupiter"
        }


def as_it_is(body: bytes, _: Instant) -> Parsed[bytes]:
    return Parsed(body)


@asynccontextmanager
async def asking(
    handler: Handler, *, base: str = "", key: str | None = None, rpm: int = 600, timeout_seconds: float = 5.0
) -> AsyncIterator[Asked]:
    """Serve `handler` under any path; `base` is what the base URL has after host and port."""
    clock, received = FakeClock(), list[Received]()

    async def handle(request: web.Request) -> web.StreamResponse:
        received.append(Received(request.method, request.raw_path, request.headers.copy(), await request.read()))
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    base_url = f"http://127.0.0.1:{site.port}{base}"
    metrics = Metrics(clock, version="0")
    secrets = {*secret_parts(base_url), *([key] if key else [])}
    async with aiohttp.ClientSession() as session:
        upstream = Upstream(
            "jupiter",
            base_url=base_url,
            timeout_seconds=timeout_seconds,
            budget=Budget(rpm, clock),
            slots=ConcurrencyLimit(5),
            session=session,
            clock=clock,
            metrics=metrics,
            redact=Redactor(secrets).redact,
            credentials=lambda: {"x-api-key": key} if key else {},
        )
        try:
            yield Asked(upstream, clock, metrics, received)
        finally:
            await runner.cleanup()


def answering(status: int = 200, body: bytes = b"[]", headers: Mapping[str, str] | None = None) -> Handler:
    """Answer the same to everything."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return handle

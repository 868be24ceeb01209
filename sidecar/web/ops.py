"""The operator's listener: metrics, probes, status. Read-only, and nothing on it is secret."""

import platform
from typing import Any, Final

import msgspec
from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from sidecar.config.settings import redacted
from sidecar.models import Priority
from sidecar.refresh.loops import Loop
from sidecar.runtime.version import __version__
from sidecar.service.service import PreCacheService
from sidecar.upstreams.upstream import Upstream
from sidecar.web.middleware import check_size, declare_routes, error_middleware, expect


class Phase:
    """Where the process is in its life: the readiness probe's only condition."""

    def __init__(self) -> None:
        self.stopping = False


MOST_NAMED: Final = 20
"""Popular tokens in a probe's body."""
SERVICE: Final = web.AppKey("service", PreCacheService)
PHASE: Final = web.AppKey("phase", Phase)


def create_ops(service: PreCacheService, phase: Phase) -> web.Application:
    """Build the operator's routes."""
    app = web.Application(middlewares=[error_middleware(service.metrics.hot, check_size)])
    app[SERVICE] = service
    app[PHASE] = phase
    app.add_routes(
        [
            web.get("/metrics", make_aiohttp_handler(service.registry), expect_handler=expect),
            web.get("/startupz", startupz, expect_handler=expect),
            web.get("/livez", livez, expect_handler=expect),
            web.get("/readyz", readyz, expect_handler=expect),
            web.get("/status", status, expect_handler=expect),
        ]
    )
    declare_routes(app, service.metrics.hot)
    return app


async def startupz(request: web.Request) -> web.Response:
    """200 once each popular mint has been answered once or the start-up deadline has passed."""
    service = request.app[SERVICE]
    unanswered = service.health.unanswered
    return _probe(
        service.health.is_warm(),
        {
            "popular_unanswered": len(unanswered),
            "waiting_for": [service.engine.symbols.get(mint, mint) for mint in sorted(unanswered)[:MOST_NAMED]],
            "startup_deadline_seconds": service.settings.refresh.startup_deadline_seconds,
        },
    )


async def livez(request: web.Request) -> web.Response:
    """503 only when a loop has stopped beating."""
    service = request.app[SERVICE]
    stuck = service.health.stuck_loops()
    return _probe(
        not stuck, {"stuck_loops": stuck, "event_loop_lag_seconds": service.health.event_loop_lag_seconds}
    )


async def readyz(request: web.Request) -> web.Response:
    """200 from start-up to shutdown, whatever the upstreams do."""
    stopping = request.app[PHASE].stopping
    return _probe(not stopping, {"stopping": stopping})


async def status(request: web.Request) -> web.Response:
    """Version, settings in effect, each source's health, each loop's last run."""
    service = request.app[SERVICE]
    loops = {name: _loop(loop) for name, loop in service.health.loops.items()}
    return _json(
        {
            "version": __version__,
            "python": platform.python_version(),
            "started_at": service.health.started_unix,
            "statistics": service.get_stats(),
            "popular_list": service.popular.status(),
            "sources": {name: _source(one) for name, one in service.engine.upstreams.items()},
            "loops": loops,
            "fleet": service.fleet_status(),
            "settings": redacted(service.settings),
        }
    )


def _source(upstream: Upstream) -> dict[str, Any]:
    return {
        "circuit": upstream.breaker.state,
        "last_error": upstream.last_error,
        "last_success": upstream.last_success_unix,
        "requests_per_minute": upstream.budget.requests_per_minute,
        "retry_in_seconds": round(upstream.retry_in(Priority.MISS), 3),
    }


def _loop(loop: Loop) -> dict[str, Any]:
    return {
        "last_run": loop.last_run_unix,
        "last_success": loop.last_success_unix,
        "last_seconds": loop.last_seconds,
        "overdue_seconds": max(0.0, round(loop.overdue_seconds(), 3)),
    }


def _probe(good: bool, conditions: dict[str, Any]) -> web.Response:  # noqa: FBT001 - a probe is one bit
    return _json({"ok": good, **conditions}, status=200 if good else 503)


def _json(value: object, status: int = 200) -> web.Response:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return web.Response(status=status, body=msgspec.json.encode(value), headers=headers)

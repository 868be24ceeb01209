"""The operator's listener: metrics, probes, status. Read-only, and nothing on it is secret."""

from functools import partial
from typing import Any, Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from sidecar.config.settings import redacted
from sidecar.errors import NotPricedError
from sidecar.models import parse_mint
from sidecar.service.service import PreCacheService
from sidecar.web.board import Board
from sidecar.web.event_stream import HEADERS, EventStream
from sidecar.web.explaining import explanation, unpriced_explanation
from sidecar.web.exposition import get_metrics
from sidecar.web.middleware import check_size, declare_routes, error_middleware
from sidecar.web.page import BOARD, get_page
from sidecar.web.responses import SERVICE, json_value


class Phase:
    """Where the process is in its life: the readiness probe's only condition."""

    def __init__(self) -> None:
        self.stopping = False


MOST_NAMED: Final = 20
"""Popular tokens in a probe's body."""
PHASE: Final = web.AppKey("phase", Phase)


def create_ops(service: PreCacheService, phase: Phase, board: Board) -> web.Application:
    """Build the operator's routes."""
    app = web.Application(middlewares=[error_middleware(service.metrics.hot, check_size)])
    app[SERVICE] = service
    app[PHASE] = phase
    app[BOARD] = board
    app.add_routes(
        [
            web.get("/metrics", _not_kept(get_metrics)),
            web.get("/startupz", startupz),
            web.get("/livez", livez),
            web.get("/readyz", readyz),
            web.get("/status", status),
            web.get("/status/stream", status_stream),
            web.get("/status/tokens/{mint:[^/]+}", status_token),
            web.get("/", get_page),
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
    """Version, settings in effect, each source's health, each loop's last run, the tracked tokens."""
    service, board = request.app[SERVICE], request.app[BOARD]
    return json_value({**await board.document(), "settings": redacted(service.settings)})


async def status_stream(request: web.Request) -> web.StreamResponse:
    """Send what `/status` says, and then each second what of it has changed."""
    if request.method == "HEAD":
        return web.Response(headers=HEADERS)
    board = request.app[BOARD]
    viewer = board.open()
    return EventStream(board.texts(viewer), partial(board.leave, viewer))


async def status_token(request: web.Request) -> web.Response:
    """Explain one token out of memory, one without a price too; it counts as no look-up."""
    service = request.app[SERVICE]
    mint = parse_mint(request.match_info["mint"])
    found = service.lookups.peek(mint)
    if found is None:
        if (reason := service.engine.cache.unpriced_reason(mint)) is None:
            raise NotPricedError("it is not in memory")
        token = {"mint": mint, "market_cap_usd": None, "reason": reason}
        return json_value({**token, **unpriced_explanation(service, mint)})
    return json_value({**msgspec.to_builtins(found.cap), **explanation(service, found)})


def _not_kept(handler: Handler) -> Handler:
    """Have a handler's answers say that nothing on the way may keep them."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = await handler(request)
        response.headers["Cache-Control"] = "no-store"
        return response

    return handle


def _probe(good: bool, conditions: dict[str, Any]) -> web.Response:  # noqa: FBT001 - a probe is one bit
    return json_value({"ok": good, **conditions}, status=200 if good else 503)

"""What surrounds every handler: requests are checked and measured, errors become problems in one place."""

import logging
import time
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from sidecar.errors import McSidecarError
from sidecar.metrics.hot import UNMATCHED, HotCounters
from sidecar.web.limits import LARGEST_HEADERS_BYTES, LONGEST_TARGET_BYTES
from sidecar.web.problems import problem, problem_of, problem_of_http

_METHOD_NOT_ALLOWED = 405

Check = Callable[[web.Request], None]

log = logging.getLogger(__name__)


def error_middleware(hot: HotCounters, check: Check) -> Middleware:
    """Build the middleware of a listener. `check` raises for requests that must not reach a handler."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        started, route = time.perf_counter(), template(request)
        try:
            check(request)
            response = await handler(request)
        except McSidecarError as error:
            response = problem_of(error, request.match_info.get("mint"))
        except web.HTTPException as error:
            route = await _template_of_path(request) if error.status == _METHOD_NOT_ALLOWED else route
            response = problem_of_http(error)
        except (web.RequestPayloadError, ConnectionResetError):  # no bug of ours: the client's, or it went away
            response = problem(400, "invalid_request", "Invalid request", "the body is not whole")
        except Exception:
            log.exception("a request failed", extra={"route": route})
            response = problem(500, "internal", "Internal error", "a bug; the log says more")
        hot.route(route).record(response.status, time.perf_counter() - started)
        return response

    return middleware


def declare_routes(app: web.Application, hot: HotCounters) -> None:
    """Let the metrics show every route from the start, with nothing answered yet."""
    for resource in app.router.resources():
        hot.route(resource.canonical).statuses.setdefault(200, 0)
    hot.route(UNMATCHED).statuses.setdefault(404, 0)


def template(request: web.Request) -> str:
    """Return the route's template: a label that requests cannot make up."""
    resource = request.match_info.route.resource
    return UNMATCHED if resource is None else resource.canonical


async def _template_of_path(request: web.Request) -> str:
    """Return the template of a path that is a route's, whatever the method."""
    for resource in request.app.router.resources():
        _, methods = await resource.resolve(request)
        if methods:
            return resource.canonical
    return UNMATCHED


def check_size(request: web.Request) -> None:
    """Raise HTTPRequestURITooLong or HTTPRequestHeaderFieldsTooLarge for what is over the limits."""
    if len(request.raw_path) > LONGEST_TARGET_BYTES:
        raise web.HTTPRequestURITooLong
    if sum(len(name) + len(value) for name, value in request.raw_headers) > LARGEST_HEADERS_BYTES:
        raise web.HTTPRequestHeaderFieldsTooLarge

"""What surrounds every handler: errors become problem+json in one place, requests are checked and measured."""

import logging
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import HttpVersion11, hdrs, web
from aiohttp.typedefs import Handler, Middleware

from sidecar.errors import McSidecarError
from sidecar.metrics.hot import HotCounters

LONGEST_TARGET_BYTES: Final = 8 * 1024
LARGEST_HEADERS_BYTES: Final = 16 * 1024
LARGEST_BODY_BYTES: Final = 128 * 1024
"""A thousand mints take about 50 KB."""
PARSER_LIMIT_BYTES: Final = 64 * 1024
"""What the HTTP parser takes of one line or field; above it aiohttp answers with a plain 400."""
UNMATCHED: Final = "unmatched"

_METHOD_NOT_ALLOWED: Final = 405

_HTTP_PROBLEMS: Final = {
    404: ("not_found", "No such route"),
    405: ("method_not_allowed", "Method not allowed"),
    413: ("payload_too_large", "Request body too large"),
    414: ("uri_too_long", "Request target too long"),
    415: ("unsupported_media_type", "Unsupported media type"),
    431: ("headers_too_large", "Request headers too large"),
}

Check = Callable[[web.Request], None]

log = logging.getLogger(__name__)


def error_middleware(hot: HotCounters, check: Check) -> Middleware:
    """Build the middleware of a listener. `check` raises for requests that must not reach a handler."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        started, route, status = time.perf_counter(), template(request), 500
        try:
            check(request)
            response = await handler(request)
            status = response.status
        except McSidecarError as error:
            status = error.status
            return problem_of(error, request.match_info.get("mint"))
        except web.HTTPException as error:
            status = error.status
            route = await _template_of_path(request) if status == _METHOD_NOT_ALLOWED else route
            return problem_of_http(error)
        except (web.RequestPayloadError, ConnectionResetError):  # no bug of ours: the client's, or it went away
            status = 400
            return problem(400, "invalid_request", "Invalid request", "the body is not whole")
        except Exception:
            log.exception("a request failed", extra={"route": route})
            return problem(500, "internal", "Internal error", "a bug; the log says more")
        else:
            return response
        finally:
            hot.route(route).record(status, time.perf_counter() - started)

    return middleware


def declare_routes(app: web.Application, hot: HotCounters) -> None:
    """Let the metrics show every route from the start, with nothing answered yet."""
    for resource in app.router.resources():
        hot.route(resource.canonical).statuses.setdefault(200, 0)
    hot.route(UNMATCHED).statuses.setdefault(404, 0)


async def expect(request: web.Request) -> None:
    """Tell a client that waits for it to send its body; other expectations are ignored (RFC 9110, 10.1.1).

    aiohttp's own handler answers them with a plain 417, past the boundary.
    """
    if request.version == HttpVersion11 and request.headers[hdrs.EXPECT].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # what counts as sent is the answer itself


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


def problem_of(
    error: McSidecarError, mint: str | None, members: Mapping[str, object] | None = None
) -> web.Response:
    """Write one of our own errors out, with more members where there are any."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    more = {**({} if mint is None else {"mint": mint}), **(members or {})}
    return problem(error.status, error.code, error.title, error.detail, headers=headers, members=more)


def problem_of_http(error: web.HTTPException) -> web.Response:
    """Write an error of the framework out."""
    code, title = _HTTP_PROBLEMS.get(error.status, ("invalid_request", "Invalid request"))
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return problem(error.status, code, title, _detail(error), headers=headers)


def problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    members: Mapping[str, object] | None = None,
) -> web.Response:
    """Build a problem (RFC 9457), extended by `members`."""
    body: dict[str, Any] = {
        "type": f"urn:mc-sidecar:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        **(members or {}),
    }
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        headers={
            "Content-Type": "application/problem+json",
            "Cache-Control": "no-store",
            **(headers or {}),
        },
    )


def _detail(error: web.HTTPException) -> str:
    texts = {
        404: "there is no such route here",
        405: f"this route takes {error.headers.get('Allow')}",
        413: f"at most {LARGEST_BODY_BYTES} bytes",
        414: f"at most {LONGEST_TARGET_BYTES} bytes",
        431: f"at most {LARGEST_HEADERS_BYTES} bytes",
    }
    return texts.get(error.status) or error.text or HTTPStatus(error.status).phrase

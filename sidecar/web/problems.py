"""Errors as RFC 9457 problems: our own, the framework's, and those that are written without a request."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, cast

import msgspec
from aiohttp import web

from sidecar.errors import McSidecarError
from sidecar.web.limits import LARGEST_BODY_BYTES, LARGEST_HEADERS_BYTES, LONGEST_TARGET_BYTES

HTTP_PROBLEMS: Final = {
    404: ("not_found", "No such route"),
    405: ("method_not_allowed", "Method not allowed"),
    413: ("payload_too_large", "Request body too large"),
    414: ("uri_too_long", "Request target too long"),
    415: ("unsupported_media_type", "Unsupported media type"),
    431: ("headers_too_large", "Request headers too large"),
}
"""Code and title of what the framework refuses, by status."""


def problem_of(
    error: McSidecarError, mint: str | None, members: Mapping[str, object] | None = None
) -> web.Response:
    """Write one of our own errors out, with more members where there are any."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    more = {**({} if mint is None else {"mint": mint}), **(members or {})}
    return problem(error.status, error.code, error.title, error.detail, headers=headers, members=more)


def problem_of_http(error: web.HTTPException) -> web.Response:
    """Write an error of the framework out."""
    code, title = HTTP_PROBLEMS.get(error.status, ("invalid_request", "Invalid request"))
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
    """Build a problem, extended by `members`."""
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


def raw_response(response: web.Response) -> bytes:
    """Return the bytes of an answer that is written without a request; it ends its connection."""
    body = cast("bytes", response.body)
    headers = {**response.headers, "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{name}: {headers[name]}" for name in headers)]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _detail(error: web.HTTPException) -> str:
    texts = {
        404: "there is no such route here",
        405: f"this route takes {error.headers.get('Allow')}",
        413: f"at most {LARGEST_BODY_BYTES} bytes",
        414: f"at most {LONGEST_TARGET_BYTES} bytes",
        431: f"at most {LARGEST_HEADERS_BYTES} bytes",
    }
    return texts.get(error.status) or error.text or HTTPStatus(error.status).phrase

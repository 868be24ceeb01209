"""The OpenAPI 3.1 description of the application's routes, as `/openapi.json` serves it."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from sidecar.runtime.version import __version__
from sidecar.web.openapi_schemas import Schema, reference, schemas

_WAITING: Final = (404, 429, 503, 504)
"""What waiting for an upstream may come to."""
_ANY: Final = (400, 403, 414, 431, 500)
"""What any request may come to."""

_PROBLEMS: Final = {
    400: ("Not a mint, or not what the route takes.", ("invalid_mint", "too_many_mints", "invalid_request")),
    403: ("A header says that the request does not come from the application.", ("forbidden",)),
    404: ("No such route, or nobody has a trustworthy price.", ("not_priced", "not_found")),
    405: ("The route does not take this method.", ("method_not_allowed",)),
    413: ("The body is too large.", ("payload_too_large",)),
    414: ("The request target is too long.", ("uri_too_long",)),
    415: ("The body is not application/json.", ("unsupported_media_type",)),
    429: ("The upstreams' call budgets cannot serve it in time.", ("overloaded",)),
    431: ("The headers are too large.", ("headers_too_large",)),
    500: ("A bug.", ("internal",)),
    503: ("A needed source could not be asked, and nothing usable is in memory.", ("upstream_unavailable",)),
    504: ("Not done within api.deadline_seconds; the fetch goes on.", ("deadline_exceeded",)),
}

_NO_STORE: Final = {
    "Cache-Control": {"required": True, "schema": {"type": "string", "const": "no-store"}},
}
_FRESHNESS: Final = {
    "Age": {
        "required": True,
        "description": "Whole seconds since the answer behind the price.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "Cache-Control": {
        "required": True,
        "description": "The whole lifetime, from which Age is subtracted; max-age=0 when stale.",
        "schema": {"type": "string", "pattern": "^max-age=[0-9]+$"},
    },
    "Cache-Status": {
        "required": True,
        "description": "RFC 9211.",
        "schema": {
            "type": "string",
            "enum": ["mc-sidecar; hit", "mc-sidecar; hit; detail=stale", "mc-sidecar; fwd=miss"],
        },
    },
}
_RETRY_AFTER: Final = {
    "Retry-After": {
        "required": True,
        "description": "Whole seconds after which asking again makes sense.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
_MORE_HEADERS: Final = {
    405: {"Allow": {"required": True, "schema": {"type": "string", "pattern": "^[A-Z]+(,[A-Z]+)*$"}}},
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
    504: _RETRY_AFTER,
}


def document() -> dict[str, Any]:
    """Build the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mc-sidecar",
            "version": __version__,
            "summary": "Solana token market caps out of memory.",
            "description": "Changes only by addition: ignore members that you do not know.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": _paths(),
        "components": {
            "schemas": schemas(),
            "responses": {
                **{f"Problem{status}": _problem(status) for status in _PROBLEMS},
                **{f"Head{status}": _without_body(_problem(status)) for status in _PROBLEMS},
            },
        },
    }


def _paths() -> Schema:
    token = _answer("The token.", reference("ExplainedToken"), _FRESHNESS)
    either = {"anyOf": [reference("List"), reference("Batch")]}
    tokens = _answer("A list; with `mints` a batch.", either, _NO_STORE)
    statistics = _answer("The statistics.", reference("Statistics"), _NO_STORE)
    itself = _answer("OpenAPI 3.1.", {"type": "object"}, _NO_STORE)
    return {
        "/mc/{mint}": _reading("Token", "One token.", token, more=_WAITING, parameters=(_MINT, _EXPLAIN)),
        "/mc": {
            **_reading(
                "Tokens", "A set of tokens, or up to 100 by name.", tokens, parameters=(_SET, _LIMIT, _MINTS)
            ),
            "post": _posting(),
        },
        "/stats": _reading("Statistics", "Statistics and the most requested tokens.", statistics),
        "/openapi.json": _reading("Description", "This document.", itself),
    }


def _reading(
    name: str, summary: str, answer: Schema, *, more: Sequence[int] = (), parameters: Sequence[Schema] = ()
) -> Schema:
    """Describe GET, and HEAD, which answers the same without the body."""
    shared = {"summary": summary, "parameters": list(parameters)}
    statuses = (*_ANY, *more)
    head = {"200": _without_body(answer), **_responses("Head", statuses)}
    return {
        "get": {
            "operationId": f"get{name}",
            **shared,
            "responses": {"200": answer, **_responses("Problem", statuses)},
        },
        "head": {"operationId": f"head{name}", **shared, "responses": head},
    }


def _posting() -> Schema:
    answer = _answer("Each mint with its token or its error.", reference("Batch"), _NO_STORE)
    return {
        "operationId": "postTokens",
        "summary": "Up to 1,000 tokens by name.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": reference("BatchRequest")}}},
        "responses": {"200": answer, **_responses("Problem", (*_ANY, 413, 415))},
    }


def _responses(kind: str, statuses: Sequence[int]) -> Schema:
    return {str(status): {"$ref": f"#/components/responses/{kind}{status}"} for status in sorted(statuses)}


def _answer(text: str, schema: Schema, headers: Schema) -> Schema:
    return {"description": text, "headers": headers, "content": {"application/json": {"schema": schema}}}


def _problem(status: int) -> Schema:
    text, codes = _PROBLEMS[status]
    narrowed = {"status": {"const": status}, "code": {"enum": list(codes)}}
    return {
        "description": text,
        "headers": {**_NO_STORE, **_MORE_HEADERS.get(status, {})},
        "content": {"application/problem+json": {"schema": {**reference("Problem"), "properties": narrowed}}},
    }


def _without_body(answer: Schema) -> Schema:
    return {name: value for name, value in answer.items() if name != "content"}


def _query(name: str, text: str, schema: Schema, **more: Any) -> Schema:
    return {"name": name, "in": "query", "description": text, "schema": schema, **more}


_MINT: Final = {"name": "mint", "in": "path", "required": True, "schema": reference("Mint")}
_EXPLAIN: Final = _query(
    "explain", "Add every quote seen, taken or why refused.", {"type": "boolean", "default": False}
)
_MINTS: Final = _query(
    "mints",
    "Up to 100 mints, separated by commas. Excludes `set`.",
    {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 100},
    style="form",
    explode=False,
)
_SET: Final = _query(
    "set",
    "Which tokens to list.",
    {"type": "string", "enum": ["popular", "tracked", "trending"], "default": "popular"},
)
_LIMIT: Final = _query(
    "limit",
    "How many to list at most.",
    {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1000},
)

DOCUMENT: Final = msgspec.json.encode(document())
"""What `/openapi.json` answers."""

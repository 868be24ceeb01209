"""The schemas of the OpenAPI document: what the bodies of the application's listener hold."""

from typing import Any, Final, get_args

from sidecar.errors import (
    DeadlineExceededError,
    InvalidMintError,
    McSidecarError,
    NotPricedError,
    OverloadedError,
    UpstreamUnavailableError,
)
from sidecar.models import Basis, Confidence

Schema = dict[str, Any]

MINT_PATTERN: Final = "^[1-9A-HJ-NP-Za-km-z]{32,44}$"
PRICE_SOURCES: Final = ("jupiter", "dexscreener", "geckoterminal")
SUPPLY_SOURCES: Final = ("solana_rpc", *PRICE_SOURCES)
PROBLEM_CODES: Final = (
    *("invalid_mint", "too_many_mints", "invalid_request", "forbidden", "not_priced", "not_found"),
    *("method_not_allowed", "payload_too_large", "uri_too_long", "unsupported_media_type", "headers_too_large"),
    *("overloaded", "upstream_unavailable", "deadline_exceeded", "internal"),
)

_PER_MINT: Final[tuple[type[McSidecarError], ...]] = (
    InvalidMintError,
    NotPricedError,
    UpstreamUnavailableError,
    OverloadedError,
    DeadlineExceededError,
)
"""What one mint of a batch can come to without failing the others."""


def reference(name: str) -> Schema:
    """Refer to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def closed_object(properties: Schema, *, optional: tuple[str, ...] = (), text: str = "") -> Schema:
    """Describe an object whose members are all there but for the optional ones; later versions may add some."""
    described = {"description": text} if text else {}
    required = [name for name in properties if name not in optional]
    return {"type": "object", **described, "properties": properties, "required": required}


def nullable(schema: Schema, text: str) -> Schema:
    """Allow null, which means unknown."""
    return {"anyOf": [schema, {"type": "null"}], "description": text}


def schemas() -> Schema:
    """Return all schemas by name."""
    return {
        "Mint": {
            "type": "string",
            "pattern": MINT_PATTERN,
            "description": "Base58 address of a mint account, 32 bytes. Case sensitive.",
            "examples": ["JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN"],
        },
        "Token": closed_object(
            _token(),
            optional=("volatility", "uncertainty"),
            text="One token's market cap. Unknown is null, never 0.",
        ),
        "ExplainedToken": {
            "allOf": [reference("Token")],
            **closed_object(
                {"quotes": {"type": "array", "items": reference("Quote")}},
                optional=("quotes",),
                text="A token; with explain=true also every quote seen.",
            ),
        },
        "Quote": closed_object(_quote(), text="What one source said, and what was made of it."),
        "List": _list(),
        "Batch": _batch(),
        "BatchRequest": closed_object({"mints": {"type": "array", "items": {"type": "string"}, "maxItems": 1000}}),
        "Statistics": closed_object(_statistics(), text="The service's statistics since its start."),
        "Problem": closed_object(_problem(), optional=("mint",), text="A problem as in RFC 9457."),
    }


def _number(text: str, **limits: float) -> Schema:
    return {"type": "number", **limits, "description": text}


def _one_of(values: tuple[str, ...], text: str) -> Schema:
    return {"type": "string", "enum": list(values), "description": text}


def _flag(text: str) -> Schema:
    return {"type": "boolean", "description": text}


def _positive(text: str) -> Schema:
    return nullable({"type": "number", "exclusiveMinimum": 0}, text)


def _token() -> Schema:
    source = {"type": "string", "enum": list(SUPPLY_SOURCES)}
    return {
        "mint": reference("Mint"),
        "symbol": nullable({"type": "string"}, "As in the popular list, else as a source has it."),
        "price_usd": _number("USD for one whole token.", exclusiveMinimum=0),
        "market_cap_usd": _number("USD: the price times the supply that `basis` names.", exclusiveMinimum=0),
        "basis": _one_of(get_args(Basis), "Which supply the market cap counts."),
        "fdv_usd": _positive("USD: the price times the total supply."),
        "circulating_supply": _positive("Whole tokens."),
        "total_supply": _positive("Whole tokens."),
        "liquidity_usd": nullable({"type": "number", "minimum": 0}, "USD in the pool behind the price."),
        "confidence": _one_of(get_args(Confidence), "high: agreed, good quote, total supply read on chain."),
        "source": _one_of(PRICE_SOURCES, "Who gave the price."),
        "supply_source": nullable(source, "Who gave the total supply."),
        "circulating_source": nullable(source, "Who gave the circulating supply."),
        "timestamp": _number("Unix time of the answer behind the price.", exclusiveMinimum=0),
        "volatility": nullable(
            {"type": "number", "minimum": 0},
            "Standard deviation of the log price over an hour, as this sidecar has seen it.",
        ),
        "uncertainty": nullable(
            {"type": "number", "minimum": 0},
            "How far `market_cap_usd` may be off at this age: its standard error, as a ratio.",
        ),
        "age_seconds": _number("Age of that answer when served.", minimum=0),
        "stale": _flag("Older than cache.fresh_seconds."),
        "cached": _flag("False when this request had to wait for an upstream."),
    }


def _quote() -> Schema:
    return {
        "source": _one_of(PRICE_SOURCES, "Who said it."),
        "price_usd": nullable({"type": "number"}, "USD for one whole token, as the source has it."),
        "liquidity_usd": nullable({"type": "number"}, "USD, as the source has it."),
        "age_seconds": _number(
            "Since the source's answer; if it never gave a quote, since it was missed.", minimum=0
        ),
        "taken": _flag("The price that is served."),
        "reason": nullable({"type": "string"}, "Why it was not taken, or not heard again; null when taken."),
    }


def _list() -> Schema:
    tokens = {"type": "array", "items": reference("Token"), "maxItems": 1000}
    return closed_object(
        {"tokens": tokens, "count": {"type": "integer", "minimum": 0, "maximum": 1000}},
        text="The priced tokens of a set, highest market cap first.",
    )


def _batch() -> Schema:
    failure = closed_object(
        {
            "code": _one_of(tuple(error.code for error in _PER_MINT), "As in a problem."),
            "detail": {"type": "string"},
        }
    )
    tokens = {
        "type": "object",
        "propertyNames": {"pattern": MINT_PATTERN},
        "additionalProperties": reference("Token"),
    }
    return closed_object(
        {"tokens": tokens, "errors": {"type": "object", "additionalProperties": failure}},
        text="Each mint asked for, once, in one of the two.",
    )


def _statistics() -> Schema:
    count: Schema = {"type": "integer", "minimum": 0}
    requested = closed_object(
        {
            "mint": reference("Mint"),
            "symbol": nullable({"type": "string"}, "As in the popular list."),
            "requests": {"type": "integer", "minimum": 1},
        }
    )
    return {
        **dict.fromkeys(("tracked_tokens", "popular_tokens", "total_requests", "total_cache_hits"), count),
        "hit_rate": _number("Percent, over the life of the service.", minimum=0, maximum=100),
        "running": _flag("The loops run."),
        "served_uncertainty": closed_object(
            dict.fromkeys(("median", "p95"), nullable({"type": "number", "minimum": 0}, "Null when none was.")),
            text="The uncertainty of what was served in the last five minutes.",
        ),
        "most_requested": {"type": "array", "items": requested, "maxItems": 10},
    }


def _problem() -> Schema:
    return {
        "type": {"type": "string", "pattern": "^urn:mc-sidecar:problem:[a-z_]+$"},
        "title": {"type": "string", "minLength": 1},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "code": _one_of(PROBLEM_CODES, "What the type ends in."),
        "mint": {"type": "string", "description": "What was asked for, where it was one mint."},
    }

"""The error family. `code`, `status` and `title` are the HTTP contract; the web middleware writes them out."""

import math
from typing import ClassVar, Literal, Self

Outcome = Literal["rate_limited", "http_4xx", "http_5xx", "timeout", "connect", "schema", "too_large"]
"""How an upstream request can fail: the values of the `outcome` label besides `ok`."""

_SHOWN_CHARS = 64


class McSidecarError(Exception):
    """Anything mc-sidecar raises on purpose. The text is fit for a user: it never holds a secret."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = None if retry_after is None else max(1, math.ceil(retry_after))
        """Whole seconds after which asking again makes sense."""


class InvalidMintError(McSidecarError):
    """The text is no mint address."""

    code, status, title = "invalid_mint", 400, "Not a mint address"

    def __init__(self, text: str) -> None:
        shown = text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"
        super().__init__(f"{shown!r} is not a mint: base58 of 32 bytes is needed")


class InvalidRequestError(McSidecarError):
    """The request is malformed."""

    code, status, title = "invalid_request", 400, "Invalid request"


class TooManyMintsError(McSidecarError):
    """The request names more mints than one request may."""

    code, status, title = "too_many_mints", 400, "Too many mints"


class ForbiddenError(McSidecarError):
    """A header says that the request does not come from the application in the pod."""

    code, status, title = "forbidden", 403, "Forbidden"


class NotPricedError(McSidecarError):
    """Every source that should know answered, and there is no trustworthy price or no supply."""

    code, status, title = "not_priced", 404, "No trustworthy price"


class OverloadedError(McSidecarError):
    """The upstream budget, or the listener, cannot serve the request in time."""

    code, status, title = "overloaded", 429, "Overloaded"


class UpstreamUnavailableError(McSidecarError):
    """A needed source could not be asked or failed, and nothing usable is in memory."""

    code, status, title = "upstream_unavailable", 503, "Upstream unavailable"


class DeadlineExceededError(McSidecarError):
    """The answer did not come within the request's deadline; the fetch goes on."""

    code, status, title = "deadline_exceeded", 504, "Deadline exceeded"


class NotRunningError(McSidecarError):
    """The service was asked for something it only does between start and stop."""


class UpstreamError(Exception):
    """One upstream request failed. The text names the source and the cause, never the URL's path or query."""

    def __init__(
        self,
        source: str,
        outcome: Outcome,
        detail: str,
        *,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(f"{source}: {detail}")
        self.source = source
        self.status = status
        """The HTTP status, where one was received that says no."""
        self.outcome = outcome
        self.detail = detail
        self.retry_after = retry_after
        """Seconds the upstream asked us to wait, already bounded; None when it said nothing."""

    def detached(self) -> Self:
        """Return the error without the frames and errors that led to it, which would keep an answer in memory."""
        self.__traceback__ = self.__cause__ = self.__context__ = None
        return self


class NotAskedError(UpstreamError):
    """The upstream was not asked at all: its budget is used up, or its circuit is open."""

    def __init__(self, source: str, reason: Literal["budget", "circuit"], retry_after: float) -> None:
        detail = "over its call budget" if reason == "budget" else "not asked: its circuit is open"
        super().__init__(
            source, "rate_limited" if reason == "budget" else "connect", detail, retry_after=retry_after
        )
        self.reason = reason


class SchemaError(ValueError):
    """An answer does not have the shape the source documents."""


class SettingsError(McSidecarError):
    """The settings cannot be used. `mistakes` has one line for each: the key, what is allowed, the value."""

    code, title = "invalid_settings", "Invalid settings"

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes

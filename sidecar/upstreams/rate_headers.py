"""What upstreams say about their own limits in response headers. Headers only ever tighten the budget."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_RETRY_AFTER_SECONDS: Final = 300.0
"""However long it asks for, an upstream is tried again after this."""
LONGEST_RESET_SECONDS: Final = 60.0
"""Jupiter's window is a minute: a reset further away than that is no reset."""


def retry_after_seconds(value: str | None, unix: float) -> float | None:
    """Read a Retry-After header: seconds or an HTTP date (RFC 9110, 10.2.3). None when absent or nonsense.

    It is never below 0, nor above `LONGEST_RETRY_AFTER_SECONDS`.
    """
    if value is None:
        return None
    try:
        seconds = int(value) if value.strip().isdecimal() else parsedate_to_datetime(value).timestamp() - unix
    except (ValueError, OverflowError):
        return None
    return float(max(0.0, min(seconds, LONGEST_RETRY_AFTER_SECONDS)))


def window_reset_seconds(headers: Mapping[str, str], unix: float) -> float | None:
    """Seconds until Jupiter frees a slot, where its headers say that none is left.

    `x-ratelimit-remaining` may be below 0; `x-ratelimit-reset` is absolute, in Unix seconds.
    """
    try:
        remaining = int(headers["x-ratelimit-remaining"])
        reset = float(headers["x-ratelimit-reset"]) - unix
    except (KeyError, ValueError):
        return None
    return reset if remaining <= 0 and 0 < reset <= LONGEST_RESET_SECONDS else None

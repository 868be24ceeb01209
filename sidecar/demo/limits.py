"""The upstreams' rate limits, off unless they are switched on."""

import collections
from collections.abc import Mapping
from typing import Final

import msgspec

from sidecar.demo.tokens import Source


class RateLimit(msgspec.Struct, frozen=True):
    """At most so many calls in any window; several windows hold together."""

    windows: tuple[tuple[int, float], ...]
    """Calls, at least one, and seconds."""


REAL_LIMITS: Final[Mapping[Source, RateLimit]] = {
    "jupiter": RateLimit(((5, 10.0), (30, 60.0))),
    "dexscreener": RateLimit(((300, 60.0),)),
    "geckoterminal": RateLimit(((30, 60.0),)),
    "solana_rpc": RateLimit(((40, 10.0),)),
}
"""What the keyless tiers were seen to allow in autumn 2026."""


class Verdict(msgspec.Struct, frozen=True):
    """Whether a call is allowed, and the figures for the headers, all for the tightest window."""

    allowed: bool
    used: int
    remaining: int
    reset_seconds: float
    """Until one more call is allowed."""


class SlidingWindow:
    """Counts the calls let through; a refused call does not count, as at Jupiter."""

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit
        self._calls: collections.deque[float] = collections.deque(maxlen=max(calls for calls, _ in limit.windows))

    def admit(self, now: float) -> Verdict:
        """Decide about a call at a monotonic time, in seconds."""
        allowed = all(len(self._recent(now, seconds)) < calls for calls, seconds in self.limit.windows)
        if allowed:
            self._calls.append(now)
        verdicts = [self._verdict(now, calls, seconds, allowed=allowed) for calls, seconds in self.limit.windows]
        return min(verdicts, key=lambda verdict: verdict.remaining)

    def _verdict(self, now: float, calls: int, seconds: float, *, allowed: bool) -> Verdict:
        recent = self._recent(now, seconds)
        reset = recent[-calls] + seconds - now if len(recent) >= calls else 0.0
        return Verdict(allowed, len(recent), calls - len(recent), reset)

    def _recent(self, now: float, seconds: float) -> list[float]:
        return [at for at in self._calls if at > now - seconds]

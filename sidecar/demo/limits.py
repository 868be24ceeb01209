"""The upstreams' rate limits, for those who switch them on."""

import collections
from collections.abc import Mapping
from typing import Final

import msgspec

from sidecar.demo.tokens import Source


class RateLimit(msgspec.Struct, frozen=True):
    """At most so many calls in any window; several windows hold together."""

    windows: tuple[tuple[int, float], ...]
    """Calls and seconds."""


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
        """Decide about a call at a monotonic time."""
        verdicts = [self._judge(now, calls, seconds) for calls, seconds in self.limit.windows]
        if all(verdict.allowed for verdict in verdicts):
            self._calls.append(now)
        return min(verdicts, key=lambda verdict: verdict.remaining)

    def _judge(self, now: float, calls: int, seconds: float) -> Verdict:
        recent = [at for at in self._calls if at > now - seconds]
        allowed = len(recent) < calls
        used = len(recent) + allowed
        reset = recent[-calls] + seconds - now if len(recent) >= calls else 0.0
        return Verdict(allowed, used, calls - used if allowed else 0, reset)

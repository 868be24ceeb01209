"""How much an upstream may be asked: calls per sliding window, and calls at once."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from sidecar.models import Priority
from sidecar.runtime.clock import Clock

BURST_SECONDS: Final = 10.1
MINUTE_SECONDS: Final = 60.1
"""A tenth of a second longer than the promise: what counts is when calls arrive, not when they leave."""
FIRST_BACKOFF_SECONDS: Final = 2.0
LONGEST_BACKOFF_SECONDS: Final = 60.0
NO_EARLY_SECONDS: Final = 600.0
"""How long an upstream that refused a call is not asked earlier than it must be."""

_KEPT_FOR_OTHERS = 5
_PRIORITY_STEP_SECONDS = 0.01


class Budget:
    """The sliding windows of one source: rpm calls in any 60 s, a sixth of it in any 10 s.

    One slot in five is kept for misses, and one for background work: a flood of misses does not keep the
    wanted tokens from being refreshed. Early refreshes get what other background work leaves, at most
    `early_share` of all in any minute and a sixth of that in any 10 s. What an upstream says of itself (429,
    rate-limit headers) only tightens this.
    """

    def __init__(self, requests_per_minute: int, clock: Clock, *, early_share: float = 0.0) -> None:
        self._clock = clock
        self._begun: deque[float] = deque(maxlen=requests_per_minute)
        self._misses: deque[float] = deque(maxlen=requests_per_minute)
        self._background: deque[float] = deque(maxlen=requests_per_minute)
        self._early: deque[float] = deque(maxlen=requests_per_minute)
        self._early_share = early_share
        self._no_early_until = 0.0
        self._share = 1.0
        self._shared_from = 0.0
        self._blocked_until = 0.0
        self._refusals = 0
        self._backing_off_until = 0.0

    @property
    def requests_per_minute(self) -> int:
        """The most calls in any minute."""
        return self._begun.maxlen or 1

    def used_ratio(self) -> float:
        """Return the share of the most calls in any minute that was begun in the last one."""
        since = self._clock.monotonic() - MINUTE_SECONDS
        return sum(at > since for at in self._begun) / self.requests_per_minute

    def set_requests_per_minute(self, requests_per_minute: int) -> None:
        """Change the limit, keeping what was begun."""
        if requests_per_minute != self.requests_per_minute:
            self._begun = deque(self._begun, maxlen=requests_per_minute)
            self._misses = deque(self._misses, maxlen=requests_per_minute)
            self._background = deque(self._background, maxlen=requests_per_minute)
            self._early = deque(self._early, maxlen=requests_per_minute)

    def share(self, members: int, place: int) -> None:
        """Keep to one part out of `members`, beginning in turn: `place` counts from 0. One member has it all.

        Where a part is less than one call in the window, the window is longer by so much.
        """
        self._share = 1 / members
        (_, burst), _ = self._windows()
        self._shared_from = self._clock.monotonic() + burst * place / members

    def _windows(self) -> Iterator[tuple[int, float]]:
        minute = self.requests_per_minute
        for limit, window in ((max(1, minute // 6), BURST_SECONDS), (minute, MINUTE_SECONDS)):
            calls = limit * self._share
            yield (int(calls), window) if calls >= 1 else (1, window / calls)

    def _limits(self, priority: Priority) -> Iterator[tuple[deque[float], int, float]]:
        """Yield what holds a priority back: calls begun, and how many of them there may be in how many seconds."""
        kept = 2 if priority is Priority.EARLY else 1  # slots in five
        for limit, window in self._windows():
            yield self._begun, limit, window
            yield self._own(priority), limit - kept * (limit // _KEPT_FOR_OTHERS), window
        if priority is Priority.EARLY:
            yield self._early, self._early_limit, MINUTE_SECONDS
            yield self._early, max(1, self._early_limit // 6), BURST_SECONDS

    @property
    def _early_limit(self) -> int:
        return int(self.requests_per_minute * self._share * self._early_share + 1e-9)  # 0.29 of 100 are 29

    def _own(self, priority: Priority) -> deque[float]:
        return self._misses if priority is Priority.MISS else self._background

    def delay(self, priority: Priority) -> float:
        """Seconds until a call of this priority may begin; 0 means now."""
        if priority is Priority.EARLY and not self._early_limit:
            return NO_EARLY_SECONDS
        now = self._clock.monotonic()
        free = max(_free_at(*limit) for limit in self._limits(priority))
        forbidden = self._no_early_until if priority is Priority.EARLY else 0.0
        turn = 0.0 if priority is Priority.MISS else self._until_turn(now)
        return max(0.0, free - now, self._blocked_until - now, self._shared_from - now, forbidden - now, turn)

    def _until_turn(self, now: float) -> float:
        """Return the seconds until this member's next turn, where a part is less than one call in the window.

        What is due everywhere at one moment is not asked for everywhere at that moment.
        """
        (_, window), _ = self._windows()
        since = now - self._shared_from
        if window <= BURST_SECONDS or since < 0:
            return 0.0
        into_turn = since % window
        return 0.0 if into_turn < window * self._share else window - into_turn

    def begin(self, priority: Priority) -> None:
        """Record a call that begins now."""
        early = [self._early] if priority is Priority.EARLY else []
        for begun in (self._begun, self._own(priority), *early):
            begun.append(self._clock.monotonic())

    def free_slots(self, priority: Priority, within_seconds: float) -> int:
        """How many calls of this priority could begin within so many seconds, at the most."""
        horizon = self._clock.monotonic() + within_seconds
        if max(self._blocked_until, self._shared_from) > horizon:
            return 0
        free = min(
            limit - sum(at + window > horizon for at in begun) for begun, limit, window in self._limits(priority)
        )
        return max(0, free)

    async def wait(self, priority: Priority, most_seconds: float) -> float:
        """Wait for a free slot without taking it; return 0.0, or the delay when it would take too long.

        Of the calls that wait for the same slot the one with the lower priority number wakes first.
        """
        started = self._clock.monotonic()
        while delay := self.delay(priority):
            if self._clock.monotonic() - started + delay > most_seconds:
                return delay
            await self._clock.sleep(delay + _PRIORITY_STEP_SECONDS * priority)
        return 0.0

    def refused(self, retry_after: float | None) -> None:
        """Back off after a 429: doubling, with jitter, at least as long as the upstream asked for.

        Calls that were under way together and are refused together double it once.
        """
        now = self._clock.monotonic()
        self._no_early_until = now + NO_EARLY_SECONDS
        if now >= self._backing_off_until:
            backoff = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**self._refusals)
            self._refusals = min(self._refusals + 1, 10)
            self._backing_off_until = now + backoff
            self.block(backoff * random.uniform(1.0, 1.25))
        self.block(retry_after or 0.0)

    def accepted(self) -> None:
        """Forget earlier refusals: the upstream answered."""
        self._refusals = 0

    def block(self, seconds: float) -> None:
        """Begin no call for so many seconds."""
        self._blocked_until = max(self._blocked_until, self._clock.monotonic() + seconds)


def _free_at(begun: deque[float], limit: int, window: float) -> float:
    return begun[-limit] + window if len(begun) >= limit else 0.0


class ConcurrencyLimit:
    """Upstream calls at once, over all sources.

    Background work may use all but one, and one source less than half: two that hang cannot starve the rest. Of a
    source's calls, too, background work leaves one to misses.
    """

    def __init__(self, max_concurrent: int) -> None:
        self._all = asyncio.Semaphore(max_concurrent)
        self._background = asyncio.Semaphore(max(1, max_concurrent - 1))
        self._per_source_limit = max(1, (max_concurrent - 1) // 2)
        self._per_source: dict[str, asyncio.Semaphore] = {}
        self._background_per_source: dict[str, asyncio.Semaphore] = {}

    @asynccontextmanager
    async def hold(self, source: str, priority: Priority) -> AsyncIterator[None]:
        """Hold a slot for one call to a source, one of the configured ones."""
        limit = self._per_source_limit
        needed = [self._per_source.setdefault(source, asyncio.Semaphore(limit)), self._all]
        if priority is not Priority.MISS:  # first, so that what waits for them holds nothing a miss needs
            share = asyncio.Semaphore(max(1, limit - 1))
            needed = [self._background_per_source.setdefault(source, share), self._background, *needed]
        async with AsyncExitStack() as stack:
            for semaphore in needed:
                await stack.enter_async_context(semaphore)
            yield

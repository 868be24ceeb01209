"""The leader's side of misses and demand: it asks the upstreams for all members, each within its share."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from sidecar.errors import McSidecarError, NotPricedError, OverloadedError
from sidecar.fleet.membership import Membership
from sidecar.fleet.publishing import Publishing
from sidecar.fleet.records import Failed, Missed, NonsenseError, Requested, UnderWay, decode_to_leader
from sidecar.fleet.shared_clock import SharedClock
from sidecar.metrics.fleet import FleetMetrics
from sidecar.models import Mint
from sidecar.refresh.batches import Future
from sidecar.service.wiring import Engine

SHARE_SECONDS: Final = 10.0
LEAST_SHARE: Final = 100
"""Misses that a member may have fetched within `SHARE_SECONDS`, however many members there are."""
MOST_ASKING: Final = 1_000
"""Members that are counted apart; more are nonsense in the stream."""


class Serving:
    """Answers what followers want. `tracked_changed` hears when demand made a mint join the tracked set."""

    def __init__(
        self,
        engine: Engine,
        publishing: Publishing,
        membership: Membership,
        *,
        shared_clock: SharedClock,
        metrics: FleetMetrics,
        tracked_changed: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._publishing = publishing
        self._membership = membership
        self._shared_clock = shared_clock
        self._metrics = metrics
        self._tracked_changed = tracked_changed
        self._asked: Counter[str] = Counter()
        self._share_until = 0.0

    def take(self, record: bytes) -> None:
        """Take what a follower says; nonsense is counted."""
        try:
            message = decode_to_leader(record, self._shared_clock.now())
        except NonsenseError:
            self._metrics.values_rejected.inc()
            return
        if isinstance(message, Requested):
            self._count(message)
        else:
            self._answer(message)

    def _count(self, requested: Requested) -> None:
        changed = [self._engine.tracker.request(mint, times) for mint, times in requested.counts.items()]
        if any(changed):
            self._tracked_changed()

    def _answer(self, missed: Missed) -> None:
        """Tell again what is known, ask for the rest, and say at once that it is under way."""
        unknown = [mint for mint in missed.mints if not self._is_known(mint)]
        for mint in set(missed.mints).difference(unknown):
            self._publishing.value(mint)
        allowed = self._allowed(missed.member)
        if refused := unknown[allowed:]:
            reason = "this sidecar's share of the fleet's misses is used up"
            self._fail(refused, OverloadedError(reason, retry_after=1))
        asked_at = self._engine.clock.monotonic()
        futures = self._engine.misses.ask(unknown[:allowed])
        self._asked[missed.member] += len(futures)
        if pending := tuple(mint for mint, future in futures.items() if not future.done()):
            self._publishing.note(UnderWay(pending))
        for mint, future in futures.items():
            future.add_done_callback(partial(self._fetched, mint, asked_at))

    def _is_known(self, mint: Mint) -> bool:
        cache = self._engine.cache
        entry = cache.get(mint)
        if entry is None:
            return cache.unpriced_reason(mint) is not None
        return self._engine.clock.monotonic() - entry.received <= self._engine.settings.cache.fresh_seconds

    def _allowed(self, member: str) -> int:
        """Return how many misses of a member may be fetched now: one that floods leaves the others their share."""
        now = self._engine.clock.monotonic()
        if now >= self._share_until or len(self._asked) > MOST_ASKING:
            self._share_until = now + SHARE_SECONDS
            self._asked.clear()
        share = max(LEAST_SHARE, self._mints_fetched() // self._membership.members)
        return max(0, share - self._asked[member])

    def _mints_fetched(self) -> int:
        """Return how many mints the first source can be asked for within `SHARE_SECONDS`."""
        source = self._engine.sources[0]
        return source.batch_size * max(1, self._engine.upstreams[source.name].budget.requests_per_minute // 6)

    def _fetched(self, mint: Mint, asked_at: float, future: Future) -> None:
        """Tell how it ended, where the publisher has not said so already."""
        error = future.result()
        if isinstance(error, McSidecarError) and not isinstance(error, NotPricedError):
            self._fail([mint], error)
            return
        entry = self._engine.cache.peek(mint)
        if entry is not None and entry.received < asked_at:
            self._publishing.value(mint)

    def _fail(self, mints: Sequence[Mint], error: McSidecarError) -> None:
        self._publishing.note(
            Failed(
                mints=tuple(mints),
                code="overloaded" if isinstance(error, OverloadedError) else "upstream_unavailable",
                detail=error.detail[:300],
                retry_after=min(3600, error.retry_after or 1),
            )
        )

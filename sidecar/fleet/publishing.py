"""The leader's side: what it publishes reaches Redis, in the order of need, each value in its newest state."""

import asyncio
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Final

from sidecar.fleet.answers import StoreError
from sidecar.fleet.membership import Membership
from sidecar.fleet.records import (
    LONGEST_REASON,
    MOST_QUOTES,
    Message,
    ToMembers,
    Trending,
    Unpriced,
    Value,
    encode,
)
from sidecar.fleet.shared_clock import SharedClock
from sidecar.fleet.store import LONGEST_RECORD_BYTES, Store
from sidecar.models import Mint
from sidecar.service.wiring import Engine

RECORDS_AT_ONCE: Final = 50
MOST_NOTES: Final = 1_000
"""Messages waiting that are no values; the oldest give way, and a member that waits for one asks for itself."""
UNTRACKED: Final = 10_000
"""Values in Redis besides the tracked ones."""
RETRY_SECONDS: Final = 0.2
TRENDING: Final = "trending"
"""What stands for the mint where the trending list is kept among the values."""


class Publishing:
    """Writes while this sidecar leads; what is waiting when it does not is dropped."""

    def __init__(self, engine: Engine, store: Store, membership: Membership, shared_clock: SharedClock) -> None:
        self._engine = engine
        self._store = store
        self._membership = membership
        self._shared_clock = shared_clock
        self._values: dict[Mint, None] = {}
        self._notes: deque[tuple[str, ToMembers]] = deque(maxlen=MOST_NOTES)
        self._waiting = asyncio.Event()

    def value(self, mint: Mint) -> None:
        """Have what is in memory of a mint written: its value, or why it has none."""
        self._values[mint] = None
        self._waiting.set()

    def note(self, message: ToMembers) -> None:
        """Have the members told something; a trending list is kept for members that join later."""
        self._notes.append((TRENDING if isinstance(message, Trending) else "", message))
        self._waiting.set()

    async def run(self) -> None:
        """Write what is waiting until cancelled."""
        while True:
            await self._waiting.wait()
            if self._membership.role != "leader":
                self._values.clear()
                self._notes.clear()
            if not self._values and not self._notes:
                self._waiting.clear()
                continue
            await self._write_some()

    async def _write_some(self) -> None:
        notes = [self._notes.popleft() for _ in range(min(len(self._notes), RECORDS_AT_ONCE))]
        mints = list(islice(self._values, RECORDS_AT_ONCE))
        for mint in mints:
            del self._values[mint]
        try:
            messages = [(mint, message) for mint in mints if (message := self._message(mint)) is not None]
            await self._tell([*self._encoded(notes), *self._encoded(messages)])
        except StoreError:  # told by the membership, which notices too
            self._notes.extendleft(reversed(notes))
            self._values |= dict.fromkeys(mints)
            await self._engine.clock.sleep(RETRY_SECONDS)

    async def _tell(self, records: list[tuple[str, bytes]]) -> None:
        settings, membership = self._engine.settings, self._membership
        if not records:
            return
        still_leads = await self._store.tell(
            membership.lease,
            records,
            expiry_seconds=settings.cache.max_stale_seconds,
            most_values=settings.tracking.max_tokens + UNTRACKED,
        )
        if not still_leads:
            membership.lost()

    def _encoded(self, messages: Iterable[tuple[str, Message]]) -> Iterable[tuple[str, bytes]]:
        now = self._shared_clock.now()
        encoded = ((name, encode(message, now)) for name, message in messages)
        return ((name, record) for name, record in encoded if len(record) <= LONGEST_RECORD_BYTES or not name)

    def _message(self, mint: Mint) -> Value | Unpriced | None:
        """Return what there is to say of a mint, if anything."""
        cache, state = self._engine.cache, self._engine.token_states.get(mint)
        if (entry := cache.peek(mint)) is not None:
            quotes = entry.explanation[:MOST_QUOTES]
            return Value(mint=mint, received=entry.received, cap=entry.cap, state=state, explanation=quotes)
        if reason := cache.unpriced_reason(mint):
            since, quotes = cache.unpriced_since(mint), cache.unpriced_explanation(mint)[:MOST_QUOTES]
            reason = reason[:LONGEST_REASON]
            return Unpriced(mint=mint, reason=reason, received=since, state=state, explanation=quotes)
        return None

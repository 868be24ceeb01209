"""What the leader said, taken into memory: checked, in this process's times, never in place of what is newer."""

from typing import Final

import msgspec

from sidecar.cache.cache import Entry
from sidecar.fleet.publishing import UNTRACKED
from sidecar.fleet.records import NonsenseError, ToMembers, Trending, Unpriced, Value, decode_to_members
from sidecar.fleet.shared_clock import SharedClock
from sidecar.fleet.store import Store
from sidecar.metrics.fleet import FleetMetrics
from sidecar.models import Mint
from sidecar.pricing.token_state import TokenState
from sidecar.runtime.aio import yielding
from sidecar.service.wiring import Engine

SAME_SECONDS: Final = 1.0
"""How far apart two reckonings of one moment may be."""
RECORDS_A_TURN: Final = 5
"""They take two milliseconds, most of it for the check of each figure."""


class Receiving:
    """Takes records over. `is_applying` while it does: what is published then came from the store."""

    def __init__(self, engine: Engine, store: Store, shared_clock: SharedClock, metrics: FleetMetrics) -> None:
        self._engine = engine
        self._store = store
        self._shared_clock = shared_clock
        self._metrics = metrics
        self.is_applying = False

    async def take_all(self) -> dict[Mint, float]:
        """Take every value that the store holds. Returns when its answers arrived, by mint. Raises StoreError."""
        received: dict[Mint, float] = {}
        cursor, read = "", 0
        most = 2 * (self._engine.settings.tracking.max_tokens + UNTRACKED)
        while cursor != "0" and read < most:
            cursor, left_out, fields = await self._store.page(self._store.keys.values, cursor or "0")
            self._metrics.values_rejected.inc(left_out)
            read += left_out + len(fields) // 2
            async for record in yielding(fields[1::2], RECORDS_A_TURN):
                if isinstance(message := self.take(record), Value):
                    received[message.mint] = message.received
        return received

    def take(self, record: bytes) -> ToMembers | None:
        """Take one record into memory and return what it says; None for nonsense, which is counted."""
        try:
            message = decode_to_members(record, self._shared_clock.now())
        except NonsenseError:
            self._metrics.values_rejected.inc()
            return None
        self.is_applying = True
        try:
            match message:
                case Value():
                    self._take_value(message)
                case Unpriced():
                    self._take_unpriced(message)
                case Trending():
                    self._engine.tracker.set_trending(message.mints)
                    self._engine.tracked_changed()
        finally:
            self.is_applying = False
        return message

    def _take_value(self, token: Value) -> None:
        engine, mint, cap = self._engine, token.mint, token.cap
        age = engine.clock.monotonic() - token.received
        if cap is None or age > engine.cache.max_stale_seconds or self._has_newer(mint, token.received):
            return
        self._remember(mint, token.state)
        symbol = engine.symbols.get(mint, cap.symbol)
        cap = msgspec.structs.replace(cap, symbol=symbol, timestamp=engine.clock.time() - age)
        engine.publisher.publish(Entry(cap, token.received, token.explanation))
        engine.schedule.refreshed(mint)
        self._metrics.values_received.inc()

    def _take_unpriced(self, message: Unpriced) -> None:
        if self._has_newer(message.mint, message.received):
            return
        self._remember(message.mint, message.state)
        self._engine.publisher.publish_unpriced(
            message.mint, message.reason, message.explanation, since=message.received
        )
        self._engine.schedule.refreshed(message.mint)
        self._metrics.values_received.inc()

    def _remember(self, mint: Mint, state: TokenState | None) -> None:
        if state is not None:
            self._engine.token_states.put(mint, state)

    def _has_newer(self, mint: Mint, received: float) -> bool:
        known = self._engine.cache.peek(mint)
        return known is not None and known.received > received + SAME_SECONDS

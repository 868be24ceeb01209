"""Hears what the fleet says: takes everything over at first, then each change; anew when something was missed."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from sidecar.fleet.answers import Entry, StoreError
from sidecar.fleet.demand import Demand
from sidecar.fleet.membership import Membership, Role
from sidecar.fleet.misses import ANSWER_SECONDS, MissRoad
from sidecar.fleet.publishing import Publishing
from sidecar.fleet.receiving import RECORDS_A_TURN, SAME_SECONDS, Receiving
from sidecar.fleet.serving import Serving
from sidecar.fleet.shared_clock import SharedClock
from sidecar.fleet.store import Store
from sidecar.metrics.fleet import FleetMetrics
from sidecar.models import Mint
from sidecar.runtime.aio import yielding
from sidecar.service.wiring import Engine

RETRY_SECONDS: Final = 0.2
DEAF_SECONDS: Final = 2.0
"""How long a member may fail to hear while Redis takes its signs of life, for lack of a right, say."""

log = logging.getLogger(__name__)


class Listening:
    """`has_joined` once everything was taken over; `join_ended` is set then, or when nothing can be."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        membership: Membership,
        *,
        shared_clock: SharedClock,
        metrics: FleetMetrics,
        demand: Demand,
        publishing: Publishing,
        receiving: Receiving,
        serving: Serving,
        misses: MissRoad,
        tracked_changed: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._store = store
        self._membership = membership
        self._shared_clock = shared_clock
        self._metrics = metrics
        self._demand = demand
        self._publishing = publishing
        self._receiving = receiving
        self._serving = serving
        self._misses = misses
        self._tracked_changed = tracked_changed
        self._position_of: tuple[Role, int] | None = None
        """The role and the term that the position is for."""
        self._connection = 0
        """Which connection the position was read on."""
        self._after = ""
        self._sequence = 0
        self._role_changed = asyncio.Event()
        self._heard_at = 0.0
        self.has_joined = False
        self.join_ended = asyncio.Event()
        self.last_error: str | None = None
        """Why the fleet is not heard although Redis serves, None while it is."""

    def role_changed(self, role: Role) -> None:
        """Follow another role."""
        if role == "alone":
            self.has_joined, self._position_of = False, None
        self._role_changed.set()

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            role = self._membership.role
            if role == "alone":
                self._role_changed.clear()
                await self._role_changed.wait()
                self._heard_at, self.last_error = self._engine.clock.monotonic(), None
                continue
            try:
                if (role, self._membership.term) != self._position_of:
                    await self._take_over(role)
                else:
                    await self._hear(role)
            except StoreError as error:  # told by the membership too, where Redis does not serve at all
                self._failed(error)
                await self._engine.clock.sleep(RETRY_SECONDS)
            except Exception:
                log.exception("what the fleet says could not be taken")
                self._position_of = None
                await self._engine.clock.sleep(RETRY_SECONDS)

    def _failed(self, error: StoreError) -> None:
        """Be no follower where it goes on: what the leader refreshes does not come here."""
        self._check_connection()
        if self._engine.clock.monotonic() - self._heard_at < DEAF_SECONDS:
            return
        if self.last_error is None:
            log.warning("the fleet is not heard", extra={"reason": str(error)})
        self.last_error, self.has_joined = str(error), False
        self.join_ended.set()

    # Once

    async def _take_over(self, role: Role) -> None:
        """Take what the fleet holds; a leader also writes what Redis lacks, and takes over what is wanted."""
        term = self._membership.term
        await self._demand.register(self._engine.tracker.popular)
        head = await self._store.head()
        self._connection = self._store.waiting_connections
        received = await self._receiving.take_all()
        if role == "leader":
            await self._demand.take_sums()
            await self._demand.take_popular()
            for mint in _newer_here(self._engine, received):
                self._publishing.value(mint)
        else:
            self._engine.tracker.keep(())
        self._tracked_changed()
        if self._membership.role != role:
            return
        self._position_of = (role, term)
        self._sequence = head.sequence
        self._after = head.changes if role == "follower" else self._recently()
        self.has_joined = self.last_error is None
        self.join_ended.set()

    def _recently(self) -> str:
        """Return where in the stream the misses begin that look-ups may still wait for."""
        return f"{int((self._shared_clock.now().unix - ANSWER_SECONDS) * 1000)}-0"

    # Again and again

    async def _hear(self, role: Role) -> None:
        key = self._store.keys.changes if role == "follower" else self._store.keys.wanted
        entries = await self._store.news(key, self._after)
        if not self._check_connection():
            return
        self._heard_at, self.last_error = self._engine.clock.monotonic(), None
        self.has_joined = True
        async for entry in yielding(entries, RECORDS_A_TURN):
            if self._membership.role != role:
                return
            self._after = entry.id
            if role == "leader":
                self._serving.take(entry.record)
            elif not self._follows(entry):
                self._position_of = None
                return

    def _check_connection(self) -> bool:
        """Return whether the position still means something; another connection may lead to another Redis."""
        if self._store.waiting_connections != self._connection:
            self._position_of = None
        return self._position_of is not None

    def _follows(self, entry: Entry) -> bool:
        """Take a change. Returns False when some before it are missing: the stream was cut, or is another one."""
        if entry.number != self._sequence + 1:
            return False
        self._sequence = entry.number
        message = self._receiving.take(entry.record)
        if message is not None:
            self._misses.hear(message)
            self._metrics.propagation.observe(self._seconds_since(entry))
        return True

    def _seconds_since(self, entry: Entry) -> float:
        return max(0.0, self._shared_clock.now().unix - int(entry.id.partition("-")[0]) / 1000)


def _newer_here(engine: Engine, received: Mapping[Mint, float]) -> Iterator[Mint]:
    """Yield the mints of which this memory holds something newer than was received, monotonic, or no price."""
    for entry in engine.cache.entries():
        if entry.received > received.get(entry.cap.mint, float("-inf")) + SAME_SECONDS:
            yield entry.cap.mint
    for mint in engine.tracker.always:
        if engine.cache.unpriced_reason(mint) is not None:
            yield mint

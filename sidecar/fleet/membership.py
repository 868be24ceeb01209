"""Whether this sidecar leads the fleet, follows, or is alone: one sign of life after the other decides."""

import logging
import os
import socket
from collections.abc import Callable
from typing import Final, Literal

from sidecar.fleet.answers import Beat, StoreError
from sidecar.fleet.shared_clock import SharedClock
from sidecar.fleet.store import Store
from sidecar.runtime.clock import Clock

BEAT_SECONDS: Final = 0.5
"""Between two signs of life, or a third of a lease where that is less."""
RETRY_SECONDS: Final = 0.2
"""After one that failed, as long as it may have been a hiccup."""
REOPEN_SECONDS: Final = 1.0
"""Between attempts to reach Redis while alone."""
ALONE_AFTER_SECONDS: Final = 1.0
"""How long Redis may fail before a sidecar is alone: with the pause before a sign of life, within 2 s."""
ABSENT_SECONDS: Final = 5.0
"""A member that was silent for longer has left."""
MOST_MEMBERS: Final = 10_000
RANK_EVERY: Final = 8
"""Beats from one look at the place among the members to the next, unless their number changes."""

Role = Literal["leader", "follower", "alone"]

log = logging.getLogger(__name__)


class Membership:
    """One member's standing. `changed` hears of every other role; it must not block."""

    def __init__(
        self,
        store: Store,
        shared_clock: SharedClock,
        *,
        lease_seconds: float,
        clock: Clock,
        changed: Callable[[Role, Role], None],
    ) -> None:
        self._store = store
        self._shared_clock = shared_clock
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._changed = changed
        self.member = f"{socket.gethostname()[:40]}-{os.urandom(6).hex()}"
        """The name in Redis: the pod's, and a part that no other process has."""
        self.role: Role = "alone"
        self.lease = ""
        """The lease in force as last read: fencing number and leader."""
        self.members = 1
        """How many there are, as last read; this one included."""
        self.rank = 0
        """How many of them come before this one."""
        self._ranked_among = 0
        """How many there were when that was read."""
        self.term = 0
        """Counts the leases taken: in a new one Redis may hold less than this member."""
        self.last_error: str | None = None
        """Why Redis does not serve, None while it does."""
        self._open = False
        self._served_at = -float("inf")
        self._beats = 0

    @property
    def leader(self) -> str:
        """The name of the leader as last read."""
        return self.lease.partition(":")[2]

    async def beat(self) -> float:
        """Show a sign of life and take the role that follows from the answer. Returns the pause until the next."""
        if self._store.is_misused:
            await self._repair()
        try:
            beat = await self._beat()
        except StoreError as error:
            return self._failed(error)
        self._served(beat)
        return min(BEAT_SECONDS, self._lease_seconds / 3)

    async def leave(self) -> None:
        """Leave the fleet at once, so that another one can lead."""
        was, lease = self.role, self.lease
        self._take("alone")
        try:
            if self._open and was != "alone":
                await self._store.resign(self.member, lease)
        except StoreError as error:
            log.info("left the fleet without a word", extra={"reason": str(error)})
        finally:
            await self._store.close()

    def lost(self) -> None:
        """Lead no longer: another one does, as the store says."""
        if self.role == "leader":
            self._take("follower")

    async def _beat(self) -> Beat:
        if not self._open:
            await self._store.open()
            self._shared_clock.forget()
            self._open = True
        wants_rank = self._beats % RANK_EVERY == 0 or self.members != self._ranked_among
        asked = self._clock.monotonic()
        beat = await self._store.beat(self.member, self._lease_seconds, ABSENT_SECONDS, rank=wants_rank)
        self._shared_clock.note(asked, beat.seconds)
        self._beats += 1
        return beat

    def _served(self, beat: Beat) -> None:
        self._served_at = self._clock.monotonic()
        self.lease, self.members = beat.lease, min(max(1, beat.members), MOST_MEMBERS)
        if beat.rank >= 0:
            self.rank, self._ranked_among = beat.rank, self.members
        if self.last_error is not None:
            log.info("the fleet's Redis serves", extra={"members": self.members})
        self.last_error = None
        self.term += beat.taken
        self._take("leader" if self.leader == self.member else "follower")

    def _failed(self, error: StoreError) -> float:
        if self.last_error is None:
            log.warning("the fleet's Redis does not serve", extra={"reason": str(error)})
        self.last_error = str(error)
        self._open = False
        silent = self._clock.monotonic() - self._served_at
        if silent < ALONE_AFTER_SECONDS - RETRY_SECONDS:
            return RETRY_SECONDS
        self._beats = 0
        self._take("alone")
        return REOPEN_SECONDS

    async def _repair(self) -> None:
        """Remove what another program wrote under the fleet's keys, where Redis can be asked at all."""
        try:
            if removed := await self._store.repair():
                log.warning("removed the fleet's keys that held something else", extra={"keys": removed})
        except StoreError:
            return  # told already: what failed before is what is wrong

    def _take(self, role: Role) -> None:
        before, self.role = self.role, role
        if role != before:
            log.info("fleet role changed", extra={"role": role, "members": self.members})
            self._changed(before, role)

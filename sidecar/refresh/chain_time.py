"""The chain's newest slot, as the answers of all sources tell it."""

from sidecar.pricing.slots import SlotClock
from sidecar.runtime.clock import Clock, now


class ChainTime:
    """Remembers the newest slot that any answer named."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._slots: SlotClock | None = None
        self._is_read = False

    def note(self, slot: int | None) -> None:
        """Take note of the newest slot of an answer, None when it names none."""
        if slot is not None:
            moment = now(self._clock)
            self._slots = SlotClock(slot, moment) if self._slots is None else self._slots.advanced(slot, moment)

    def read(self, slot: int | None) -> None:
        """Take note of the slot that a node answered at.

        The first one ahead is believed however far: until then only prices told the time, and they may be old.
        """
        if slot is None:
            return
        if not self._is_read and slot > (self.slot() or 0):
            self._slots = None
        self._is_read = True
        self.note(slot)

    def slot(self) -> int | None:
        """Return the slot of now, None before the first answer that named one."""
        return None if self._slots is None else self._slots.now(now(self._clock))

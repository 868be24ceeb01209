"""The chain's newest slot, as the answers of all sources tell it."""

from sidecar.pricing.slots import SlotClock
from sidecar.runtime.clock import Clock, now


class ChainTime:
    """Remembers the newest slot that any answer named."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._slots: SlotClock | None = None

    def heard(self, slot: int | None) -> None:
        """Take note of the newest slot of an answer, None when it names none."""
        if slot is not None:
            moment = now(self._clock)
            self._slots = SlotClock(slot, moment) if self._slots is None else self._slots.heard(slot, moment)

    def slot(self) -> int | None:
        """Return the slot of now, None before the first answer that named one."""
        return None if self._slots is None else self._slots.now(now(self._clock))

"""How old a price is, told in the chain's slots (docs/rules.md: F11)."""

from typing import Final

import msgspec

from sidecar.runtime.clock import Instant

SECONDS_PER_SLOT: Final = 0.4
AGING_SECONDS: Final = 600.0
"""A price that is older is at most medium."""
OLD_SECONDS: Final = 3600.0
"""A price that is older is thin."""
LEAD_SECONDS: Final = 300.0
"""A slot further ahead of the time that has passed is believed when another answer goes on from there."""


class SlotClock(msgspec.Struct, frozen=True):
    """The newest slot seen in any answer, and when."""

    slot: int
    seen: Instant
    ahead: int | None = None
    """A slot too far ahead, seen once."""

    def now(self, now: Instant) -> int:
        """Return the chain's slot at a moment, as far as the newest one seen tells."""
        return self.slot + int(max(0.0, now.monotonic - self.seen.monotonic) / SECONDS_PER_SLOT)

    def advanced(self, slot: int, now: Instant) -> "SlotClock":
        """Return the clock after an answer that names a slot; what is behind says nothing new."""
        if slot <= self.slot:
            return self
        lead = LEAD_SECONDS / SECONDS_PER_SLOT
        goes_on = self.ahead is not None and 0 < slot - self.ahead <= lead
        if goes_on or slot <= self.now(now) + lead:
            return SlotClock(slot, now)
        return SlotClock(self.slot, self.seen, slot)


def price_age(price_slot: int | None, slot: int | None) -> float | None:
    """Return the age of a price in seconds, None where it cannot be told."""
    return None if price_slot is None or slot is None else max(0, slot - price_slot) * SECONDS_PER_SLOT


def is_aging(price_slot: int | None, slot: int | None) -> bool:
    """Return whether a price is known to be more than ten minutes old."""
    age = price_age(price_slot, slot)
    return age is not None and age > AGING_SECONDS


def is_old(price_slot: int | None, slot: int | None) -> bool:
    """Return whether a price is known to be more than an hour old."""
    age = price_age(price_slot, slot)
    return age is not None and age > OLD_SECONDS

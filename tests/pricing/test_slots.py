"""How old a price is (docs/rules.md: F11)."""

import msgspec
import pytest

from sidecar.models import Confidence
from sidecar.pricing.slots import SlotClock, price_age
from tests.pricing.build import at, cap_of, dexscreener, jupiter, valued

SLOT = 448_000_000


@pytest.mark.parametrize(
    ("slots_ago", "confidence", "reasons"),
    [
        (0, "high", ()),
        (1500, "high", ()),
        (1501, "medium", ("old_price",)),
        (9000, "medium", ("old_price",)),
        (-5, "high", ()),
    ],
)
def test_a_price_of_more_than_ten_minutes_ago_is_at_most_medium(
    slots_ago: int, confidence: Confidence, reasons: tuple[str, ...]
) -> None:
    old = msgspec.structs.replace(jupiter(2), price_slot=SLOT - slots_ago)
    cap = cap_of(valued(old, dexscreener(2), slot=SLOT))
    assert (cap.confidence, cap.confidence_reasons, cap.price_slot) == (confidence, reasons, SLOT - slots_ago)


def test_a_price_of_more_than_an_hour_ago_is_thin() -> None:
    old = msgspec.structs.replace(jupiter(2), price_slot=SLOT - 9001)
    alone = cap_of(valued(old, slot=SLOT))
    assert (alone.confidence, alone.confidence_reasons[0]) == ("low", "old_price")
    beside = valued(old, dexscreener(3), slot=SLOT)
    assert (cap_of(beside).source, beside.refusals) == ("dexscreener", (("jupiter", "old_price"),))


def test_an_age_is_told_where_both_slots_are_known() -> None:
    assert price_age(SLOT - 25, SLOT) == 10.0
    assert price_age(None, SLOT) is None
    assert price_age(SLOT, None) is None


def test_the_chains_time_goes_on_from_the_newest_slot_that_was_seen() -> None:
    clock = SlotClock(SLOT, at(0)).advanced(SLOT - 500, at(10)).advanced(SLOT + 30, at(10))
    assert (clock.slot, clock.now(at(10)), clock.now(at(12))) == (SLOT + 30, SLOT + 30, SLOT + 35)


def test_a_slot_far_ahead_counts_when_another_answer_goes_on_from_there() -> None:
    far = SLOT + 1_000_000
    once = SlotClock(SLOT, at(0)).advanced(far, at(1))
    assert once.now(at(1)) == SLOT + 2
    assert once.advanced(far, at(60)).now(at(60)) == SLOT + 150  # the same again is no clock
    assert once.advanced(far + 150, at(61)).now(at(61)) == far + 150
    assert once.advanced(SLOT + 100, at(40)).now(at(40)) == SLOT + 100

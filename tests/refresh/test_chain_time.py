"""The chain's newest slot, from prices and from nodes (docs/rules.md: F11)."""

from sidecar.refresh.chain_time import ChainTime
from tests.clock import FakeClock

OLD, NEW = 1_000_000, 1_018_000
"""Two hours apart."""


def test_the_first_slot_of_a_node_is_believed_however_far_ahead_of_an_old_price() -> None:
    time = ChainTime(FakeClock())
    time.note(OLD)
    time.read(NEW)
    assert time.slot() == NEW
    time.read(NEW + 1_000_000)
    assert time.slot() == NEW


def test_a_node_that_is_behind_or_names_no_slot_changes_nothing() -> None:
    time = ChainTime(FakeClock())
    time.read(None)
    assert time.slot() is None
    time.note(NEW)
    time.read(OLD)
    assert time.slot() == NEW

"""When a tracked token is due (docs/rules.md: R2 and R4)."""

import math
import random

import pytest

from sidecar.models import Mint
from sidecar.refresh.schedule import Schedule
from tests.clock import FakeClock
from tests.pricing.build import make_mint

ONE, TWO, THREE = make_mint(1), make_mint(2), make_mint(3)


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)


def keeping(clock: FakeClock, *mints: Mint, received: float | None = None) -> Schedule:
    due = Schedule(300, clock)
    due.keep(mints, lambda _: received)
    return due


def test_a_newcomer_without_a_value_is_due_now() -> None:
    due = keeping(FakeClock(), ONE, TWO)
    assert due.due() == sorted([ONE, TWO])
    assert due.next_due_in() == 0.0


def test_a_newcomer_with_a_value_is_due_an_interval_after_its_answer() -> None:
    clock = FakeClock()
    due = keeping(clock, ONE, received=clock.monotonic() - 100)
    assert due.next_due_in() == 185.0


def test_the_next_time_is_an_interval_after_an_answer() -> None:
    clock = FakeClock()
    due = keeping(clock, ONE)
    due.refreshed(ONE)
    assert due.next_due_in() == 300.0
    clock.advance(284.9)
    assert due.due() == []
    clock.advance(0.1)
    assert due.due() == [ONE]


def test_jitter_only_shortens_by_five_percent_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, float]] = []

    def shortest(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    monkeypatch.setattr(random, "uniform", shortest)
    due = keeping(FakeClock(), ONE)
    due.refreshed(ONE)
    assert (due.next_due_in(), asked) == (285.0, [(0.95, 1)])


def test_what_is_due_so_soon_is_refreshed_along_but_wakes_no_loop_early() -> None:
    clock = FakeClock()
    due = keeping(clock, ONE, TWO)
    due.refreshed(ONE)
    clock.advance(10)
    due.refreshed(TWO)
    clock.advance(290)
    assert due.due() == [ONE, TWO]
    assert due.next_due_in() == 0.0


def test_a_failure_is_tried_again_after_30_s_and_a_held_jump_within_a_minute() -> None:
    due = keeping(FakeClock(), ONE)
    due.failed(ONE, has_value=True)
    assert due.next_due_in() == 30.0
    due.held(ONE)
    assert due.next_due_in() == 57.0


def test_a_failure_without_a_value_is_tried_again_after_5_s_and_ever_less_often() -> None:
    due = keeping(FakeClock(), ONE)
    pauses = []
    for _ in range(5):
        due.failed(ONE, has_value=False)
        pauses.append(due.next_due_in())
    assert pauses == [5.0, 10.0, 20.0, 30.0, 30.0]
    due.refreshed(ONE)
    due.failed(ONE, has_value=False)
    assert due.next_due_in() == 5.0


def test_a_retry_takes_no_other_mint_along() -> None:
    clock = FakeClock()
    due = keeping(clock, ONE, TWO)
    due.refreshed(ONE)
    clock.advance(200)
    due.failed(TWO, has_value=True)
    clock.advance(29.9)
    assert due.due() == []
    clock.advance(0.1)
    assert due.due() == [TWO]
    assert due.is_retry(TWO)
    assert not due.is_retry(ONE)


def test_of_thousands_those_due_come_and_as_many_as_fill_their_last_call() -> None:
    clock = FakeClock()
    mints = [make_mint(number) for number in range(1000)]
    due = Schedule(300, clock)
    due.keep(mints, lambda _: clock.monotonic())
    for mint in mints:
        due.refreshed(mint)
        clock.advance(0.1)
    clock.advance(184)
    assert due.due() == []
    clock.advance(1.05)
    assert due.due() == mints[:100]
    clock.advance(9)
    assert due.due() == mints[:100]
    clock.advance(1)
    assert due.due() == mints[:200]


def test_a_short_interval_is_not_lengthened_by_a_failure_or_a_hold() -> None:
    due = Schedule(10, FakeClock())
    due.keep([ONE], lambda _: None)
    due.failed(ONE, has_value=True)
    assert due.next_due_in() == 10.0
    due.held(ONE)
    assert due.next_due_in() == 9.5


def test_only_tracked_mints_are_scheduled() -> None:
    clock = FakeClock()
    due = keeping(clock, ONE)
    due.refreshed(TWO)
    due.failed(TWO, has_value=True)
    due.held(TWO)
    assert due.soonest(10, []) == [ONE]
    due.keep([], lambda _: None)
    assert (due.due(), due.soonest(10, []), due.next_due_in()) == ([], [], 300.0)


def test_what_stays_tracked_keeps_its_time() -> None:
    clock = FakeClock()
    due = keeping(clock, ONE)
    due.refreshed(ONE)
    due.keep([ONE, TWO], lambda _: None)
    assert due.due() == [TWO]


def test_the_soonest_due_top_up_first_and_what_is_in_the_batch_does_not() -> None:
    clock = FakeClock()
    due = keeping(clock, THREE, TWO, ONE)
    for mint in (TWO, THREE, ONE):
        due.refreshed(mint)
        clock.advance(1)
    assert due.soonest(2, []) == [TWO, THREE]
    assert due.soonest(3, [TWO]) == [THREE, ONE]
    assert due.soonest(0, []) == []


def test_a_mint_is_uncertain_from_the_time_that_its_refresh_told_and_not_before() -> None:
    clock = FakeClock()
    due = keeping(clock, ONE, TWO, THREE, received=clock.monotonic())
    due.refreshed(ONE, certain_for=40.0)
    due.refreshed(TWO)
    assert (due.uncertain(), due.next_uncertain_in()) == (set(), 40.0)
    clock.advance(40)
    assert (due.uncertain(), due.next_uncertain_in()) == ({ONE}, 0.0)
    due.refreshed(ONE, certain_for=50.0)
    assert (due.uncertain(), due.next_uncertain_in()) == (set(), 50.0)


def test_a_mint_tried_early_is_put_off_and_its_interval_is_not() -> None:
    clock = FakeClock()
    due = keeping(clock, ONE, received=clock.monotonic())
    due.refreshed(ONE, certain_for=0.0)
    due.tried_early([ONE, TWO])
    assert (due.uncertain(), due.next_uncertain_in(), due.next_due_in()) == (set(), 30.0, 300.0)


def test_what_is_no_longer_tracked_is_not_uncertain_either() -> None:
    clock = FakeClock()
    due = keeping(clock, ONE, received=clock.monotonic())
    due.refreshed(ONE, certain_for=0.0)
    due.refreshed(TWO, certain_for=0.0)
    assert due.uncertain() == {ONE}
    due.keep((TWO,), lambda _: None)
    assert (due.uncertain(), due.next_uncertain_in()) == (set(), math.inf)


def test_many_that_join_and_leave_at_once_are_scheduled_as_few_are() -> None:
    clock = FakeClock()
    mints = [make_mint(number) for number in range(1000)]
    many, few = Schedule(300, clock), Schedule(300, clock)
    many.keep(mints, lambda _: None)
    many.keep(mints[500:], lambda _: None)
    for count in range(0, 1001, 100):
        few.keep(mints[:count], lambda _: None)
    for count in range(0, 501, 100):
        few.keep(mints[count:], lambda _: None)
    assert many.soonest(1000, []) == few.soonest(1000, []) == sorted(mints[500:])


def test_what_left_and_comes_back_is_no_retry() -> None:
    due = keeping(FakeClock(), ONE, TWO)
    due.failed(ONE, has_value=True)
    due.keep([TWO], lambda _: None)
    due.keep([ONE, TWO], lambda _: None)
    assert not due.is_retry(ONE)
    assert due.next_due_in() == 0.0

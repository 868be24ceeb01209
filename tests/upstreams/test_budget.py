"""How often and how much at once an upstream is asked (docs/rules.md: R5)."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.models import Priority
from tests.clock import calm
from tests.upstreams.budgets import BACKGROUND, MISS, POPULAR, TRACKED, Calls


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)


# The sliding windows


@pytest.mark.parametrize(
    ("requests_per_minute", "in_ten_seconds"), [(1, 1), (5, 1), (6, 1), (12, 2), (30, 5), (60, 10), (300, 50)]
)
def test_a_sixth_of_a_minutes_calls_begin_in_any_ten_seconds(
    requests_per_minute: int, in_ten_seconds: int
) -> None:
    assert Calls(requests_per_minute).burst(MISS, POPULAR) == in_ten_seconds


def test_the_window_slides_it_does_not_jump() -> None:
    calls = Calls()
    for _ in range(4):
        calls.begin(MISS)
        calls.clock.advance(2)
    calls.begin(POPULAR)
    calls.clock.advance(1)
    assert calls.delay(POPULAR) == pytest.approx(1.1)
    calls.clock.advance(1.2)
    assert calls.burst(MISS, POPULAR) == 1


@pytest.mark.parametrize("requests_per_minute", [3, 5, 30])
def test_no_more_than_rpm_calls_begin_in_any_minute(requests_per_minute: int) -> None:
    calls = Calls(requests_per_minute)
    begun = 0
    for _ in range(599):
        begun += calls.burst(MISS, POPULAR)
        calls.clock.advance(0.1)
    assert begun == requests_per_minute
    assert calls.delay(MISS) > 0


@given(
    st.integers(min_value=1, max_value=40),
    st.lists(st.tuples(st.floats(min_value=0, max_value=4), st.sampled_from(list(Priority))), max_size=120),
)
def test_whichever_priority_asks_when_both_windows_hold(
    requests_per_minute: int, asked: list[tuple[float, Priority]]
) -> None:
    calls = Calls(requests_per_minute)
    begun: list[float] = []
    for pause, priority in asked:
        calls.clock.advance(pause)
        if calls.delay(priority):
            continue
        calls.begin(priority)
        begun.append(calls.clock.monotonic())
        assert sum(begun[-1] - at <= 10 for at in begun) <= max(1, requests_per_minute // 6)
        assert sum(begun[-1] - at <= 60 for at in begun) <= requests_per_minute


# Priorities


@pytest.mark.parametrize("priority", BACKGROUND)
@pytest.mark.parametrize(("requests_per_minute", "background"), [(30, 4), (60, 8), (300, 40), (24, 4), (6, 1)])
def test_one_slot_in_five_is_kept_for_misses(
    priority: Priority, requests_per_minute: int, background: int
) -> None:
    calls = Calls(requests_per_minute)
    assert calls.burst(*BACKGROUND) == background
    assert calls.delay(priority) == pytest.approx(10.1)
    assert calls.burst(MISS) == requests_per_minute // 6 - background


def test_one_slot_in_five_of_the_minute_is_kept_for_misses_too() -> None:
    calls = Calls()
    begun = 0
    for _ in range(599):
        begun += calls.burst(POPULAR)
        calls.clock.advance(0.1)
    assert begun == 24


def test_a_flood_of_misses_leaves_one_slot_in_five_to_the_background() -> None:
    calls = Calls()
    assert calls.burst(MISS) == 4
    assert calls.delay(MISS) == pytest.approx(10.1)
    assert calls.burst(TRACKED) == 1


async def test_misses_begin_before_popular_before_tracked() -> None:
    calls = Calls()
    calls.burst(POPULAR)
    calls.burst(MISS)
    order: list[Priority] = []

    async def ask(priority: Priority) -> None:
        while await calls.wait(priority, 60.0) == 0.0:
            if not calls.delay(priority):
                calls.begin(priority)
                order.append(priority)
                return

    tasks = [asyncio.create_task(ask(priority)) for priority in (TRACKED, POPULAR, MISS) * 3]
    for _ in range(4000):
        await calm()
        calls.clock.advance(0.01)
    await asyncio.gather(*tasks)
    assert order[:5] == [MISS, MISS, MISS, POPULAR, POPULAR]
    assert order[5:] == [POPULAR, TRACKED, TRACKED, TRACKED]


# Waiting


async def test_a_free_slot_is_not_waited_for_nor_taken() -> None:
    calls = Calls()
    assert await calls.wait(MISS, 0.0) == 0.0
    assert calls.burst(MISS, POPULAR) == 5


async def test_what_would_take_too_long_is_said_at_once() -> None:
    calls = Calls()
    calls.burst(MISS, POPULAR)
    calls.clock.advance(4)
    assert await calls.wait(TRACKED, 6.0) == pytest.approx(6.1)
    assert calls.clock.next_wake is None


async def test_a_wait_ends_when_the_slot_is_free() -> None:
    calls = Calls()
    calls.burst(MISS, POPULAR)
    waiting = asyncio.create_task(calls.wait(POPULAR, 11.0))
    await calm()
    calls.clock.advance(10.1)
    await calm()
    assert not waiting.done()
    calls.clock.advance(0.02)
    await calm()
    assert waiting.result() == 0.0


async def test_a_call_that_loses_a_slot_to_another_waits_on_but_no_longer_than_it_may() -> None:
    calls = Calls(6)
    calls.begin(MISS)
    waiting = asyncio.create_task(calls.wait(TRACKED, 11.0))
    await calm()
    calls.clock.advance(10.11)
    calls.begin(POPULAR)
    calls.clock.advance(0.02)
    await calm()
    assert waiting.done()
    assert waiting.result() == pytest.approx(10.08)


# Changing the limit


def test_a_lower_limit_counts_what_was_begun_and_a_higher_one_too() -> None:
    calls = Calls(60)
    calls.begin_times(POPULAR, 8)
    calls.set_requests_per_minute(30)
    assert (calls.requests_per_minute, calls.burst(MISS, POPULAR)) == (30, 0)
    calls.set_requests_per_minute(60)
    assert calls.burst(MISS, POPULAR) == 2


# How many calls are left


def test_free_slots_are_what_could_begin_now_or_soon() -> None:
    calls = Calls()
    assert [calls.free_slots(priority, 0.0) for priority in Priority] == [4, 4, 4, 0]
    calls.begin_times(POPULAR, 3)
    calls.clock.advance(9.5)
    calls.begin(POPULAR)
    assert [calls.free_slots(priority, 0.0) for priority in Priority] == [1, 0, 0, 0]
    assert [calls.free_slots(priority, 1.0) for priority in Priority] == [4, 3, 3, 0]


def test_there_are_no_free_slots_during_a_block_and_never_less_than_none() -> None:
    calls = Calls(60)
    calls.begin_times(POPULAR, 8)
    calls.block(1.0)
    assert calls.free_slots(MISS, 0.9) == 0
    assert calls.free_slots(MISS, 1.0) == 2
    calls.set_requests_per_minute(6)
    assert calls.free_slots(TRACKED, 1.0) == 0


def test_the_memory_of_calls_is_bounded() -> None:
    calls = Calls()
    for _ in range(1000):
        calls.begin(MISS)
        calls.begin(TRACKED)
    assert [len(calls._begun), len(calls._misses), len(calls._background)] == [30, 30, 30]

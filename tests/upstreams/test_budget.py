"""How often and how much at once an upstream is asked (docs/rules.md: R5)."""

import asyncio
import random
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.models import Priority
from sidecar.upstreams.budget import Budget, ConcurrencyLimit
from tests.clock import FakeClock

MISS, POPULAR, TRACKED, EARLY = Priority
BACKGROUND: Final = (POPULAR, TRACKED)


async def calm() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


class Calls(Budget):
    """A budget on a clock of its own."""

    def __init__(self, requests_per_minute: int = 30, *, early_share: float = 0.0) -> None:
        self.clock: Final = FakeClock()
        super().__init__(requests_per_minute, self.clock, early_share=early_share)

    def burst(self, *priorities: Priority) -> int:
        """Begin calls of these priorities in turn while one may begin now; return how many did."""
        count = 0
        while able := [priority for priority in priorities if not self.delay(priority)]:
            self.begin(able[count % len(able)])
            count += 1
        return count

    def begin_times(self, priority: Priority, times: int) -> None:
        for _ in range(times):
            self.begin(priority)


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


# What upstreams say


def test_after_a_429_no_call_begins_for_two_seconds_and_twice_as_long_each_time_up_to_a_minute() -> None:
    calls = Calls(600)
    pauses = []
    for _ in range(7):
        calls.refused(None)
        pauses.append(calls.delay(MISS))
        calls.clock.advance(pauses[-1])
        assert calls.delay(MISS) == 0.0
    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_jitter_only_lengthens_a_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)
    calls = Calls()
    calls.refused(None)
    assert calls.delay(MISS) == 2.5


@pytest.mark.parametrize(("asked", "pause"), [(None, 2.0), (0.0, 2.0), (1.0, 2.0), (45.0, 45.0), (300.0, 300.0)])
def test_what_the_upstream_asks_for_is_the_least(asked: float | None, pause: float) -> None:
    calls = Calls()
    calls.refused(asked)
    assert calls.delay(MISS) == pause
    assert calls.delay(TRACKED) == pause


def test_calls_refused_together_double_once_and_the_longest_request_counts() -> None:
    calls = Calls(600)
    for asked in (1.0, 5.0, 3.0):
        calls.refused(asked)
    assert calls.delay(MISS) == 5.0
    calls.clock.advance(5)
    calls.refused(None)
    assert calls.delay(MISS) == 4.0


def test_a_reset_header_beside_the_429_cuts_no_back_off_short() -> None:
    calls = Calls(600)
    calls.block(1.0)
    calls.refused(30.0)
    assert calls.delay(MISS) == 30.0
    calls.clock.advance(30)
    calls.block(1.0)
    calls.refused(None)
    assert calls.delay(MISS) == 4.0


def test_a_good_answer_forgets_the_refusals_but_not_the_pause() -> None:
    calls = Calls()
    calls.refused(None)
    calls.refused(None)
    calls.accepted()
    assert calls.delay(MISS) == 2.0
    calls.clock.advance(2)
    calls.refused(None)
    assert calls.delay(MISS) == 2.0


def test_a_block_is_never_shortened() -> None:
    calls = Calls()
    calls.block(30)
    calls.block(5)
    assert calls.delay(MISS) == 30.0


def test_what_upstreams_say_never_adds_a_call() -> None:
    calls = Calls()
    calls.burst(MISS, POPULAR)
    calls.block(0.5)
    calls.accepted()
    assert calls.delay(MISS) == pytest.approx(10.1)


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


# Calls at once


class Holding:
    """Calls that hold their slot until they are let go."""

    def __init__(self, max_concurrent: int = 5) -> None:
        self.slots = ConcurrencyLimit(max_concurrent)
        self.under_way: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def call(self, source: str, priority: Priority, name: str) -> None:
        async with self.slots.hold(source, priority):
            self.under_way.append(name)
            try:
                await asyncio.Event().wait()
            finally:
                self.under_way.remove(name)

    async def start(self, source: str, priority: Priority, count: int = 1) -> int:
        """Start calls and return how many of all the calls hold a slot then."""
        for _ in range(count):
            name = f"{source} {priority.name} {len(self.tasks)}"
            self.tasks[name] = asyncio.create_task(self.call(source, priority, name))
        await calm()
        return len(self.under_way)

    async def end(self, *prefixes: str) -> None:
        """End the calls whose name begins so, whether they hold a slot or wait for one."""
        ended = [self.tasks.pop(name) for name in list(self.tasks) if name.startswith(prefixes)]
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)
        await calm()


async def test_background_work_uses_all_calls_but_one() -> None:
    calls = Holding()
    for source in ("jupiter", "dexscreener", "geckoterminal", "solana_rpc", "another"):
        await calls.start(source, TRACKED, 4)
    assert len(calls.under_way) == 4
    assert await calls.start("solana_rpc", MISS) == 5
    assert await calls.start("solana_rpc", MISS) == 5
    await calls.end("")


async def test_two_sources_that_hang_leave_a_call_to_the_others() -> None:
    calls = Holding()
    assert await calls.start("jupiter", MISS, 9) == 2
    assert await calls.start("dexscreener", MISS, 9) == 4
    assert await calls.start("geckoterminal", MISS, 9) == 5
    await calls.end("")


async def test_a_source_whose_background_calls_hang_still_takes_a_miss_at_once() -> None:
    calls = Holding()
    assert await calls.start("jupiter", TRACKED, 9) == 1
    assert await calls.start("jupiter", MISS) == 2
    await calls.end("")


async def test_background_calls_that_wait_hold_nothing_a_miss_needs() -> None:
    calls = Holding()
    for source in ("dexscreener", "geckoterminal", "solana_rpc"):
        await calls.start(source, TRACKED, 2)
    assert await calls.start("jupiter", TRACKED, 9) == 4
    assert await calls.start("jupiter", MISS) == 5
    await calls.end("")


@pytest.mark.parametrize("max_concurrent", [1, 2, 3])
async def test_with_few_calls_at_once_every_priority_still_has_a_turn(max_concurrent: int) -> None:
    calls = Holding(max_concurrent)
    assert await calls.start("jupiter", TRACKED) == 1
    await calls.end("jupiter")
    assert await calls.start("jupiter", MISS) == 1
    assert await calls.start("dexscreener", MISS, 9) == min(max_concurrent, 2)
    await calls.end("")


async def test_slots_given_up_while_waiting_or_held_are_free_again() -> None:
    calls = Holding()
    for source in ("jupiter", "dexscreener", "geckoterminal"):
        await calls.start(source, TRACKED, 5)
        await calls.start(source, MISS, 5)
    await calls.end("")
    assert calls.under_way == []
    assert await calls.start("jupiter", MISS, 9) == 2
    assert await calls.start("dexscreener", MISS, 9) == 4
    await calls.end("")


# Early refreshes


def early_times(calls: Calls, seconds: int) -> list[int]:
    """Look once a second whether an early call may begin, and begin it; return in which seconds one did."""
    times = []
    for second in range(seconds):
        if not calls.delay(EARLY):
            calls.begin(EARLY)
            times.append(second)
        calls.clock.advance(1)
    return times


def test_early_calls_take_their_share_at_even_distances() -> None:
    assert early_times(Calls(early_share=0.2), 60) == [0, 11, 22, 33, 44, 55]
    assert early_times(Calls(5, early_share=0.2), 130) == [0, 61, 122]
    assert Calls(300, early_share=0.2).burst(EARLY) == 10


@pytest.mark.parametrize(("rpm", "share"), [(30, 0.0), (4, 0.2)])
def test_without_a_share_that_makes_a_call_there_is_none(rpm: int, share: float) -> None:
    calls = Calls(rpm, early_share=share)
    assert (calls.delay(EARLY), calls.free_slots(EARLY, 0.0)) == (600.0, 0)


def test_an_early_call_leaves_a_slot_for_those_that_must_be_made() -> None:
    calls = Calls(early_share=0.8)
    assert calls.burst(POPULAR) == 4
    calls = Calls(early_share=0.8)
    calls.begin_times(TRACKED, 2)
    assert calls.burst(EARLY) == 1
    assert calls.burst(TRACKED) == 1
    assert calls.burst(MISS) == 1


def test_after_a_429_there_is_no_early_call_for_ten_minutes() -> None:
    calls = Calls(early_share=0.2)
    calls.refused(None)
    calls.clock.advance(599.9)
    calls.accepted()
    assert calls.delay(POPULAR) == 0.0
    assert calls.delay(EARLY) == pytest.approx(0.1)
    calls.clock.advance(0.2)
    assert calls.delay(EARLY) == 0.0

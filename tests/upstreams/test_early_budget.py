"""Early refreshes have a share of the budget, and leave the rest alone."""

import random

import pytest

from tests.upstreams.budgets import EARLY, MISS, POPULAR, TRACKED, Calls

# Early refreshes


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)


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

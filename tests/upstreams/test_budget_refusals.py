"""What upstreams say of their limits, and what it does to the budget."""

import random

import pytest

from tests.upstreams.budgets import MISS, POPULAR, TRACKED, Calls

# What upstreams say


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)


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

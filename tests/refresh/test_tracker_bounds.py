"""What floods of mints cost the tracker: bounded memory, bounded work."""

import random

import pytest

from sidecar.models import Mint
from sidecar.refresh.demand import Demand
from tests.refresh.tracking import P1, P2, R1, Tracking

# Bounds


def test_100000_distinct_mints_take_no_more_room_than_a_thousand() -> None:
    tracker = Tracking(max_tokens=100)
    for number in range(100_000):
        tracker.request(Mint(f"mint{number}"))
    assert len(tracker._candidates) == 2000
    assert tracker.mints == {P1, P2}


def test_a_small_cap_still_has_a_thousand_candidates() -> None:
    tracker = Tracking()
    for number in range(5000):
        tracker.request(Mint(f"mint{number}"))
    assert len(tracker._candidates) == 1000


def test_a_flood_of_mints_asked_for_often_keeps_the_cap_and_the_popular() -> None:
    tracker = Tracking(max_tokens=100, min_requests=1)
    for number in range(3000):
        tracker.request(Mint(f"mint{number}"))
    assert len(tracker.mints) == 100
    assert {P1, P2} <= tracker.mints
    assert len(tracker._candidates) <= 2000


def test_a_mint_that_joined_is_no_candidate_any_more() -> None:
    tracker = Tracking()
    tracker.ask(R1, 3)
    assert len(tracker._candidates) == 0


def test_a_wanted_mint_without_a_place_costs_no_look_at_all_that_are_tracked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tracker = Tracking(max_tokens=2002)
    for number in range(2000):
        tracker.ask(Mint(f"mint{number}"), 3)
        tracker._requested[Mint(f"mint{number}")].add(tracker.clock.monotonic(), 1000)
    tracker.ask(R1, 3)
    looks = 0
    whole = Demand.total

    def counted(demand: Demand, now: float) -> int:
        nonlocal looks
        looks += 1
        return whole(demand, now)

    monkeypatch.setattr(Demand, "total", counted)
    tracker.ask(R1, 100)

    assert looks <= 200
    assert R1 not in tracker.mints


def test_the_one_that_leaves_is_always_the_least_requested() -> None:
    tracker, choose = Tracking((), max_tokens=6, min_requests=2), random.Random(5)
    mints = [Mint(f"mint{number}") for number in range(12)]
    for _ in range(5000):
        mint = choose.choice(mints)
        before = {one: tracker.requests(one) for one in tracker.mints}
        if tracker.request(mint) and len(before) == 6:
            (left,) = before.keys() - tracker.mints
            assert before[left] == min(before.values()) < tracker.requests(mint)
        if choose.random() < 0.02:
            tracker.clock.advance(choose.choice([1, 250, 400]))
        if choose.random() < 0.01:
            tracker.drop(choose.choice(mints))

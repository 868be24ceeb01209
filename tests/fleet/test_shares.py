"""Members that are alone together keep to one address's budget."""

from collections import Counter

import pytest

from sidecar.models import Priority
from sidecar.upstreams.budget import Budget
from tests.clock import FakeClock


@pytest.mark.parametrize("members", [2, 7, 50])
@pytest.mark.parametrize("requests_per_minute", [30, 240, 300])
def test_greedy_members_together_stay_within_the_limits(members: int, requests_per_minute: int) -> None:
    clock = FakeClock()
    budgets = [Budget(requests_per_minute, clock) for _ in range(members)]
    for place, budget in enumerate(budgets):
        budget.share(members, place)
    calls: list[float] = []
    for _ in range(600):
        for budget in budgets:
            if not budget.delay(Priority.MISS):
                budget.begin(Priority.MISS)
                calls.append(clock.monotonic())
        clock.advance(0.25)
    for window, limit in ((10.0, requests_per_minute // 6), (60.0, requests_per_minute)):
        busiest = max(sum(at <= then < at + window for then in calls) for at in set(calls))
        assert busiest <= limit
    assert len(calls) > requests_per_minute / 2


@pytest.mark.parametrize("members", [2, 11, 50])
def test_what_is_due_everywhere_at_one_moment_is_not_asked_for_at_that_moment(members: int) -> None:
    clock = FakeClock()
    budgets = [Budget(30, clock) for _ in range(members)]
    for place, budget in enumerate(budgets):
        budget.share(members, place)
    calls: list[float] = []
    for _ in range(4):
        clock.advance(200)
        for _ in range(40):
            for budget in budgets:
                if not budget.delay(Priority.POPULAR):
                    budget.begin(Priority.POPULAR)
                    calls.append(clock.monotonic())
            clock.advance(0.25)
    at_the_borders_of_turns = 1
    assert max(sum(at <= then < at + 10 for then in calls) for at in set(calls)) <= 5 + at_the_borders_of_turns
    assert calls


def test_every_member_has_its_turn() -> None:
    clock = FakeClock()
    budgets = [Budget(30, clock) for _ in range(50)]
    for place, budget in enumerate(budgets):
        budget.share(50, place)
    turns: Counter[int] = Counter()
    for _ in range(440):
        for number, budget in enumerate(budgets):
            if not budget.delay(Priority.POPULAR):
                budget.begin(Priority.POPULAR)
                turns[number] += 1
        clock.advance(0.25)
    assert set(turns) == set(range(50))


def test_a_leader_has_it_all_again_at_once() -> None:
    clock = FakeClock()
    budget = Budget(30, clock)
    budget.share(50, 49)
    assert budget.delay(Priority.POPULAR) == pytest.approx(101 * 49 / 50, rel=0.01)
    assert budget.free_slots(Priority.POPULAR, 10.0) == 0
    budget.share(1, 0)
    assert budget.delay(Priority.POPULAR) == 0.0
    assert budget.free_slots(Priority.MISS, 0.0) == 4

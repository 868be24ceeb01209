"""Which mints are kept warm (docs/rules.md: R1)."""

from collections.abc import Sequence

import pytest

from sidecar.models import Mint
from tests.pricing.build import make_mint
from tests.refresh.tracking import P1, P2, P3, R1, R2, R3, T1, T2, T3, T4, Tracking


def all_of(tracker: Tracking) -> Sequence[Mint]:
    return [mint for tier in ("popular", "requested", "trending") for mint in tracker.tier(tier)]


# Joining


def test_a_mint_joins_with_its_min_requests_th_request() -> None:
    tracker = Tracking()
    assert tracker.ask(R1, 3) == [False, False, True]
    assert tracker.mints == {P1, P2, R1}
    assert tracker.ask(R1, 2) == [False, False]
    assert tracker.requests(R1) == 5


@pytest.mark.parametrize(("pause", "joins"), [(3600.0, True), (3600.1, False)])
def test_the_requests_must_come_within_the_window_to_the_second(pause: float, *, joins: bool) -> None:
    tracker = Tracking()
    tracker.ask(R1, 1)
    tracker.clock.advance(pause)
    assert tracker.ask(R1, 2) == [False, joins]
    assert (R1 in tracker.mints) == joins


def test_any_window_counts_not_only_one_from_the_first_request() -> None:
    tracker = Tracking()
    came = []
    for pause in (0, 2000, 1601, 100):
        tracker.clock.advance(pause)
        came += tracker.ask(R1, 1)
    assert came == [False, False, False, True]


def test_a_popular_mint_is_never_requested_or_trending_besides() -> None:
    tracker = Tracking()
    tracker.ask(P1, 9)
    tracker.set_trending([P1, T1])
    assert tracker.tiers() == {"popular": {P1, P2}, "requested": set(), "trending": {T1}}
    assert tracker.requests(P1) == 9


@pytest.mark.parametrize(("pause", "moves"), [(3599.0, True), (3601.0, False)])
def test_a_trending_mint_that_is_requested_enough_within_the_window_becomes_a_requested_one(
    pause: float, *, moves: bool
) -> None:
    tracker = Tracking()
    tracker.set_trending([T1, T2])
    tracker.ask(T1, 1)
    tracker.clock.advance(pause)
    tracker.ask(T1, 2)
    assert (tracker.tier("requested") == (T1,)) == moves
    tracker.set_trending([])
    assert (T1 in tracker.mints) == moves


# The cap and which mints leave


def test_trending_only_take_free_places_best_first() -> None:
    tracker = Tracking()
    tracker.ask(R1, 3)
    tracker.set_trending([T1, T2, T3, T4])
    assert tracker.tiers() == {"popular": {P1, P2}, "requested": {R1}, "trending": {T1, T2}}


def test_trending_take_no_more_than_their_own_limit() -> None:
    tracker = Tracking(trending_tokens=1)
    tracker.set_trending([T1, T1, T2])
    assert tracker.tier("trending") == (T1,)


def test_no_place_is_wasted_on_a_trending_mint_that_is_tracked_anyway() -> None:
    tracker = Tracking()
    tracker.ask(R1, 3)
    tracker.set_trending([P1, R1, T1, T2, T3])
    assert tracker.tier("trending") == (T1, T2)


def test_trending_leave_when_their_list_drops_them() -> None:
    tracker = Tracking()
    tracker.set_trending([T1, T2, T3])
    tracker.set_trending([T3, T4])
    assert tracker.tier("trending") == (T3, T4)


def test_trending_leave_first_from_the_end_of_their_list() -> None:
    tracker = Tracking()
    tracker.set_trending([T1, T2, T3])
    tracker.ask(T3, 2)
    tracker.ask(R1, 3)
    assert tracker.tiers() == {"popular": {P1, P2}, "requested": {R1}, "trending": {T1, T2}}


def test_then_the_least_requested_leaves() -> None:
    tracker = Tracking()
    tracker.ask(R1, 5)
    tracker.ask(R2, 4)
    tracker.ask(R3, 6)
    assert tracker.ask(T1, 5) == [False, False, False, False, True]
    assert tracker.tiers()["requested"] == {R1, R3, T1}


def test_on_a_tie_the_newcomer_waits_until_it_is_asked_for_once_more() -> None:
    tracker = Tracking()
    for mint in (R1, R2, R3):
        tracker.ask(mint, 3)
    assert tracker.ask(T1, 4) == [False, False, False, True]
    assert R1 not in tracker.mints
    assert tracker.tiers()["requested"] == {R2, R3, T1}


def test_a_mint_that_was_not_asked_for_lately_gives_way() -> None:
    tracker = Tracking()
    tracker.ask(R1, 100)
    tracker.clock.advance(3900)
    for mint in (R2, R3, T1):
        tracker.ask(mint, 3)
    assert tracker.tiers()["requested"] == {R2, R3, T1}


def test_popular_never_leave_however_little_they_are_asked_for() -> None:
    tracker = Tracking([P1, P2, P3], max_tokens=3)
    tracker.set_trending([T1])
    assert tracker.ask(R1, 50) == [False] * 50
    assert tracker.mints == {P1, P2, P3}


def test_the_cap_holds_at_every_insertion() -> None:
    tracker = Tracking()
    sizes = []
    for number in range(100, 140):
        tracker.ask(make_mint(number), number % 7)
        sizes.append(len(tracker.mints))
        tracker.set_trending([make_mint(n) for n in range(number, number + 9)])
        sizes.append(len(tracker.mints))
        tracker.set_popular([make_mint(n) for n in range(number % 8)])
        sizes.append(len(tracker.mints))
        assert len(all_of(tracker)) == len(set(all_of(tracker))) == len(tracker.mints)
    assert max(sizes) == 5


def test_a_longer_popular_list_pushes_out_trending_then_requested() -> None:
    tracker = Tracking()
    tracker.ask(R1, 3)
    tracker.ask(R2, 4)
    tracker.set_trending([T1])
    tracker.set_popular([P1, P2, P3, make_mint(4)])
    assert tracker.tiers() == {
        "popular": {P1, P2, P3, make_mint(4)},
        "requested": {R2},
        "trending": set(),
    }


def test_a_popular_list_longer_than_the_cap_is_cut() -> None:
    tracker = Tracking([make_mint(number) for number in range(9)])
    assert tracker.popular == tuple(make_mint(number) for number in range(5))


def test_what_leaves_the_popular_list_stays_only_when_asked_for_often_enough() -> None:
    tracker = Tracking([P1, P2, P3])
    tracker.ask(P1, 3)
    tracker.ask(P2, 2)
    tracker.set_popular([P3])
    assert tracker.tiers() == {"popular": {P3}, "requested": {P1}, "trending": set()}


def test_what_joins_the_popular_list_keeps_its_requests() -> None:
    tracker = Tracking()
    tracker.ask(R1, 4)
    tracker.set_trending([T1])
    tracker.ask(T1, 1)
    tracker.set_popular([P1, R1, T1])
    assert tracker.tiers() == {"popular": {P1, R1, T1}, "requested": set(), "trending": set()}
    assert [tracker.requests(mint) for mint in (P1, R1, T1)] == [0, 4, 1]


# Counting


def test_requests_are_forgotten_after_the_window_to_a_slice_of_it() -> None:
    tracker = Tracking()
    tracker.ask(P1, 2)
    tracker.clock.advance(1800)
    tracker.ask(P1, 1)
    tracker.clock.advance(1799)
    assert tracker.requests(P1) == 3
    tracker.clock.advance(1)
    assert tracker.requests(P1) == 1
    tracker.clock.advance(1800)
    assert tracker.requests(P1) == 0


def test_a_long_silence_forgets_everything() -> None:
    tracker = Tracking()
    tracker.ask(P1, 2)
    tracker.clock.advance(3600 * 1000)
    assert tracker.requests(P1) == 0
    tracker.ask(P1, 1)
    assert tracker.requests(P1) == 1


def test_an_untracked_mint_has_no_requests_to_show() -> None:
    tracker = Tracking()
    tracker.ask(R1, 2)
    assert tracker.requests(R1) == 0


def test_the_most_requested_come_first() -> None:
    tracker = Tracking()
    tracker.ask(P2, 1)
    tracker.ask(R1, 4)
    assert tracker.by_demand() == [R1, P2, P1]


# Without a price


def test_a_mint_without_a_price_loses_its_place_and_starts_anew() -> None:
    tracker = Tracking()
    tracker.ask(R1, 9)
    tracker.set_trending([T1])
    assert [tracker.drop(one) for one in (R1, T1, R2, P1)] == [True, True, False, False]
    assert tracker.mints == {P1, P2}
    assert tracker.ask(R1, 3) == [False, False, True]

"""What is popular on other sidecars of a fleet."""

from tests.refresh.tracking import P1, P2, P3, R1, R2, R3, Tracking

# Popular elsewhere


def test_what_is_popular_elsewhere_stays_though_it_is_not_asked_for_here() -> None:
    tracker = Tracking(max_tokens=4)
    assert tracker.keep([P3, P1])
    assert tracker.always == (P1, P2, P3)
    assert tracker.popular == (P1, P2)
    assert tracker.tiers() == {"popular": {P1, P2}, "requested": {P3}, "trending": set()}
    for asked in (R1, R2, R3):
        tracker.ask(asked, 9)
    assert len(tracker.mints) == 4
    assert P3 in tracker.mints


def test_it_takes_only_the_places_that_the_popular_list_leaves() -> None:
    tracker = Tracking(max_tokens=3)
    tracker.keep([R1, R2, R3])
    assert tracker.always == (P1, P2, R1)
    tracker.set_popular([P1, P2, P3])
    assert tracker.always == (P1, P2, P3)


def test_it_leaves_when_it_is_no_longer_popular_there_but_for_what_is_wanted_here() -> None:
    tracker = Tracking()
    tracker.keep([R1, R2])
    assert not tracker.keep([R1, R2])
    tracker.ask(R2, 3)
    assert tracker.keep([])
    assert tracker.mints == {P1, P2, R2}


def test_requests_of_many_sidecars_count_at_once() -> None:
    tracker = Tracking()
    assert [tracker.request(R1, 2), tracker.request(R1, 40)] == [False, True]
    assert tracker.requests(R1) == 42

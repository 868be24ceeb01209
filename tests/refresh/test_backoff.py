"""Not asking for a mint alone that a source does not know (docs/rules.md: R3)."""

import pytest

from sidecar.refresh.backoff import OmissionBackoff
from tests.clock import FakeClock
from tests.pricing.build import TOKEN, make_mint


def build(clock: FakeClock, max_entries: int = 100) -> OmissionBackoff:
    return OmissionBackoff(["jupiter", "dexscreener"], first_seconds=60, max_entries=max_entries, clock=clock)


def test_a_mint_left_out_is_not_asked_for_alone_for_60_s() -> None:
    clock = FakeClock()
    backoff = build(clock)
    assert backoff.shortfall("jupiter", TOKEN) is None
    backoff.note("jupiter", TOKEN, "omitted")
    clock.advance(59.9)
    assert backoff.shortfall("jupiter", TOKEN) == "omitted"
    clock.advance(0.1)
    assert backoff.shortfall("jupiter", TOKEN) is None


def test_each_further_time_doubles_the_pause_up_to_an_hour() -> None:
    clock = FakeClock()
    backoff = build(clock)
    for pause in (60, 120, 240, 480, 960, 1920, 3600, 3600):
        backoff.note("jupiter", TOKEN, "omitted")
        clock.advance(pause - 0.1)
        assert backoff.shortfall("jupiter", TOKEN) == "omitted", pause
        clock.advance(0.1)
        assert backoff.shortfall("jupiter", TOKEN) is None, pause


def test_riding_along_in_a_batch_meanwhile_changes_no_pause() -> None:
    clock = FakeClock()
    backoff = build(clock)
    backoff.note("jupiter", TOKEN, "omitted")
    clock.advance(30)
    backoff.note("jupiter", TOKEN, "omitted")
    clock.advance(30)
    assert backoff.shortfall("jupiter", TOKEN) is None
    backoff.note("jupiter", TOKEN, "omitted")
    clock.advance(119.9)
    assert backoff.shortfall("jupiter", TOKEN) == "omitted"


def test_the_last_answer_of_a_topped_up_mint_is_what_it_falls_short_by() -> None:
    backoff = build(FakeClock())
    backoff.note("jupiter", TOKEN, "thin")
    assert backoff.shortfall("jupiter", TOKEN) == "thin"
    backoff.note("jupiter", TOKEN, "omitted")
    assert backoff.shortfall("jupiter", TOKEN) == "omitted"


def test_a_good_answer_ends_it_and_the_next_pause_is_the_first_again() -> None:
    clock = FakeClock()
    backoff = build(clock)
    backoff.note("jupiter", TOKEN, "omitted")
    clock.advance(60)
    backoff.note("jupiter", TOKEN, "omitted")
    backoff.note("jupiter", TOKEN, None)
    assert backoff.shortfall("jupiter", TOKEN) is None
    backoff.note("jupiter", TOKEN, "thin")
    clock.advance(60)
    assert backoff.shortfall("jupiter", TOKEN) is None


def test_sources_and_mints_are_kept_apart() -> None:
    backoff = build(FakeClock())
    backoff.note("jupiter", TOKEN, "omitted")
    assert backoff.shortfall("dexscreener", TOKEN) is None
    assert backoff.shortfall("jupiter", make_mint(8)) is None


@pytest.mark.parametrize("max_entries", [1, 50])
def test_a_flood_of_unknown_mints_is_bounded(max_entries: int) -> None:
    backoff = build(FakeClock(), max_entries)
    for number in range(1000):
        backoff.note("jupiter", make_mint(number), "omitted")
    assert len(backoff._entries["jupiter"]) == max_entries
    assert backoff.shortfall("jupiter", make_mint(999)) == "omitted"


def test_a_mint_that_is_looked_at_survives_the_flood() -> None:
    backoff = build(FakeClock(), 50)
    backoff.note("jupiter", TOKEN, "omitted")
    for number in range(1000, 2000):
        backoff.note("jupiter", make_mint(number), "omitted")
        assert backoff.shortfall("jupiter", TOKEN) == "omitted"


def test_years_of_omissions_overflow_nothing() -> None:
    clock = FakeClock()
    backoff = build(clock)
    for _ in range(2000):
        backoff.note("jupiter", TOKEN, "omitted")
        clock.advance(3600)
    assert backoff.shortfall("jupiter", TOKEN) is None


def test_what_a_source_priced_when_it_was_last_asked_is_expected_of_it_for_an_hour() -> None:
    clock = FakeClock()
    backoff = build(clock)
    one, two, three = (make_mint(number) for number in (1, 2, 3))
    backoff.note("jupiter", one, None)
    backoff.note("jupiter", two, "thin")
    backoff.note("jupiter", three, "omitted")
    assert backoff.priced("jupiter", [three, two, one]) == [two, one]
    assert backoff.priced("dexscreener", [one]) == []
    backoff.note("jupiter", two, "omitted")
    assert backoff.priced("jupiter", [one, two]) == [one]
    clock.advance(3600)
    assert backoff.priced("jupiter", [one]) == []


def test_what_is_expected_of_a_source_is_bounded() -> None:
    backoff = build(FakeClock(), 50)
    mints = [make_mint(number) for number in range(100)]
    for mint in mints:
        backoff.note("jupiter", mint, None)
    assert backoff.priced("jupiter", mints) == mints[50:]

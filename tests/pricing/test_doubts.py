"""What sources say against others' quotes (docs/rules.md: F5, F7 and F8)."""

import msgspec
import pytest

from sidecar.models import Confidence, Quote
from sidecar.pricing.token_state import TokenState
from tests.pricing.build import KNOWN, agreed, cap_of, dec, dexscreener, gecko, jupiter, last_good, valued

THIN, DEAD = 5_000, 50


def grade(
    *quotes: Quote, state: TokenState = KNOWN, seconds: float = 0.0, omitted: tuple[str, ...] = ()
) -> tuple[str, Confidence, tuple[str, ...]]:
    cap = cap_of(valued(*quotes, state=state, seconds=seconds, omitted=omitted))
    return cap.source, cap.confidence, cap.confidence_reasons


def made_up(price: float, counted: float, claimed: float) -> Quote:
    return msgspec.structs.replace(dexscreener(price, counted), claimed_liquidity_usd=dec(claimed))


@pytest.mark.parametrize("silence", [jupiter(None), jupiter(2, DEAD)])
def test_the_preferred_source_vetoes_others_where_it_shows_no_price_or_a_dead_pool(silence: Quote) -> None:
    assert grade(silence, dexscreener(2), gecko(2))[:2] == ("dexscreener", "low")


def test_a_veto_stands_until_the_preferred_source_answers_for_an_hour_at_most() -> None:
    state = valued(jupiter(2, DEAD), dexscreener(2)).state
    others = dexscreener(2, seconds=3600), gecko(2, seconds=3600)
    assert grade(*others, state=state, seconds=3600)[1] == "low"
    others = dexscreener(2, seconds=3601), gecko(2, seconds=3601)
    assert grade(*others, state=state, seconds=3601)[1] == "high"
    assert grade(jupiter(2, seconds=60), dexscreener(2, seconds=60), state=state, seconds=60)[1] == "high"


def test_no_other_sources_silence_is_a_veto() -> None:
    assert grade(jupiter(2), dexscreener(2, DEAD), gecko(2))[1] == "high"


def test_what_repeats_the_price_of_a_pool_that_is_made_up_is_thin() -> None:
    assert grade(jupiter(2), made_up(2, 23, 2e9), gecko(2)) == (
        "jupiter",
        "low",
        ("thin_liquidity", "single_source"),
    )
    assert grade(jupiter(2), made_up(9, 23, 2e9), gecko(2))[1] == "high"
    assert grade(jupiter(2), made_up(2, 1_000, 20_001), gecko(2))[1] == "low"
    assert grade(jupiter(2), made_up(2, 1_000, 20_000), gecko(2))[1] == "high"
    assert grade(jupiter(2), made_up(2, 9_000, 30_000), gecko(2))[1] == "high"


def test_a_usable_quote_that_is_a_jump_away_keeps_a_price_from_high_a_thin_one_included() -> None:
    assert grade(jupiter(2), dexscreener(2), gecko(3.1, THIN))[1:] == ("medium", ("disagreement",))
    assert grade(jupiter(2), dexscreener(2), gecko(3, THIN))[1] == "high"


def test_a_thin_quote_a_jump_away_keeps_doing_so_until_its_source_answers_again() -> None:
    state = valued(jupiter(0.5, THIN), dexscreener(2), gecko(2), state=last_good(2), has_value=True).state
    later = dexscreener(2, seconds=60), gecko(2, seconds=60)
    assert grade(*later, state=state, seconds=60)[1:] == ("medium", ("disagreement",))
    assert grade(*later, jupiter(2, seconds=60), state=state, seconds=60)[1] == "high"
    assert grade(*later, state=state, seconds=60, omitted=("jupiter",))[2] == ("preferred_source_silent",)


def test_the_preferred_sources_contradiction_stands_for_ten_minutes_when_it_fails() -> None:
    state = valued(jupiter(2), dexscreener(1.5), gecko(1.5)).state
    for seconds, confidence in ((600, "medium"), (601, "high")):
        later = dexscreener(1.5, seconds=seconds), gecko(1.5, seconds=seconds)
        assert grade(*later, state=state, seconds=seconds)[1] == confidence


def verdict(*quotes: Quote, seconds: float = 60.0, omitted: tuple[str, ...] = ()) -> Confidence:
    """Return the confidence a minute after Jupiter's price of 2 was agreed."""
    state = msgspec.structs.replace(KNOWN, comparison=agreed(0, price=2))
    return grade(*quotes, state=state, seconds=seconds, omitted=omitted)[1]


def test_a_verdict_is_for_a_source_and_a_price() -> None:
    assert verdict(jupiter(2, seconds=60)) == "high"
    assert verdict(jupiter("2.4", seconds=60)) == "high"
    assert verdict(jupiter("2.41", seconds=60)) == "medium"
    assert verdict(jupiter("1.66", seconds=60)) == "medium"
    assert verdict(dexscreener(2, seconds=60)) == "medium"


def test_a_verdict_lapses_when_the_preferred_source_has_answered_without_a_good_quote() -> None:
    state = msgspec.structs.replace(KNOWN, comparison=agreed(0, price=2, source="dexscreener"))
    two = dexscreener(2, seconds=60)
    assert grade(two, state=state, seconds=60)[1] == "high"
    assert grade(two, state=state, seconds=60, omitted=("geckoterminal",))[1] == "high"
    assert grade(two, state=state, seconds=60, omitted=("jupiter",))[1] == "medium"
    assert grade(jupiter(2, THIN, seconds=60), two, state=state, seconds=60)[1] == "medium"


@pytest.mark.parametrize(("price", "confidence"), [(2.12, "high"), (2.1201, "medium")])
def test_quotes_that_agreed_go_on_agreeing_up_to_a_fifth_more(price: float, confidence: Confidence) -> None:
    assert verdict(jupiter(2, seconds=60), dexscreener(price, seconds=60)) == confidence
    assert grade(jupiter(2), dexscreener(price))[1] == "medium"


def test_a_move_by_more_than_ten_times_is_at_most_medium_until_a_second_refresh_has_seen_it() -> None:
    first = valued(jupiter(21), dexscreener(21), gecko(21), state=last_good(2))
    assert cap_of(first).confidence_reasons == ("jump",)
    for seconds, reasons in ((29, ("jump",)), (30, ()), (60, ())):
        again = jupiter(21, seconds=seconds), dexscreener(21, seconds=seconds)
        assert grade(*again, state=first.state, seconds=seconds)[2] == reasons
    assert cap_of(valued(jupiter(20), dexscreener(20), state=last_good(2))).confidence_reasons == ()

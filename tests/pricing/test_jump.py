"""A price that moves too fast to be believed at once (docs/rules.md: F9)."""

from typing import Final

import pytest

from sidecar.models import Quote
from sidecar.pricing.result import Valuation
from sidecar.pricing.token_state import TokenState
from tests.pricing.build import at, cap_of, dexscreener, figure, gecko, jupiter, last_good, valued

THIN: Final = 5_000


def guarded(*quotes: Quote, state: TokenState, seconds: float = 60.0) -> Valuation:
    """Value with a value in memory, a minute after the last good price."""
    return valued(*quotes, state=state, seconds=seconds, has_value=True)


def what(valuation: Valuation) -> tuple[str, float | None]:
    return valuation.kind, None if valuation.cap is None else valuation.cap.price_usd


HELD: Final = ("held", None)


@pytest.mark.parametrize("price", [3, "1.33333333334", 2, "2.9"])
def test_up_or_down_by_half_is_no_jump(price: str | float) -> None:
    assert guarded(jupiter(price), state=last_good(2)).kind == "priced"


@pytest.mark.parametrize("price", ["3.0001", "1.3333", 400, "0.001"])
def test_more_than_half_up_or_down_is_held_when_no_other_source_has_a_quote(price: str | float) -> None:
    valuation = guarded(jupiter(price), state=last_good(2))
    assert what(valuation) == HELD
    assert valuation.state.last_good == figure(2)
    assert valuation.state.held_upwards == (float(price) > 2)
    assert valuation.refusals == (("jupiter", "jump"),)
    assert [(explanation.taken, explanation.reason) for explanation in valuation.explanation] == [(False, "jump")]


def test_a_jump_is_measured_only_against_a_price_younger_than_fresh_seconds() -> None:
    assert what(guarded(jupiter(9), state=last_good(2), seconds=359.9)) == HELD
    assert what(guarded(jupiter(9), state=last_good(2), seconds=360)) == ("priced", 9.0)


def test_nothing_is_held_without_a_value_to_serve_instead() -> None:
    valuation = valued(jupiter(9), state=last_good(2), seconds=60, has_value=False)
    assert what(valuation) == ("priced", 9.0)


def test_without_a_last_good_price_there_is_no_jump() -> None:
    assert what(guarded(jupiter(9), state=TokenState(chain=last_good(2).chain))) == ("priced", 9.0)


@pytest.mark.parametrize(
    ("second", "came"),
    [("10.8", ("priced", 9.0)), ("7.5", ("priced", 9.0)), ("10.81", HELD), ("7.49", HELD), ("2", HELD)],
)
def test_a_second_source_within_a_factor_of_1_2_confirms(second: str, came: tuple[str, float | None]) -> None:
    assert what(guarded(jupiter(9), dexscreener(second), state=last_good(2))) == came


def test_a_thin_second_quote_confirms_too() -> None:
    assert what(guarded(jupiter(9), dexscreener(9, THIN), state=last_good(2))) == ("priced", 9.0)


def test_a_refused_second_quote_confirms_nothing() -> None:
    assert what(guarded(jupiter(9), dexscreener(9, 50), state=last_good(2))) == HELD


def test_a_confirmed_jump_is_what_the_next_one_is_measured_against() -> None:
    taken = guarded(jupiter(9, seconds=60), dexscreener(9, seconds=60), state=last_good(2))
    assert taken.state.last_good == figure(9, seconds=60)
    assert what(guarded(jupiter(9), state=taken.state, seconds=120)) == ("priced", 9.0)
    assert what(guarded(jupiter(2), state=taken.state, seconds=120)) == HELD


@pytest.mark.parametrize("price", [9, 4, 1000])
def test_the_next_quote_in_the_same_direction_is_taken_whatever_its_size(price: float) -> None:
    held = guarded(jupiter(9), state=last_good(2))
    taken = guarded(jupiter(price, seconds=120), state=held.state, seconds=120)
    assert what(taken) == ("priced", float(price))
    assert (taken.state.held_upwards, taken.state.last_good) == (None, figure(price, seconds=120))


def test_a_fall_confirms_itself_like_a_rise() -> None:
    held = guarded(jupiter("0.5"), state=last_good(2))
    assert what(guarded(jupiter("0.3"), state=held.state, seconds=120)) == ("priced", 0.3)


def test_a_jump_the_other_way_is_a_new_one() -> None:
    held = guarded(jupiter(9), state=last_good(2))
    other = guarded(jupiter("0.5"), state=held.state, seconds=120)
    assert (what(other), other.state.held_upwards) == (HELD, False)
    assert what(guarded(jupiter("0.5"), state=other.state, seconds=180)) == ("priced", 0.5)


def test_a_bad_tick_is_never_served() -> None:
    held = guarded(jupiter(9), state=last_good(2))
    back = guarded(jupiter("2.01", seconds=120), state=held.state, seconds=120)
    assert (what(back), back.state.held_upwards) == (("priced", 2.01), None)
    assert what(guarded(jupiter(9), state=back.state, seconds=180)) == HELD


def test_a_quote_of_another_source_cannot_confirm_itself_while_the_old_price_is_fresh() -> None:
    state = last_good(2, source="jupiter")
    for seconds in (60.0, 120.0, 359.0):
        held = guarded(dexscreener(9), state=state, seconds=seconds)
        assert (what(held), held.state.held_upwards) == (HELD, True)
        state = held.state
    assert what(guarded(dexscreener(9), state=state, seconds=360)) == ("priced", 9.0)


def test_a_thin_quote_cannot_confirm_itself_while_the_old_price_is_fresh() -> None:
    state = last_good(2)
    for seconds in (60.0, 120.0, 359.0):
        held = guarded(jupiter(9, THIN), state=state, seconds=seconds)
        assert what(held) == HELD
        state = held.state
    assert what(guarded(jupiter(9, THIN), state=state, seconds=360)) == ("priced", 9.0)


def test_a_held_jump_is_taken_at_once_when_a_second_source_confirms_it() -> None:
    held = guarded(dexscreener(9), state=last_good(2))
    assert what(guarded(dexscreener(9), gecko(9), state=held.state, seconds=120)) == ("priced", 9.0)


def test_the_last_good_price_is_never_a_thin_one() -> None:
    valuation = guarded(jupiter("2.5", THIN), state=last_good(2))
    assert what(valuation) == ("priced", 2.5)
    assert valuation.state.last_good == figure(2)


def test_two_sources_that_confirm_each_other_outvote_a_jump() -> None:
    valuation = guarded(jupiter(120), dexscreener(2, seconds=60), gecko("2.1"), state=last_good(2))
    assert what(valuation) == ("priced", 2.0)
    assert valuation.state.last_good == figure(2, source="dexscreener", seconds=60)
    assert valuation.refusals == (("jupiter", "jump"),)
    assert [(explanation.source, explanation.reason) for explanation in valuation.explanation] == [
        ("jupiter", "jump"),
        ("dexscreener", None),
        ("geckoterminal", "agrees"),
    ]


def test_two_others_that_contradict_each_other_outvote_no_source() -> None:
    assert what(guarded(jupiter(120), dexscreener(2), gecko("2.41"), state=last_good(2))) == HELD


def test_an_outvoting_price_may_itself_be_far_from_the_last_one() -> None:
    valuation = guarded(jupiter(120), dexscreener(7), gecko(7), state=last_good(2))
    assert what(valuation) == ("priced", 7.0)


def test_an_outvoted_jump_stays_outvoted_and_is_not_taken_as_its_own_confirmation() -> None:
    first = guarded(jupiter(120), dexscreener(2), gecko(2), state=last_good(2))
    second = guarded(jupiter(120), dexscreener(2), gecko(2), state=first.state, seconds=120)
    alone = guarded(jupiter(120), state=second.state, seconds=180)
    assert (what(second), what(alone)) == (("priced", 2.0), HELD)


def test_a_good_quote_that_is_no_jump_needs_no_confirmation() -> None:
    assert what(guarded(jupiter(2), dexscreener(9), gecko(9), state=last_good(2))) == ("priced", 2.0)


def test_a_confirmed_jump_is_as_sure_as_any_other_price() -> None:
    cap = cap_of(guarded(jupiter(9, seconds=60), dexscreener(9, seconds=60), state=last_good(2)))
    assert (cap.confidence, cap.timestamp) == ("high", at(60).unix)


def test_one_against_one_the_old_price_decides_while_it_is_fresh_and_the_order_of_sources_after() -> None:
    state = guarded(jupiter(6), dexscreener(2), state=last_good(2)).state
    for seconds in (120.0, 240.0, 359.0):
        again = guarded(jupiter(6, seconds=seconds), dexscreener(2, seconds=seconds), state=state, seconds=seconds)
        assert what(again) == ("priced", 2.0)
        assert again.state.last_good == figure(2)
        state = again.state
    late = guarded(jupiter(6, seconds=360), dexscreener(2, seconds=360), state=state, seconds=360)
    assert what(late) == ("priced", 6.0)
    assert late.cap is not None
    assert late.cap.confidence == "low"

"""When a token has no price any more, which is an answer and no failure (docs/rules.md: F10)."""

from sidecar.pricing.result import Valuation
from sidecar.pricing.token_state import TokenState
from tests.pricing.build import (
    DEAD,
    KNOWN,
    START,
    dexscreener,
    jupiter,
    last_good,
    quote,
    valued,
)

# 10: an answer, not a failure


def unpriced(seconds: float, state: TokenState, *, has_value: bool = True) -> Valuation:
    return valued(quote(None), state=state, seconds=seconds, has_value=has_value)


def test_the_second_answer_without_a_price_at_least_30_s_later_ends_a_value() -> None:
    first = unpriced(0, last_good(2))
    assert (first.kind, first.state.unpriced_since) == ("suspect", START)
    early = unpriced(29.9, first.state)
    assert (early.kind, early.state.unpriced_since) == ("suspect", START)
    second = unpriced(30, early.state)
    assert (second.kind, second.state.unpriced_since) == ("unpriced", None)


def test_a_price_between_two_answers_without_one_starts_over() -> None:
    first = unpriced(0, KNOWN)
    between = valued(jupiter(2, seconds=20), state=first.state, seconds=20, has_value=True)
    assert unpriced(40, between.state).kind == "suspect"


def test_a_held_jump_between_two_answers_without_a_price_starts_over() -> None:
    first = unpriced(0, last_good(2))
    between = valued(jupiter(9, seconds=20), state=first.state, seconds=20, has_value=True)
    assert between.kind == "held"
    assert unpriced(40, between.state).kind == "suspect"


def test_a_mint_without_a_value_is_unpriced_at_once() -> None:
    assert unpriced(0, TokenState(), has_value=False).kind == "unpriced"


def test_nothing_but_refusals_is_an_answer_that_names_them() -> None:
    valuation = valued(jupiter(2, DEAD), dexscreener("0"), quote(None, source="geckoterminal"))
    assert valuation.kind == "unpriced"
    assert valuation.reason == (
        "no source has a trustworthy price"
        " (jupiter: dead_pool, dexscreener: not_positive, geckoterminal: no price)"
    )
    assert valuation.refusals == (("jupiter", "dead_pool"), ("dexscreener", "not_positive"))
    assert not valuation.lacks_supply


def test_nothing_said_at_all_has_a_reason_too() -> None:
    assert valued().reason == "no source has a trustworthy price"


def test_a_price_without_a_supply_says_so() -> None:
    valuation = valued(jupiter(2), state=TokenState())
    assert (valuation.kind, valuation.lacks_supply, valuation.reason) == (
        "unpriced",
        True,
        "there is a price but no supply",
    )

"""What a quote is worth, which one is taken, how sure we are (docs/rules.md: F5, F6, F8 and F10)."""

import msgspec
import pytest

from sidecar.models import Confidence, Quote
from sidecar.pricing.token_state import TokenState
from tests.pricing.build import (
    DEAD,
    KNOWN,
    START,
    THIN,
    TOKEN,
    at,
    cap_of,
    chain,
    dexscreener,
    figure,
    gecko,
    jupiter,
    last_good,
    quote,
    valued,
)

# 6: the choice


def source_of(*quotes: Quote) -> tuple[str, Confidence]:
    cap = cap_of(valued(*quotes))
    return cap.source, cap.confidence


def test_the_first_good_quote_is_taken() -> None:
    assert source_of(jupiter(2), dexscreener(2.5), gecko(1)) == ("jupiter", "medium")
    assert source_of(jupiter(None), dexscreener(2.5), gecko(1)) == ("dexscreener", "low")


def test_a_thin_quote_gives_way_to_a_later_good_one_within_a_factor_of_two() -> None:
    assert source_of(jupiter(2, THIN), dexscreener(4)) == ("dexscreener", "medium")
    assert source_of(jupiter(2, THIN), dexscreener(1)) == ("dexscreener", "medium")
    assert source_of(jupiter(2, THIN), dexscreener(3, THIN), gecko(3)) == ("geckoterminal", "medium")


def test_a_thin_quote_stays_beyond_a_factor_of_two() -> None:
    assert source_of(jupiter(2, THIN), dexscreener("4.0001")) == ("jupiter", "low")
    assert source_of(jupiter(2, THIN), dexscreener("0.9999")) == ("jupiter", "low")


def test_a_thin_quote_gives_way_to_whichever_good_one_agrees() -> None:
    assert source_of(jupiter(2, THIN), dexscreener(9), gecko(2)) == ("geckoterminal", "medium")


def test_a_thin_quote_alone_is_served_at_low() -> None:
    assert source_of(jupiter(2, THIN)) == ("jupiter", "low")
    assert source_of(jupiter(2, DEAD), dexscreener(2, THIN), gecko(2, DEAD)) == ("dexscreener", "low")


def test_a_good_first_quote_does_not_give_way_to_one_other_nor_to_others_that_are_close() -> None:
    assert source_of(jupiter(2), dexscreener(4)) == ("jupiter", "medium")
    assert source_of(jupiter(2), dexscreener(4), gecko(9)) == ("jupiter", "medium")
    assert source_of(jupiter(2), dexscreener("2.9"), gecko("2.9")) == ("jupiter", "medium")


def test_two_that_confirm_each_other_outvote_a_first_quote_that_is_a_jump_away_while_no_price_is_known() -> None:
    assert source_of(jupiter(2), dexscreener(4), gecko(4)) == ("dexscreener", "medium")
    assert source_of(jupiter(2), dexscreener(4, THIN), gecko(4)) == ("geckoterminal", "medium")
    assert source_of(jupiter(2), dexscreener(4, THIN), gecko(4, THIN)) == ("jupiter", "medium")


def test_a_third_source_is_asked_when_two_are_a_jump_apart_and_no_price_is_known() -> None:
    assert not valued(jupiter(2), dexscreener("3.1"), state=KNOWN).conclusive
    assert valued(jupiter(2), dexscreener(3), state=KNOWN).conclusive


# Whether another source is asked


@pytest.mark.parametrize(
    ("quotes", "state"),
    [
        ([], KNOWN),
        ([jupiter(None)], KNOWN),
        ([jupiter(2, DEAD)], KNOWN),
        ([jupiter(2, THIN)], KNOWN),
        ([jupiter(2)], TokenState()),
        ([jupiter(4)], last_good(2)),
    ],
)
def test_another_source_is_asked_for_what_the_first_does_not_settle(
    quotes: list[Quote], state: TokenState
) -> None:
    assert not valued(*quotes, state=state).conclusive


def test_a_good_quote_with_a_supply_is_conclusive() -> None:
    assert valued(jupiter(2)).conclusive


def test_only_an_unconfirmed_jump_is_called_one() -> None:
    assert valued(jupiter(4), state=last_good(2)).jump
    assert valued(jupiter(4), state=last_good(2), has_value=True).jump
    assert not valued(jupiter(2, THIN), state=last_good(2)).jump
    assert not valued(jupiter(4, THIN), dexscreener(4, THIN), state=last_good(2)).jump


# 1 and the answer's own fields


def test_a_value_says_where_its_figures_come_from() -> None:
    cap = cap_of(valued(quote("2.5", liquidity=42_000, seconds=-12), seconds=0))
    assert msgspec.to_builtins(cap) == {
        "mint": TOKEN,
        "symbol": "TKN",
        "price_usd": 2.5,
        "market_cap_usd": 2_000_000.0,
        "basis": "circulating",
        "fdv_usd": 2_500_000.0,
        "circulating_supply": 800_000.0,
        "total_supply": 1_000_000.0,
        "liquidity_usd": 42_000.0,
        "confidence": "medium",
        "source": "jupiter",
        "supply_source": "solana_rpc",
        "circulating_source": "jupiter",
        "timestamp": START.unix - 12,
        "confidence_reasons": ("single_source",),
        "sources_agreeing": None,
        "price_spread": None,
        "price_slot": None,
        "supply_slot": None,
        "volume_24h_usd": None,
        "price_change_24h": None,
        "verified": None,
        "volatility": None,
        "uncertainty": None,
        "age_seconds": 0.0,
        "stale": False,
        "cached": True,
    }


def test_the_answers_time_is_the_priced_quotes() -> None:
    valuation = valued(jupiter(2, seconds=-30), dexscreener(2, seconds=-5))
    assert valuation.received == at(-30)


def test_the_lists_symbol_beats_the_sources() -> None:
    assert cap_of(valued(jupiter(2), symbol="mine")).symbol == "mine"


# 8: confidence


@pytest.mark.parametrize(
    ("quotes", "state", "confidence"),
    [
        ([jupiter(2), dexscreener(2)], KNOWN, "high"),
        ([jupiter(2)], KNOWN, "medium"),
        ([jupiter(2, THIN), dexscreener(2, THIN)], KNOWN, "low"),
        (
            [jupiter(2), dexscreener(2)],
            TokenState(source_total=figure(1_000_000), circulating=figure(800_000)),
            "low",
        ),
        ([jupiter(2), dexscreener(2)], TokenState(chain=chain(1_000_000)), "medium"),
    ],
)
def test_high_is_agreed_and_good_and_read_on_chain(
    quotes: list[Quote], state: TokenState, confidence: Confidence
) -> None:
    assert cap_of(valued(*quotes, state=state)).confidence == confidence

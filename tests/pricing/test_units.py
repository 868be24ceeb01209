"""Prices of tokens whose displayed amounts are scaled (docs/rules.md: F2)."""

from decimal import Decimal

import msgspec
import pytest

from sidecar.models import Quote, ScaledUiAmount, Unit
from sidecar.pricing.token_state import TokenState
from tests.pricing.build import START, cap_of, chain, dexscreener, figure, gecko, jupiter, quote, valued

FIVE = Decimal(5)
TIMES_FIVE = ScaledUiAmount(multiplier=FIVE, next_multiplier=FIVE, next_from_unix=0)
STATE = TokenState(
    chain=chain(1_000, scaled=TIMES_FIVE),
    chain_answered=START,
    source_total=figure(5_000),
    circulating=figure(4_000),
)
"""1,000 raw tokens are 5,000 displayed ones, of which 4,000 circulate."""


def unit_of(source_quote: Quote, unit: Unit) -> Quote:
    return msgspec.structs.replace(source_quote, unit=unit)


def raw_gecko(price: str | float) -> Quote:
    return unit_of(gecko(price), "raw")


def some_dexscreener(price: str | float) -> Quote:
    return unit_of(dexscreener(price), "unknown")


def test_a_price_of_raw_units_is_divided_by_the_multiplier() -> None:
    cap = cap_of(valued(raw_gecko(10), state=STATE))
    assert (cap.price_usd, cap.market_cap_usd, cap.fdv_usd) == (2.0, 8_000.0, 10_000.0)
    assert cap_of(valued(jupiter(2), raw_gecko(10), state=STATE)).confidence == "high"


def test_where_the_preferred_source_counts_raw_units_raw_prices_stay() -> None:
    state = msgspec.structs.replace(STATE, source_total=figure(1_000), circulating=figure(800))
    cap = cap_of(valued(jupiter(10), raw_gecko(10), state=state))
    assert (cap.price_usd, cap.market_cap_usd, cap.confidence) == (10.0, 8_000.0, "high")


@pytest.mark.parametrize("price", [2, 10, "2.1", "9.6"])
def test_an_undocumented_unit_is_the_one_whose_price_stands_by_jupiters(price: str | float) -> None:
    assert cap_of(valued(jupiter(2), some_dexscreener(price), state=STATE)).confidence == "high"


def test_without_jupiter_it_is_the_one_whose_price_stands_by_the_last_good_one() -> None:
    state = msgspec.structs.replace(STATE, last_good=figure(2))
    for price in (2, 10):
        assert cap_of(valued(some_dexscreener(price), state=state)).price_usd == 2.0


@pytest.mark.parametrize("price", [4, 25, 1])
def test_a_price_that_stands_by_neither_is_thin_and_confirms_nothing(price: float) -> None:
    valuation = valued(some_dexscreener(price), state=STATE)
    cap = cap_of(valuation)
    assert (cap.price_usd, cap.confidence, cap.confidence_reasons[0]) == (float(price), "low", "unit_unknown")
    beside = cap_of(valued(some_dexscreener(price), raw_gecko(10), state=STATE))
    assert (beside.source, beside.price_usd, beside.price_spread) == ("geckoterminal", 2.0, None)


def test_a_move_by_just_the_multiplier_does_not_tell_another_sources_unit() -> None:
    state = msgspec.structs.replace(STATE, last_good=figure(2))
    valuation = valued(jupiter(10), some_dexscreener(10), state=state, has_value=True)
    assert (valuation.kind, valuation.conclusive) == ("held", False)
    confirmed = cap_of(valued(jupiter(10), some_dexscreener(10), raw_gecko(50), state=state, has_value=True))
    assert (confirmed.source, confirmed.price_usd) == ("jupiter", 10.0)


def test_a_token_without_a_multiplier_has_one_unit() -> None:
    cap = cap_of(valued(some_dexscreener(3)))
    assert (cap.price_usd, cap.confidence) == (3.0, "medium")


def test_a_multiplier_that_changes_makes_no_jump_of_the_price_and_none_of_the_supply() -> None:
    switch = ScaledUiAmount(multiplier=FIVE, next_multiplier=FIVE * 2, next_from_unix=int(START.unix) + 30)
    state = msgspec.structs.replace(STATE, chain=chain(1_000, scaled=switch), last_good=figure(2))
    row = quote(1, total=10_000, circulating=8_000, seconds=60)
    valuation = valued(row, state=state, seconds=60, has_value=True)
    cap = cap_of(valuation)
    assert (cap.market_cap_usd, cap.total_supply, valuation.jump) == (8_000.0, 10_000.0, False)
    assert cap.confidence_reasons == ("single_source",)


def test_nothing_known_of_jupiters_total_leaves_the_unit_of_the_supply_open() -> None:
    state = TokenState(chain=chain(1_000, scaled=TIMES_FIVE), chain_answered=START)
    cap = cap_of(valued(raw_gecko(10), state=state))
    assert (cap.market_cap_usd, cap.confidence) == (10_000.0, "low")
    assert "unit_unknown" in cap.confidence_reasons

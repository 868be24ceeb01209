"""Supplies that jump wait to be read again (docs/rules.md: F2 and F4)."""

from decimal import Decimal

import msgspec
import pytest

from sidecar.models import ChainSupply, Quote
from sidecar.pricing.explain import as_float
from sidecar.pricing.supply import effective_supply
from sidecar.pricing.supply_updates import take_chain, update_supplies
from sidecar.pricing.token_state import TokenState
from tests.pricing.build import (
    DAY,
    KNOWN,
    POLICY,
    START,
    at,
    cap_of,
    chain,
    dexscreener,
    figure,
    jupiter,
    quote,
    valued,
)

MILLION = 1_000_000.0


def read(
    state: TokenState, total: float | None, seconds: float, *, slot: int | None = None, decimals: int | None = None
) -> tuple[TokenState, bool]:
    """Let the chain answer so many seconds after the start; None: the account is gone."""
    supply = None
    if total is not None:
        supply = msgspec.structs.replace(chain(total, seconds=seconds), slot=slot, decimals=decimals)
    return take_chain(state, supply, slot=slot, answered=at(seconds), jump_factor=POLICY.jump_factor)


def total_of(state: TokenState, seconds: float) -> float | None:
    return as_float(effective_supply(state, at(seconds)).total)


def said(state: TokenState, *quotes: Quote, seconds: float) -> tuple[TokenState, list[str]]:
    return update_supplies(state, quotes, at(seconds), POLICY.jump_factor)


def circulating_of(state: TokenState, seconds: float) -> float | None:
    return as_float(effective_supply(state, at(seconds)).circulating)


@pytest.mark.parametrize("total", [1_500_000, 1_000_000, 666_667])
def test_a_total_that_moves_by_up_to_half_is_taken_at_once(total: float) -> None:
    state, refused = read(KNOWN, total, 300)
    assert (total_of(state, 300), refused, effective_supply(state, at(300)).changed) == (total, False, False)


@pytest.mark.parametrize("total", [1_500_001, 666_666, 100, 0])
def test_a_total_that_jumps_waits_until_it_is_read_again_a_minute_later(total: float) -> None:
    first, refused = read(KNOWN, total, 300)
    assert (total_of(first, 300), refused, effective_supply(first, at(300)).changed) == (MILLION, True, True)
    soon, _ = read(first, total, 359)
    assert total_of(soon, 359) == MILLION
    then, refused = read(soon, total, 360)
    assert (total_of(then, 360), refused) == (total, False)
    assert effective_supply(then, at(960)).changed
    assert not effective_supply(then, at(961)).changed


def test_another_jump_starts_to_wait_anew_and_a_reading_as_before_ends_it() -> None:
    first, _ = read(KNOWN, 100, 300)
    other, _ = read(first, 200, 360)
    assert total_of(read(other, 200, 400)[0], 400) == MILLION
    back, refused = read(other, 1_000_000, 420)
    assert (total_of(back, 420), refused, effective_supply(back, at(420)).changed) == (MILLION, False, False)


def test_a_jump_that_jupiter_speaks_against_waits_for_as_long_as_it_does() -> None:
    state = msgspec.structs.replace(KNOWN, source_total=figure(1_000_000, seconds=300))
    for seconds in (300, 360, 420, 480):
        state, refused = read(state, 100, seconds)
        assert (total_of(state, seconds), refused) == (MILLION, True)


def test_an_account_that_is_gone_ends_read_on_chain_at_once_and_a_new_one_counts_at_once() -> None:
    state = msgspec.structs.replace(KNOWN, source_total=figure(1_000_000))
    gone, refused = read(state, None, 60)
    supply = effective_supply(gone, at(60))
    assert (supply.on_chain, supply.total_source, refused) == (False, "jupiter", False)
    assert effective_supply(read(gone, 5, 120)[0], at(120)).on_chain


def test_an_answer_of_an_earlier_slot_is_not_taken_not_even_that_the_account_is_gone() -> None:
    state, _ = read(KNOWN, 1_000_000, 60, slot=1000)
    for total in (900_000, None):
        behind, refused = read(state, total, 120, slot=999)
        assert (total_of(behind, 120), refused) == (MILLION, True)
        assert behind.chain_answered == at(120)
    assert total_of(read(state, 900_000, 120, slot=1000)[0], 120) == 900_000
    assert total_of(read(state, 900_000, 60 + 3601, slot=5)[0], 60 + 3601) == 900_000


def test_another_mints_account_is_told_by_its_decimals() -> None:
    state = msgspec.structs.replace(KNOWN, decimals=6)
    other, refused = read(state, 1_100_000, 60, decimals=9)
    assert (total_of(other, 60), refused) == (MILLION, True)
    assert total_of(read(state, 1_100_000, 60, decimals=6)[0], 60) == 1_100_000


def test_a_first_reading_of_another_mint_does_not_count_once_a_source_has_told_the_decimals() -> None:
    state, _ = read(TokenState(), 77, 0, decimals=9)
    row = msgspec.structs.replace(quote(total=1_000_000), decimals=6)
    state, _ = said(state, row, seconds=0)
    supply = effective_supply(state, at(0))
    assert (as_float(supply.total), supply.total_source, supply.on_chain) == (MILLION, "jupiter", False)
    assert total_of(read(state, 1_000_000, 300, decimals=6)[0], 300) == MILLION


def test_decimals_that_only_a_source_changes_stay() -> None:
    state, _ = read(TokenState(), 1_000_000, 0, decimals=6)
    for decimals in (6, 9):
        state, _ = said(state, msgspec.structs.replace(quote(), decimals=decimals), seconds=0)
    assert (state.decimals, total_of(state, 0)) == (6, MILLION)


@pytest.mark.parametrize(
    ("circulating", "expected"), [(1_000_000, 1_000_000), (533_334, 533_334), (8_001, 800_000)]
)
def test_a_circulating_supply_that_jumps_waits_too_and_is_counted(circulating: float, expected: float) -> None:
    state, refused = said(KNOWN, quote(circulating=circulating, seconds=60), seconds=60)
    is_jump = circulating != expected
    assert (circulating_of(state, 60), refused) == (expected, ["jupiter"] * is_jump)
    again, refused = said(state, quote(circulating=circulating, seconds=120), seconds=120)
    assert (circulating_of(again, 120), refused) == (circulating, [])
    assert effective_supply(again, at(120)).changed == is_jump


def test_next_to_nothing_is_never_taken_however_often_it_is_said() -> None:
    state = KNOWN
    for minute in range(1, 6):
        state, refused = said(state, quote(circulating=99, seconds=60 * minute), seconds=60 * minute)
        assert (circulating_of(state, 60 * minute), refused) == (800_000, ["jupiter"])


def test_next_to_nothing_is_not_taken_either_once_the_last_known_is_too_old() -> None:
    late = 2 * DAY
    state, _ = read(KNOWN, 1_000_000, late)
    state, refused = said(state, quote(circulating=99, seconds=late), seconds=late)
    assert (circulating_of(state, late), refused) == (None, ["jupiter"])
    state, refused = said(state, quote(circulating=700_000, seconds=late), seconds=late)
    assert (circulating_of(state, late), refused) == (700_000, [])


def test_little_is_taken_at_once_where_it_was_as_little_when_last_known() -> None:
    state, _ = read(msgspec.structs.replace(KNOWN, circulating=figure(5_000)), 1_000_000, 2 * DAY)
    state, refused = said(state, quote(circulating=5_100, seconds=2 * DAY), seconds=2 * DAY)
    assert (circulating_of(state, 2 * DAY), refused) == (5_100, [])


def test_little_is_taken_when_it_is_said_again_and_never_gets_above_medium() -> None:
    state = TokenState(chain=chain(1_000_000), chain_answered=START)
    first = valued(quote(circulating=5_000), dexscreener(), state=state)
    assert (cap_of(first).basis, cap_of(first).confidence) == ("total", "medium")
    again = quote(circulating=5_000, seconds=60)
    second = cap_of(valued(again, dexscreener(seconds=60), state=first.state, seconds=60))
    assert (second.basis, second.confidence) == ("circulating", "medium")
    assert second.confidence_reasons == ("supply_changed",)


def test_a_supply_that_waits_refuses_no_price_and_keeps_the_cap_from_high() -> None:
    valuation = valued(quote(circulating=1, seconds=60), dexscreener(seconds=60), state=KNOWN, seconds=60)
    cap = cap_of(valuation)
    assert (cap.market_cap_usd, cap.confidence, cap.confidence_reasons) == (1.6e6, "medium", ("supply_changed",))
    assert valuation.refusals == (("jupiter", "supply"),)


@pytest.mark.parametrize(
    ("total", "confidence"), [(1_010_000, "high"), (1_010_001, "low"), (989_999, "low"), (1_000_000_000, "low")]
)
def test_jupiters_total_more_than_one_percent_off_the_chains_is_low(total: float, confidence: str) -> None:
    cap = cap_of(valued(quote(total=total), dexscreener(), state=KNOWN))
    assert (cap.market_cap_usd, cap.confidence) == (1.6e6, confidence)
    assert cap.confidence_reasons == (() if confidence == "high" else ("supply_not_on_chain",))


def test_jupiters_total_of_long_ago_only_contradicts_what_no_day_explains() -> None:
    late = 7_200.0
    reading = chain(1_000_000, seconds=late)
    for before, contradicted in ((900_000, False), (600_000, True)):
        state = TokenState(chain=reading, chain_answered=at(late), source_total=figure(before))
        assert effective_supply(state, at(late)).contradicted is contradicted


def test_a_supply_of_sol_that_cannot_be_gives_way_to_jupiters() -> None:
    native = chain(631_000_000_000, circulating=583_000_000_000)
    state = TokenState(chain=native, chain_answered=START)
    row = quote(140, total=630_000_000, circulating=582_000_000, liquidity=3e8)
    cap = cap_of(valued(row, dexscreener(140, 9e7), state=state))
    assert (cap.total_supply, cap.circulating_supply, cap.confidence) == (630_000_000, 582_000_000, "low")


def test_a_sources_total_that_jumps_waits_as_well() -> None:
    state, _ = said(TokenState(), quote(total=1_000_000), seconds=0)
    glitch, refused = said(state, quote(total=1_000, seconds=60), seconds=60)
    assert (total_of(glitch, 60), refused) == (MILLION, ["jupiter"])
    kept, _ = said(glitch, quote(total=1_000, seconds=120), seconds=120)
    assert total_of(kept, 120) == 1_000
    assert total_of(said(glitch, quote(total=5, seconds=DAY + 1), seconds=DAY + 1)[0], DAY + 1) == 5


def test_both_of_sols_supplies_are_held_against_what_is_in_use() -> None:
    used = chain(631_000_000, circulating=583_000_000)
    state = TokenState(chain=used, chain_answered=START)
    odd = ChainSupply(received=at(60), total=Decimal(631_000_000), circulating=Decimal(100))
    state, refused = take_chain(state, odd, slot=None, answered=at(60), jump_factor=POLICY.jump_factor)
    assert (circulating_of(state, 60), refused) == (583_000_000, True)


def test_a_burn_is_no_jump_of_what_circulates() -> None:
    state, _ = read(KNOWN, 700_000, 60)
    cap = cap_of(valued(jupiter(2, seconds=60), state=state, seconds=60))
    assert (cap.basis, cap.circulating_supply) == ("circulating", 700_000.0)

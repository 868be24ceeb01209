"""Which supply a price is multiplied with (docs/rules.md: F1 to F4)."""

from decimal import Decimal

import msgspec
import pytest

from sidecar.metrics.labels import RefusalReason
from sidecar.models import ChainSupply, Quote
from sidecar.pricing.supply import EffectiveSupply, effective_supply
from sidecar.pricing.supply_updates import update_supplies
from sidecar.pricing.token_state import TokenState
from tests.pricing.build import (
    DAY,
    POLICY,
    agreed,
    at,
    cap_of,
    chain,
    dexscreener,
    figure,
    gecko,
    jupiter,
    quote,
    valued,
)

SUPPLY_REFUSED: tuple[str, RefusalReason] = ("jupiter", "supply")


def read(supply: ChainSupply) -> TokenState:
    """Know the chain's supply and nothing else."""
    return TokenState(chain=supply, chain_answered=supply.received)


# One token of each kind (issue 3, 5)


def test_usdc_is_valued_by_what_is_on_solana() -> None:
    row = quote("0.9998", liquidity=90_000_000, total="9310000000.5", circulating="9310000000.5")
    cap = cap_of(valued(row, dexscreener("1.0001", 40_000_000), state=read(chain("9308841079.006125"))))
    assert (cap.basis, cap.confidence) == ("circulating", "high")
    assert (cap.total_supply, cap.circulating_supply) == (9308841079.006125, 9308841079.006125)
    assert cap.market_cap_usd == pytest.approx(9_306_979_310.790324, rel=1e-12)
    assert (cap.supply_source, cap.circulating_source) == ("solana_rpc", "jupiter")


def test_usdt_with_less_circulating_than_issued_has_two_figures() -> None:
    row = quote("1.0002", liquidity=60_000_000, total=2_040_000_000, circulating=1_900_000_000)
    cap = cap_of(valued(row, dexscreener("1.0003", 20_000_000), state=read(chain("2039934049.041643"))))
    assert (cap.basis, cap.confidence) == ("circulating", "high")
    assert cap.market_cap_usd == 1_900_380_000.0
    assert cap.fdv_usd == pytest.approx(2_040_342_035.8514514, rel=1e-12)


def test_pyusd_is_its_supply_on_solana_even_where_the_source_counts_every_chain() -> None:
    row = quote("0.9997", liquidity=8_000_000, total="705894641.5", circulating=3_800_000_000)
    valuation = valued(row, dexscreener("0.9999", 3_000_000), state=read(chain("705894641.526469")))
    cap = cap_of(valuation)
    assert (cap.basis, cap.confidence) == ("total", "medium")
    assert cap.market_cap_usd == pytest.approx(705_682_873.1340111, rel=1e-12)
    assert (cap.circulating_supply, cap.circulating_source) == (None, None)
    assert SUPPLY_REFUSED in valuation.refusals


def test_bridged_weth_is_what_was_bridged() -> None:
    row = quote("2850.5", liquidity=6_000_000, total="21000.5", circulating="21000.5")
    cap = cap_of(valued(row, dexscreener("2849.75", 2_000_000), state=read(chain("21000.51234567"))))
    assert (cap.basis, cap.confidence) == ("circulating", "high")
    assert (cap.circulating_supply, cap.total_supply) == (21_000.5, 21_000.51234567)
    assert cap.market_cap_usd == 59_861_925.25


def test_msol_is_worth_what_is_staked() -> None:
    row = quote("181.25", liquidity=12_000_000, total="3200000.125", circulating="3200000.125")
    cap = cap_of(valued(row, dexscreener("181.5", 900_000), state=read(chain("3200000.125"))))
    assert (cap.basis, cap.confidence, cap.market_cap_usd) == ("circulating", "high", 580_000_022.65625)
    assert cap.fdv_usd == cap.market_cap_usd


def test_sol_has_both_supplies_from_the_chain() -> None:
    row = quote("140.5", liquidity=300_000_000, total="603000000", circulating="531000000")
    native = chain("631122767.25", circulating="583094795.5")
    cap = cap_of(valued(row, dexscreener("140.6", 90_000_000), state=read(native)))
    assert (cap.basis, cap.confidence) == ("circulating", "high")
    assert (cap.circulating_supply, cap.total_supply) == (583_094_795.5, 631_122_767.25)
    assert (cap.supply_source, cap.circulating_source) == ("solana_rpc", "solana_rpc")
    assert cap.market_cap_usd == 81_924_818_767.75


def test_sol_without_the_chain_is_jupiters_row_at_low() -> None:
    row = quote("140.5", liquidity=300_000_000, total="603000000", circulating="531000000")
    cap = cap_of(valued(row, dexscreener("140.6", 90_000_000), state=TokenState()))
    assert (cap.basis, cap.confidence, cap.market_cap_usd) == ("circulating", "low", 74_605_500_000.0)
    assert (cap.supply_source, cap.circulating_source) == ("jupiter", "jupiter")
    assert cap.fdv_usd == 84_721_500_000.0


def test_jup_circulates_less_than_it_totals() -> None:
    row = quote("0.3293", liquidity=4_200_000, total="6863982190.5", circulating="3200000000")
    cap = cap_of(valued(row, dexscreener("0.33", 800_000), state=read(chain("6863982190.5"))))
    assert (cap.basis, cap.confidence, cap.market_cap_usd) == ("circulating", "high", 1_053_760_000.0)
    assert cap.fdv_usd == 2_260_309_335.33165


def test_bonk_circulates_in_full() -> None:
    row = quote("0.00001234", liquidity=3_000_000, total="87995000000000.5", circulating="87995000000000.5")
    cap = cap_of(valued(row, dexscreener("0.00001235", 700_000), state=read(chain("87995000000000.5"))))
    assert (cap.basis, cap.confidence) == ("circulating", "high")
    assert cap.market_cap_usd == cap.fdv_usd == pytest.approx(1_085_858_300.00000617, rel=1e-12)


def test_a_curve_token_without_liquidity_is_served_at_low() -> None:
    row = quote("0.0000075", liquidity=None, total=1_000_000_000, circulating=1_000_000_000)
    cap = cap_of(valued(row, state=read(chain(1_000_000_000))))
    assert (cap.basis, cap.confidence, cap.market_cap_usd) == ("circulating", "low", 7_500.0)
    assert cap.liquidity_usd is None


def test_a_circulating_supply_above_the_chains_total_is_ignored_and_counted() -> None:
    row = quote("0.5", liquidity=50_000, total=130_000, circulating=130_000)
    valuation = valued(row, dexscreener("0.5", 50_000), state=read(chain(100_000)))
    cap = cap_of(valuation)
    assert (cap.basis, cap.confidence, cap.market_cap_usd) == ("total", "low", 50_000.0)
    assert SUPPLY_REFUSED in valuation.refusals


# 1 and 4: circulating, else total


def learn(*quotes: Quote, state: TokenState, seconds: float = 0.0) -> tuple[EffectiveSupply, list[str]]:
    state, refused = update_supplies(state, quotes, at(seconds), POLICY.jump_factor)
    return effective_supply(state, at(seconds)), refused


def test_without_a_circulating_supply_the_basis_is_total_and_the_confidence_at_most_medium() -> None:
    valuation = valued(jupiter(2), dexscreener(2), state=read(chain(1_000_000)))
    cap = cap_of(valuation)
    assert (cap.basis, cap.market_cap_usd, cap.fdv_usd, cap.confidence) == ("total", 2e6, 2e6, "medium")
    assert valuation.state.comparison == agreed(price=2, agreeing=2)


@pytest.mark.parametrize(
    ("said", "believed", "refused"),
    [
        ("101000", 100_000, []),
        ("101000.000001", None, ["jupiter"]),
        ("100000", 100_000, []),
        ("99999.5", "99999.5", []),
        ("1000", 1000, []),
        ("999.9", None, ["jupiter"]),
        ("0", None, ["jupiter"]),
        ("-5", None, ["jupiter"]),
    ],
)
def test_circulating_is_believed_up_to_one_percent_above_the_total_and_never_exceeds_it(
    said: str, believed: str | int | None, refused: list[str]
) -> None:
    supply, sources = learn(quote(circulating=said), state=read(chain(100_000)))
    assert supply.circulating == (None if believed is None else Decimal(str(believed)))
    assert sources == refused


def test_a_refused_circulating_supply_leaves_the_last_known_in_force() -> None:
    state = msgspec.structs.replace(read(chain(100_000)), circulating=figure(60_000))
    supply, refused = learn(quote(circulating=130_000, seconds=60), state=state, seconds=60)
    assert (supply.circulating, refused) == (Decimal(60_000), ["jupiter"])


def test_a_remembered_circulating_supply_is_cut_to_the_total_so_that_a_burn_does_not_flip_the_basis() -> None:
    state = msgspec.structs.replace(read(chain(300)), circulating=figure(800))
    assert effective_supply(state, at(0)).circulating == 300
    assert effective_supply(msgspec.structs.replace(state, circulating=figure(303)), at(0)).circulating == 300


def test_circulating_is_kept_a_day_so_that_the_basis_does_not_flip() -> None:
    state = msgspec.structs.replace(read(chain(100_000, seconds=DAY)), circulating=figure(60_000))
    kept = cap_of(valued(dexscreener(2, seconds=DAY), state=state, seconds=DAY))
    assert (kept.basis, kept.market_cap_usd, kept.circulating_source) == ("circulating", 120_000.0, "jupiter")
    gone = cap_of(valued(dexscreener(2, seconds=DAY + 1), state=state, seconds=DAY + 1))
    assert (gone.basis, gone.market_cap_usd, gone.confidence) == ("total", 200_000.0, "medium")


def test_a_token_moves_from_total_to_circulating_once() -> None:
    first = valued(dexscreener(2), state=read(chain(100_000)))
    second = valued(quote(2, circulating=60_000, seconds=60), state=first.state, seconds=60)
    third = valued(dexscreener(2, seconds=120), state=second.state, seconds=120)
    assert [cap_of(one).basis for one in (first, second, third)] == ["total", "circulating", "circulating"]


def test_circulating_without_any_total_has_no_fdv() -> None:
    cap = cap_of(valued(quote(2, circulating=60_000), state=TokenState()))
    assert (cap.market_cap_usd, cap.fdv_usd, cap.total_supply, cap.supply_source) == (120_000.0, None, None, None)
    assert cap.confidence == "low"


# 2: total supply is the chain's for a day


def test_the_chains_total_counts_for_a_day_whatever_a_source_says() -> None:
    state = msgspec.structs.replace(read(chain(100_000)), source_total=figure(250_000, seconds=DAY))
    kept = effective_supply(state, at(DAY))
    assert (kept.total, kept.total_source, kept.on_chain) == (Decimal(100_000), "solana_rpc", True)
    replaced = effective_supply(state, at(DAY + 1))
    assert (replaced.total, replaced.total_source, replaced.on_chain) == (Decimal(250_000), "jupiter", False)


def test_a_sources_total_is_forgotten_after_a_day() -> None:
    state = TokenState(source_total=figure(250_000))
    assert effective_supply(state, at(DAY)).total == Decimal(250_000)
    assert effective_supply(state, at(DAY + 1)) == EffectiveSupply()


def test_a_supply_of_another_source_makes_the_confidence_low() -> None:
    row = quote(2, total=250_000, circulating=250_000)
    cap = cap_of(valued(row, dexscreener(2), state=TokenState()))
    assert (cap.confidence, cap.supply_source, cap.market_cap_usd) == ("low", "jupiter", 500_000.0)


def test_jupiters_total_is_preferred_to_another_sources_for_a_day() -> None:
    other = quote(source="geckoterminal", total=77_000, seconds=DAY)
    known = TokenState(source_total=figure(250_000))
    assert learn(other, state=known, seconds=DAY)[0].total == Decimal(250_000)
    assert learn(other, state=known, seconds=DAY + 1)[0].total == Decimal(77_000)
    assert learn(quote(total=240_000), gecko(), state=TokenState(source_total=figure(1, source="geckoterminal")))[
        0
    ].total == Decimal(240_000)


def test_the_first_source_has_the_last_word_on_a_total() -> None:
    supply, _ = learn(quote(total=250_000), quote(source="geckoterminal", total=77_000), state=TokenState())
    assert (supply.total, supply.total_source) == (Decimal(250_000), "jupiter")
    supply, _ = learn(
        quote(source="dexscreener", total=5), quote(source="geckoterminal", total=7), state=TokenState()
    )
    assert (supply.total, supply.total_source) == (Decimal(5), "dexscreener")


@pytest.mark.parametrize("nothing", [None, "0", "-1"])
def test_no_total_is_learnt_from_a_quote_without_one(nothing: str | None) -> None:
    assert learn(quote(total=nothing), state=TokenState()) == (EffectiveSupply(), [])


def test_a_supply_of_nothing_on_chain_leaves_nothing_to_multiply_with() -> None:
    row = quote(2, total=250_000, circulating=250_000)
    valuation = valued(row, state=read(chain(0)))
    assert (valuation.kind, valuation.lacks_supply) == ("unpriced", True)
    assert valuation.reason == "there is a price but no supply"
    assert SUPPLY_REFUSED in valuation.refusals

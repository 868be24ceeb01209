"""Which quotes are refused, thin or good (docs/rules.md: F5)."""

from decimal import Decimal

import pytest

from sidecar.metrics.labels import RefusalReason
from sidecar.models import Quote
from sidecar.pricing.grading import Grade, grade_quote
from sidecar.pricing.supply import EffectiveSupply
from tests.pricing.build import (
    POLICY,
    cap_of,
    dexscreener,
    jupiter,
    quote,
    valued,
)

MILLION = EffectiveSupply(total=Decimal(1_000_000), total_source="solana_rpc", on_chain=True)


def graded(said: Quote, supply: EffectiveSupply = MILLION) -> tuple[Grade, RefusalReason | None]:
    graded = grade_quote(said, supply, POLICY)
    return graded.grade, graded.reason


# 5: refused, thin, good


@pytest.mark.parametrize("price", ["0", "-0.5", "NaN", "sNaN", "Infinity", "-Infinity"])
def test_a_price_that_is_not_positive_and_finite_is_refused(price: str) -> None:
    assert graded(quote(price)) == ("refused", "not_positive")


@pytest.mark.parametrize(
    ("price", "grade"),
    [
        ("0.000001", ("good", None)),
        ("0.000000999999", ("refused", "absurd")),
        ("100000000", ("good", None)),
        ("100000000.0001", ("refused", "absurd")),
    ],
)
def test_a_cap_is_between_1_usd_and_1e14_usd(price: str, grade: tuple[Grade, RefusalReason | None]) -> None:
    assert graded(quote(price, liquidity=1_000_000_000_000)) == grade


def test_the_cap_is_judged_on_the_circulating_supply_where_there_is_one() -> None:
    supply = EffectiveSupply(total=Decimal(1_000_000), circulating=Decimal(10))
    assert graded(quote("0.09"), supply) == ("refused", "absurd")
    assert graded(quote("0.11"), supply) == ("good", None)


def test_without_a_supply_no_cap_can_be_absurd() -> None:
    assert graded(quote("1e30"), EffectiveSupply()) == ("good", None)


def test_a_mint_that_is_only_the_pairs_quote_token_is_refused() -> None:
    assert graded(quote(2, quote_side=True)) == ("refused", "quote_side")
    assert graded(quote(None, quote_side=True)) == ("refused", "quote_side")


@pytest.mark.parametrize(
    ("liquidity", "grade"),
    [
        ("0", ("refused", "dead_pool")),
        ("99.99", ("refused", "dead_pool")),
        ("100", ("thin", "thin")),
        ("9999.99", ("thin", "thin")),
        ("10000", ("good", None)),
        (None, ("thin", "thin")),
    ],
)
def test_a_pool_is_dead_under_100_usd_and_thin_under_10000(
    liquidity: str | None, grade: tuple[Grade, RefusalReason | None]
) -> None:
    assert graded(quote(2, liquidity=liquidity)) == grade


def test_a_pool_against_a_token_that_anyone_can_mint_is_thin_however_deep_and_dead_all_the_same() -> None:
    assert graded(quote(2, liquidity=90_000_000, trusted=False)) == ("thin", "thin")
    assert graded(quote(2, liquidity=99, trusted=False)) == ("refused", "dead_pool")


def test_a_pool_under_a_10000th_of_the_cap_is_thin() -> None:
    assert graded(quote(2_000, liquidity="200000")) == ("good", None)
    assert graded(quote(2_000, liquidity="199999.99")) == ("thin", "thin")


def test_a_source_that_gives_no_price_is_silent_and_nothing_is_counted() -> None:
    assert graded(quote(None)) == ("silent", None)
    valuation = valued(jupiter(None), dexscreener(3))
    assert cap_of(valuation).source == "dexscreener"
    assert valuation.refusals == ()

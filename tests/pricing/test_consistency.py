"""Whatever comes in, a valuation is consistent."""

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.models import ChainSupply, Quote, ScaledUiAmount
from sidecar.pricing.grading import grade_quote
from sidecar.pricing.result import Valuation
from sidecar.pricing.supply import effective_supply
from sidecar.pricing.token_state import Comparison, SourcedValue, TokenState
from sidecar.runtime.clock import Instant
from tests.pricing.build import (
    POLICY,
    START,
    TOKEN,
    Source,
    agreed,
    at,
    cap_of,
    dexscreener,
    jupiter,
    quote,
    valued,
)

# Whatever comes in

ordinary = st.integers(min_value=1000, max_value=10_000).map(lambda number: Decimal(number).scaleb(-3))
extremes = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent),
    st.integers(min_value=-(10**20), max_value=10**60),
    st.integers(min_value=-40, max_value=0),
)
"""Figures as the parsers let them through, and negative ones."""
senseless = st.sampled_from([Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity")])
moments = st.floats(min_value=-100_000, max_value=0).map(at)
sources: tuple[Source, ...] = ("jupiter", "dexscreener", "geckoterminal")
scalings = st.builds(
    ScaledUiAmount,
    multiplier=ordinary | extremes.filter(lambda amount: amount > 0),
    next_multiplier=ordinary | extremes.filter(lambda amount: amount > 0),
    next_from_unix=st.integers(min_value=0, max_value=2 * int(START.unix)),
)


def supplies(amounts: st.SearchStrategy[Decimal], received: st.SearchStrategy[Instant]) -> st.SearchStrategy[Any]:
    return st.builds(
        ChainSupply,
        received=received,
        total=amounts.map(abs),
        circulating=st.none() | amounts.filter(lambda amount: amount > 0),
        scaled=st.none() | scalings,
    )


def facts_of(
    amounts: st.SearchStrategy[Decimal], received: st.SearchStrategy[Instant]
) -> st.SearchStrategy[TokenState]:
    figures = st.builds(
        SourcedValue, amounts.filter(lambda amount: amount > 0), st.sampled_from(sources), received
    )
    return st.builds(
        TokenState,
        chain=st.none() | supplies(amounts, received),
        chain_answered=st.none() | received,
        source_total=st.none() | figures,
        circulating=st.none() | figures,
        comparison=st.none() | st.builds(Comparison, received, st.integers(min_value=0, max_value=3)),
        last_good=st.none() | figures,
        held_upwards=st.none() | st.booleans(),
        unpriced_since=st.none() | received,
    )


def wild_quotes(source: str) -> st.SearchStrategy[Quote]:
    return st.builds(
        Quote,
        source=st.just(source),
        mint=st.just(TOKEN),
        received=moments,
        price_usd=st.none() | extremes | senseless,
        liquidity_usd=st.none() | extremes,
        total_supply=st.none() | extremes,
        circulating_supply=st.none() | extremes,
        quote_side=st.booleans(),
        trusted=st.booleans(),
    )


def tame_quotes(source: Source) -> st.SearchStrategy[Quote]:
    return st.builds(
        quote,
        ordinary,
        source=st.just(source),
        liquidity=st.sampled_from([None, 50, 5_000, 50_000]),
        total=st.none() | ordinary,
        circulating=st.none() | ordinary,
        seconds=st.sampled_from([0.0, -59.0, -61.0]),
    )


recently = st.floats(min_value=-700, max_value=0).map(at)
any_facts = facts_of(ordinary, recently) | facts_of(ordinary | extremes, moments)
any_quotes = st.tuples(*(st.none() | tame_quotes(source) | wild_quotes(source) for source in sources)).map(
    lambda quotes: [said for said in quotes if said is not None]
)


def positive(*numbers: float | None) -> bool:
    return all(number is None or 0 < number < math.inf for number in numbers)


@given(quotes=any_quotes, state=any_facts, has_value=st.booleans())
def test_whatever_comes_in_a_valuation_is_consistent(
    *, quotes: list[Quote], state: TokenState, has_value: bool
) -> None:
    valuation = valued(*quotes, state=state, has_value=has_value)
    assert valuation == valued(*quotes, state=state, has_value=has_value)
    assert valuation.kind == "priced" or not valuation.conclusive
    assert not (valuation.conclusive and valuation.jump)
    assert (valuation.cap is not None) == (valuation.kind == "priced") == (valuation.received is not None)
    assert has_value or valuation.kind not in {"held", "suspect"}
    assert valuation.state.chain == state.chain
    assert len(valuation.refusals) == len(set(valuation.refusals))
    assert all(
        explanation.price_usd is None or math.isfinite(explanation.price_usd)
        for explanation in valuation.explanation
    )
    assert [explanation.source for explanation in valuation.explanation] == [said.source for said in quotes]
    if valuation.kind == "priced":
        check_priced(valuation, quotes)


def check_priced(valuation: Valuation, quotes: list[Quote]) -> None:
    cap = cap_of(valuation)
    supply = effective_supply(valuation.state, START)
    taken = next(said for said in quotes if said.source == cap.source)
    grade = grade_quote(taken, supply, POLICY).grade
    assert positive(cap.price_usd, cap.market_cap_usd, cap.fdv_usd, cap.circulating_supply, cap.total_supply)
    tokens = cap.circulating_supply if cap.basis == "circulating" else cap.total_supply
    assert tokens is not None
    assert cap.market_cap_usd == pytest.approx(cap.price_usd * tokens, rel=1e-9)
    assert 1 <= cap.market_cap_usd <= 1e14 or supply.contradicted
    assert (cap.basis == "circulating") == (cap.circulating_supply is not None)
    assert [explanation.source for explanation in valuation.explanation if explanation.taken] == [cap.source]
    assert cap.timestamp == taken.received.unix
    assert cap.confidence == "low" or (grade == "good" and supply.on_chain)
    assert (cap.confidence == "high") == (cap.confidence_reasons == ())
    assert len(set(cap.confidence_reasons)) == len(cap.confidence_reasons)
    if cap.confidence == "high":
        comparison = valuation.state.comparison
        assert comparison is not None
        assert comparison.disagreements == 0
        assert cap.basis == "circulating"


def test_a_confident_value_has_all_that_high_asks_for() -> None:
    """The property above must meet `high` at least where it is due."""
    valuation = valued(jupiter(2), dexscreener(2))
    assert cap_of(valuation).confidence == "high"
    assert valuation.state.comparison == agreed(price=2, agreeing=2)
    check_priced(valuation, [jupiter(2), dexscreener(2)])

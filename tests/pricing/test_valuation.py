"""What a quote is worth, which one is taken, how sure we are (docs/rules.md: F5, F6, F8 and F10)."""

import math
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.metrics.labels import RefusalReason
from sidecar.models import ChainSupply, Confidence, Quote, ScaledUiAmount
from sidecar.pricing.explain import QuoteExplanation
from sidecar.pricing.grading import Grade, grade_quote
from sidecar.pricing.result import Valuation
from sidecar.pricing.supply import EffectiveSupply, effective_supply
from sidecar.pricing.token_state import Comparison, SourcedValue, TokenState
from sidecar.runtime.clock import Instant
from tests.pricing.build import (
    KNOWN,
    POLICY,
    START,
    TOKEN,
    Source,
    agreed,
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


# 6: the choice


def source_of(*quotes: Quote) -> tuple[str, Confidence]:
    cap = cap_of(valued(*quotes))
    return cap.source, cap.confidence


THIN = 5_000
DEAD = 50


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


# What `?explain=true` shows


def shown(valuation: Valuation) -> list[tuple[str, bool, str | None]]:
    return [(explanation.source, explanation.taken, explanation.reason) for explanation in valuation.explanation]


def test_every_quote_is_shown_with_its_figures_and_why_it_was_not_taken() -> None:
    valuation = valued(jupiter(2, DEAD, seconds=-3), dexscreener("2.5"), gecko(2))
    assert valuation.explanation[0] == QuoteExplanation(
        source="jupiter",
        price_usd=2.0,
        liquidity_usd=50.0,
        claimed_liquidity_usd=50.0,
        received_monotonic=START.monotonic - 3,
        taken=False,
        reason="dead_pool",
    )
    assert shown(valuation) == [
        ("jupiter", False, "dead_pool"),
        ("dexscreener", True, None),
        ("geckoterminal", False, "preferred_source_silent"),
    ]


def test_a_quote_that_was_not_needed_and_one_without_a_price_say_so() -> None:
    valuation = valued(jupiter(2), dexscreener(2), quote(None, source="geckoterminal"))
    assert shown(valuation)[1:] == [
        ("dexscreener", False, "agrees"),
        ("geckoterminal", False, "no price"),
    ]


def test_a_thin_quote_counts_as_refused_only_when_another_is_taken() -> None:
    assert valued(jupiter(2, THIN)).refusals == ()
    assert valued(jupiter(2, THIN), dexscreener(2)).refusals == (("jupiter", "thin"),)


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

"""Two sources side by side (docs/rules.md: F7)."""

from typing import Final

import msgspec
import pytest

from sidecar.models import Confidence, Quote
from sidecar.pricing.result import Valuation
from sidecar.pricing.token_state import Comparison
from tests.pricing.build import KNOWN, START, agreed, cap_of, dexscreener, gecko, jupiter, valued

THIN: Final = 5_000


def confidence(*quotes: Quote, before: Comparison | None = None, seconds: float = 0.0) -> Confidence:
    state = msgspec.structs.replace(KNOWN, comparison=before)
    return cap_of(valued(*quotes, state=state, seconds=seconds)).confidence


@pytest.mark.parametrize("price", ["2.1", "1.9047619048", "2"])
def test_two_prices_within_five_percent_either_way_agree(price: str) -> None:
    assert confidence(jupiter(2), dexscreener(price)) == "high"
    assert confidence(dexscreener(price), jupiter(2)) == "high"


@pytest.mark.parametrize("price", ["2.1001", "1.9047"])
def test_two_prices_further_apart_disagree_and_the_first_sources_is_served(price: str) -> None:
    cap = cap_of(valued(jupiter(2), dexscreener(price)))
    assert (cap.confidence, cap.source, cap.price_usd) == ("medium", "jupiter", 2.0)


def test_only_quotes_received_within_60_s_of_each_other_are_compared() -> None:
    assert confidence(jupiter(2, seconds=-60), dexscreener(2)) == "high"
    assert confidence(jupiter(2), dexscreener(2, seconds=-60)) == "high"
    assert confidence(jupiter(2, seconds=-60.1), dexscreener(2)) == "medium"
    assert confidence(jupiter(2), dexscreener(2, seconds=-60.1)) == "medium"


def test_only_good_quotes_are_compared() -> None:
    assert confidence(jupiter(2), dexscreener(2, THIN)) == "medium"
    assert confidence(jupiter(2), dexscreener(2.5, THIN), before=agreed(-60)) == "high"
    thin = valued(jupiter(2, THIN), dexscreener(9, 50))
    assert (cap_of(thin).confidence, thin.state.comparison) == ("low", None)


def test_a_thin_quote_that_is_served_leaves_the_verdict_alone() -> None:
    state = msgspec.structs.replace(KNOWN, comparison=agreed(-60))
    valuation = valued(jupiter(2, THIN), dexscreener(9), state=state)
    assert (cap_of(valuation).source, valuation.state.comparison) == ("jupiter", agreed(-60))


def test_a_verdict_stands_until_the_next_comparison_at_most_ten_minutes() -> None:
    assert confidence(jupiter(2, seconds=600), before=agreed(0), seconds=600) == "high"
    assert confidence(jupiter(2, seconds=600.1), before=agreed(0), seconds=600.1) == "medium"
    assert confidence(jupiter(2, seconds=600), before=agreed(0, disagreements=2), seconds=600) == "low"
    assert confidence(jupiter(2, seconds=600.1), before=agreed(0, disagreements=2), seconds=600.1) == "medium"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (jupiter(2), dexscreener("2.1", seconds=60), "high"),
        (jupiter(2), dexscreener("2.1", seconds=60.1), "medium"),
        (jupiter(2), dexscreener("2.1001", seconds=60), "medium"),
        (jupiter(2, THIN), dexscreener(2, seconds=30), "medium"),
        (jupiter(2), jupiter(2, seconds=30), "medium"),
    ],
)
def test_the_last_good_price_of_another_source_may_agree(first: Quote, second: Quote, expected: str) -> None:
    before = valued(first)
    now = second.received.monotonic - START.monotonic
    assert cap_of(valued(second, state=before.state, seconds=now)).confidence == expected


def test_the_last_good_price_of_a_source_that_has_answered_since_says_nothing() -> None:
    before = valued(jupiter(2)).state
    assert cap_of(valued(dexscreener(2, seconds=9), state=before, seconds=9)).confidence == "high"
    omitted = valued(dexscreener(2, seconds=9), state=before, seconds=9, omitted=["jupiter"])
    thin = valued(jupiter(2, THIN, seconds=9), dexscreener(2, seconds=9), state=before, seconds=9)
    assert [cap_of(one).confidence for one in (omitted, thin)] == ["medium", "medium"]


def test_the_last_good_price_of_another_source_is_no_disagreement() -> None:
    before = valued(jupiter(2)).state
    later = valued(dexscreener(3, seconds=9), state=before, seconds=9)
    assert (later.state.comparison, cap_of(later).confidence_reasons) == (None, ("single_source",))


def chain_of(*second_prices: float) -> list[Valuation]:
    """Refresh every minute, the second source answering with these prices."""
    state, valuations = KNOWN, []
    for minute, price in enumerate(second_prices):
        seconds = 60.0 * minute
        two = (jupiter(2, seconds=seconds), dexscreener(price, seconds=seconds))
        valuations.append(valued(*two, state=state, seconds=seconds))
        state = valuations[-1].state
    return valuations


def test_one_disagreement_is_medium_two_in_a_row_are_low_and_an_agreement_forgives() -> None:
    confidences = [cap_of(one).confidence for one in chain_of(2, 3, 3, 3, 2, 3)]
    assert confidences == ["high", "medium", "low", "low", "high", "medium"]


def test_the_order_of_sources_decides_the_price_whatever_the_verdict() -> None:
    assert [cap_of(one).price_usd for one in chain_of(2, 3, 3, 3)] == [2.0] * 4


def test_valuing_again_with_a_late_answer_counts_a_disagreement_once() -> None:
    first = valued(jupiter(2), dexscreener(3))
    again = valued(jupiter(2), dexscreener(3), gecko(3))
    once = agreed(disagreements=1, apart=1.5, price=2, spread=0.5)
    assert first.state.comparison == again.state.comparison == once


def test_one_of_two_others_that_agrees_is_enough_and_the_other_is_counted() -> None:
    valuation = valued(jupiter(2), dexscreener(3), gecko(2))
    assert cap_of(valuation).confidence == "high"
    assert valuation.refusals == (("dexscreener", "disagreement"),)


def test_each_source_that_disagrees_is_counted() -> None:
    valuation = valued(jupiter(2), dexscreener(3), gecko(1))
    assert valuation.refusals == (("dexscreener", "disagreement"), ("geckoterminal", "disagreement"))
    assert valuation.state.comparison == agreed(disagreements=1, apart=2, price=2, spread=2.0)

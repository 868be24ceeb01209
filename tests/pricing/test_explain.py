"""What `?explain=true` shows of each quote."""

from sidecar.pricing.explain import QuoteExplanation
from sidecar.pricing.result import Valuation
from tests.pricing.build import (
    DEAD,
    START,
    THIN,
    dexscreener,
    gecko,
    jupiter,
    quote,
    valued,
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

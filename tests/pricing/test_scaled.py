"""Supplies and prices of tokens with a ScaledUiAmount (docs/rules.md: F2)."""

from decimal import Decimal

import pytest

from sidecar.models import Confidence, ScaledUiAmount
from sidecar.pricing.supply import effective_supply
from sidecar.runtime.clock import Instant
from tests.pricing.build import (
    START,
    cap_of,
    chain,
    jupiter,
    quote,
    valued,
)
from tests.pricing.test_supply import read

# 2: scaled amounts

SCALED = ScaledUiAmount(multiplier=Decimal(5), next_multiplier=Decimal(10), next_from_unix=int(START.unix) + 100)


@pytest.mark.parametrize(
    ("jupiters_total", "seconds", "total", "confidence"),
    [
        (500_000, 0, 500_000, "medium"),
        (505_000, 0, 500_000, "medium"),
        (505_001, 0, 500_000, "low"),
        (495_000, 0, 500_000, "medium"),
        (101_000, 0, 100_000, "medium"),
        (101_001, 0, 500_000, "low"),
        (100_000, 0, 100_000, "medium"),
        (None, 0, 500_000, "low"),
        (500_000, 99, 500_000, "medium"),
        (1_000_000, 100, 1_000_000, "medium"),
        (500_000, 100, 1_000_000, "low"),
    ],
)
def test_a_scaled_supply_follows_the_multiplier_in_force_or_jupiters_convention(
    jupiters_total: int | None, seconds: float, total: float, confidence: Confidence
) -> None:
    row = quote(2, total=jupiters_total, seconds=seconds)
    cap = cap_of(valued(row, state=read(chain(100_000, scaled=SCALED)), seconds=seconds))
    assert (cap.total_supply, cap.market_cap_usd, cap.confidence) == (total, 2 * total, confidence)
    assert cap.supply_source == "solana_rpc"


def test_another_sources_total_says_nothing_of_jupiters_convention() -> None:
    row = quote(2, source="geckoterminal", total=100_000)
    cap = cap_of(valued(row, state=read(chain(100_000, scaled=SCALED))))
    assert (cap.total_supply, cap.confidence) == (500_000.0, "low")


def test_a_multiplier_of_one_needs_no_second_opinion() -> None:
    one = ScaledUiAmount(multiplier=Decimal(1), next_multiplier=Decimal(1), next_from_unix=0)
    cap = cap_of(valued(jupiter(2), state=read(chain(100_000, scaled=one))))
    assert (cap.total_supply, cap.confidence) == (100_000.0, "medium")


def test_the_multiplier_follows_the_unix_clock_whatever_the_monotonic_one_says() -> None:
    moment = Instant(START.monotonic, START.unix + 100)
    assert effective_supply(read(chain(100_000, scaled=SCALED)), moment).total == Decimal(1_000_000)


def test_circulating_is_held_against_the_scaled_total() -> None:
    row = quote(2, total=500_000, circulating=400_000)
    cap = cap_of(valued(row, state=read(chain(100_000, scaled=SCALED))))
    assert (cap.basis, cap.market_cap_usd) == ("circulating", 800_000.0)

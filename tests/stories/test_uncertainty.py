"""What is said of how far a served figure may be off (docs/rules.md: F12)."""

import math

import pytest

from sidecar.config.settings import Settings, TrendingSettings
from sidecar.models import MarketCap
from tests.running import Rig, running
from tests.service.tokens import BONK, PRICED, STSOL, plain_tokens
from tests.stories.stage import longest_intervals

STEP = 0.01


async def refreshed(rig: Rig, times: int, *, step: float = STEP) -> MarketCap:
    """Let BONK's price go up and down by a step of its logarithm before each refresh, and look it up after."""
    base = rig.market.price(BONK)
    for number in range(1, times + 1):
        rig.market.set_price(BONK, base * math.exp(step * (number % 2)))
        await rig.run_for(60)
    rig.market.set_price(BONK, base)
    return await rig.service.get(BONK)


async def test_nothing_is_said_before_five_changes_and_then_both() -> None:
    with longest_intervals():
        async with running() as rig:
            await rig.warm()
            rig.market.set_price(BONK, rig.market.price(BONK))
            before = await refreshed(rig, 4)
            assert (before.volatility, before.uncertainty) == (None, None)
            after = await refreshed(rig, 1)
            assert after.volatility is not None
            assert after.uncertainty is not None


async def test_the_uncertainty_of_a_served_figure_grows_with_its_age() -> None:
    with longest_intervals():
        async with running() as rig:
            await rig.warm()
            rig.market.set_price(BONK, rig.market.price(BONK))
            cap = await refreshed(rig, 10)
            volatility = cap.volatility or 0.0
            assert volatility == pytest.approx(STEP * math.sqrt(60), rel=0.02)
            for _ in range(5):
                await rig.run_for(10)
                cap = await rig.service.get(BONK)
                assert cap.uncertainty == pytest.approx(volatility * math.sqrt(cap.age_seconds / 3600), rel=1e-3)


async def test_quotes_that_stand_apart_are_half_of_that_uncertain_from_the_start() -> None:
    with longest_intervals():
        async with running() as rig:
            await rig.warm()
            price = rig.market.price(BONK)
            rig.market.set_price(BONK, price)
            rig.market.set_source_price("dexscreener", BONK, price * 1.03)
            cap = await refreshed(rig, 6, step=0.0)
            assert cap.age_seconds < 1
            assert cap.uncertainty == pytest.approx(math.log(1.03) / 2, rel=1e-4)


async def test_what_is_served_is_counted_by_its_uncertainty_and_summed_up_for_five_minutes() -> None:
    async with running() as rig:
        await rig.run_for(600)
        recent = rig.service.metrics.recent_uncertainty
        assert (recent.value(0.5), rig.metric("served_uncertainty_ratio_count")) == (None, 0)
        served = sorted([(await rig.service.get(mint)).uncertainty or 0 for mint in PRICED])
        assert rig.metric("served_uncertainty_ratio_count") == len(PRICED)
        assert rig.metric("served_uncertainty_ratio_sum") == pytest.approx(sum(served), rel=1e-3)
        assert rig.metric("served_uncertainty_ratio_bucket", le="0.5") == len(PRICED)
        assert recent.value(0.5) == pytest.approx(served[len(served) // 2], rel=0.25)
        assert recent.value(0.95) == pytest.approx(served[-1], rel=0.25)
        await rig.run_for(320)
        assert recent.value(0.5) is None


async def test_of_the_demo_markets_tokens_the_shares_within_one_and_two_are_what_the_design_says() -> None:
    ratios = []
    settings = Settings(trending=TrendingSettings(sources=()))
    async with running(settings, spread=0.003) as rig:
        for mint in plain_tokens(rig.market, 40):
            for _ in range(5):
                rig.service.track_request(mint)
        for _ in range(72):
            await rig.run_for(50)
            for mint in rig.service.engine.tracker.mints - {STSOL}:
                hit = rig.service.lookups.peek(mint)
                assert hit is not None
                if hit.uncertainty is not None:
                    error = hit.entry.cap.market_cap_usd / rig.market.market_cap(mint) - 1
                    ratios.append(abs(error) / hit.uncertainty)
    assert len(ratios) > 3000
    assert 0.60 <= sum(ratio <= 1 for ratio in ratios) / len(ratios) <= 0.76
    assert 0.92 <= sum(ratio <= 2 for ratio in ratios) / len(ratios) <= 0.98

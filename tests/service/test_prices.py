"""Which price is served, refresh after refresh: fall-through, thin pools, jumps, agreement, the end of a token."""

import pytest

from sidecar.config.settings import PricingSettings, Settings, TrackingSettings
from sidecar.demo import Fault, Source
from sidecar.errors import NotPricedError
from tests.running import Rig, WatchedMarket, running
from tests.service.tokens import BONK, JUP, PRICED, STSOL, WIF, plain_tokens

QUIET = Settings(tracking=TrackingSettings(trending_tokens=0))
PRICE = 1e-5
"""A price at which BONK's pool is deep enough for its market cap."""
PRICE_SOURCES: tuple[Source, ...] = ("jupiter", "dexscreener", "geckoterminal")


def bonk_stands_still(market: WatchedMarket) -> None:
    market.set_price(BONK, PRICE)


async def tracked(rig: Rig) -> str:
    """Return a token that five requests have made a tracked one."""
    [mint] = plain_tokens(rig.market, 1)
    rig.market.set_price(mint, rig.market.price(mint))
    for _ in range(5):
        rig.service.track_request(mint)
    await rig.run_for(1)
    return str(mint)


async def price_of(rig: Rig, mint: str) -> tuple[float, str, str]:
    cap = await rig.finish(rig.service.get(mint))
    return cap.price_usd, cap.source, cap.confidence


# Falling through


async def test_what_one_source_leaves_out_the_next_one_prices() -> None:
    def prepare(market: WatchedMarket) -> None:
        bonk_stands_still(market)
        market.forget("jupiter", BONK)
        market.forget("dexscreener", WIF)
        market.forget("jupiter", WIF)

    async with running(QUIET, prepare=prepare) as rig:
        await rig.warm()
        assert await price_of(rig, BONK) == (PRICE, "dexscreener", "medium")
        assert (await rig.service.get(WIF)).source == "geckoterminal"
        calls = rig.calls_since(0)
        assert calls["geckoterminal", "/networks/solana/tokens/multi"] == 1
        assert calls["dexscreener", "/tokens/v1/solana"] == 1


async def test_the_settings_set_the_order_of_the_sources() -> None:
    settings = Settings(
        pricing=PricingSettings(sources=("geckoterminal", "jupiter")), tracking=TrackingSettings(trending_tokens=0)
    )
    async with running(settings) as rig:
        await rig.run_for(65)
        assert {cap.source for mint in PRICED if (cap := rig.cap(mint)) is not None} == {"geckoterminal"}
        assert rig.calls_since(0)["dexscreener", "/tokens/v1/solana"] == 0


@pytest.mark.parametrize(("ratio", "taken"), [(1.9, "dexscreener"), (2.2, "geckoterminal")])
async def test_a_thin_first_quote_gives_way_to_the_first_good_one_within_a_factor_of_two(
    ratio: float, taken: str
) -> None:
    def prepare(market: WatchedMarket) -> None:
        bonk_stands_still(market)
        market.set_source_liquidity("jupiter", BONK, 5000.0)
        market.set_source_price("dexscreener", BONK, PRICE * ratio)

    async with running(QUIET, prepare=prepare) as rig:
        await rig.warm()
        assert (await price_of(rig, BONK))[1] == taken


async def test_a_pool_that_runs_dry_is_refused_and_its_token_ends() -> None:
    async with running(QUIET, prepare=bonk_stands_still) as rig:
        await rig.warm()
        rig.market.set_liquidity(BONK, 50 * PRICE)
        await rig.next_refresh()
        assert await price_of(rig, BONK) == (PRICE, "jupiter", "low")
        await rig.next_refresh()
        assert isinstance(await rig.outcome(BONK), NotPricedError)
        assert rig.metric("rejected_quotes_total", source="jupiter", reason="dead_pool") == 2
        assert rig.metric("cache_evictions_total", reason="not_priced") == 1


async def test_a_token_that_is_thin_everywhere_lives_on_while_a_source_fails() -> None:
    def thin(market: WatchedMarket) -> None:
        market.set_price(BONK, 0.01)

    async with running(QUIET, prepare=thin) as rig:
        await rig.run_for(120)
        rig.market.forget("jupiter", BONK)
        rig.market.forget("dexscreener", BONK)
        rig.market.faults["geckoterminal"] = Fault(kind="status", status=500)
        await rig.run_for(600)
        assert await price_of(rig, BONK) == (0.01, "jupiter", "low")


# The end of a token


async def test_a_token_without_a_price_any_more_is_doubted_first_and_gone_at_the_next_answer() -> None:
    async with running(QUIET, prepare=bonk_stands_still) as rig:
        await rig.run_for(120)
        assert await price_of(rig, BONK) == (PRICE, "jupiter", "high")
        for source in PRICE_SOURCES:
            rig.market.forget(source, BONK)
        await rig.next_refresh()
        assert await price_of(rig, BONK) == (PRICE, "jupiter", "low")
        await rig.next_refresh()
        assert isinstance(await rig.outcome(BONK), NotPricedError)
        for source in PRICE_SOURCES:
            rig.market.remember(source, BONK)
        await rig.run_for(120)
        assert (await price_of(rig, BONK))[:2] == (PRICE, "jupiter")


async def test_one_answer_without_a_price_between_good_ones_costs_only_confidence() -> None:
    async with running(QUIET, prepare=bonk_stands_still) as rig:
        await rig.run_for(120)
        for source in PRICE_SOURCES:
            rig.market.forget(source, BONK)
        await rig.next_refresh()
        assert (await price_of(rig, BONK))[2] == "low"
        for source in PRICE_SOURCES:
            rig.market.remember(source, BONK)
        await rig.next_refresh()
        assert await price_of(rig, BONK) == (PRICE, "jupiter", "high")


# Jumps


async def test_a_jump_that_a_second_source_confirms_is_taken_in_the_same_refresh() -> None:
    async with running(QUIET, prepare=bonk_stands_still) as rig:
        await rig.run_for(65)
        rig.market.set_price(BONK, 5 * PRICE)
        await rig.next_refresh()
        assert await price_of(rig, BONK) == (5 * PRICE, "jupiter", "high")


async def test_a_bad_tick_is_never_served() -> None:
    async with running(QUIET, prepare=bonk_stands_still) as rig:
        await rig.run_for(65)
        rig.market.set_source_price("jupiter", BONK, 50 * PRICE)
        for _ in range(30):
            await rig.run_for(2)
            assert (await rig.service.get(BONK)).price_usd == PRICE
        rig.market.set_source_price("jupiter", BONK, None)
        await rig.next_refresh()
        assert (await price_of(rig, BONK))[:2] == (PRICE, "jupiter")
        assert rig.metric("rejected_quotes_total", source="jupiter", reason="jump") >= 1


async def test_a_jump_that_no_other_source_can_confirm_is_held_for_one_refresh() -> None:
    def prepare(market: WatchedMarket) -> None:
        bonk_stands_still(market)
        market.forget("dexscreener", BONK)
        market.forget("geckoterminal", BONK)

    async with running(QUIET, prepare=prepare) as rig:
        await rig.run_for(65)
        rig.market.set_price(BONK, 5 * PRICE)
        await rig.next_refresh()
        assert await price_of(rig, BONK) == (PRICE, "jupiter", "low")
        await rig.next_refresh()
        assert await price_of(rig, BONK) == (5 * PRICE, "jupiter", "medium")


async def test_a_tracked_token_that_rides_along_gets_its_jump_confirmed_in_the_same_refresh() -> None:
    async with running(QUIET) as rig:
        await rig.warm()
        mint = await tracked(rig)
        await rig.next_refresh()
        old = rig.market.price(mint)
        rig.market.set_price(mint, old * 3)
        await rig.next_refresh()
        assert (await rig.service.get(mint)).price_usd == pytest.approx(old * 3, rel=1e-9)


async def test_a_tracked_jump_that_no_source_confirms_is_held_for_at_most_a_minute() -> None:
    async with running(QUIET) as rig:
        await rig.warm()
        mint = await tracked(rig)
        await rig.next_refresh()
        old = rig.market.price(mint)
        rig.market.forget("dexscreener", mint)
        rig.market.forget("geckoterminal", mint)
        rig.market.set_price(mint, old * 3)
        start, served = rig.clock.monotonic(), []
        while rig.clock.monotonic() < start + 130:
            await rig.run_for(1)
            price, _, confidence = await price_of(rig, mint)
            served.append((round(price / old, 9), confidence))
        assert served[-1][0] == 3.0
        assert 30 <= served.count((1.0, "low")) <= 61


# Agreement


@pytest.mark.parametrize(("ratio", "confidence"), [(1.04, "high"), (1.06, "medium")])
async def test_two_sources_that_agree_make_the_confidence_high(ratio: float, confidence: str) -> None:
    def prepare(market: WatchedMarket) -> None:
        bonk_stands_still(market)
        market.set_source_price("dexscreener", BONK, PRICE * ratio)

    async with running(QUIET, prepare=prepare) as rig:
        await rig.warm()
        assert await price_of(rig, BONK) == (PRICE, "jupiter", confidence)


async def test_a_second_disagreement_in_a_row_makes_it_low_and_an_agreement_high_again() -> None:
    async with running(QUIET, prepare=bonk_stands_still) as rig:
        await rig.warm()
        rig.market.set_source_price("dexscreener", BONK, 1.2 * PRICE)
        explanation = []
        for minute in range(4):
            if minute == 3:
                rig.market.set_source_price("dexscreener", BONK, None)
            await rig.next_refresh()
            explanation.append(await price_of(rig, BONK))
        assert explanation == [(PRICE, "jupiter", level) for level in ("medium", "low", "low", "high")]


async def test_without_a_second_source_the_verdict_lasts_ten_minutes() -> None:
    async with running(QUIET, prepare=bonk_stands_still) as rig:
        await rig.next_refresh()
        rig.market.forget("dexscreener", BONK)
        await rig.run_for(570)
        assert (await price_of(rig, BONK))[2] == "high"
        await rig.run_for(120)
        assert (await price_of(rig, BONK))[2] == "medium"


async def test_a_token_without_a_price_is_no_failure_of_the_refresh() -> None:
    async with running(QUIET) as rig:
        await rig.run_for(130)
        assert isinstance(await rig.outcome(STSOL), NotPricedError)
        assert rig.metric("refresh_tokens_total", loop="popular", outcome="failed") == 0
        assert rig.metric("refresh_tokens_total", loop="popular", outcome="not_priced") == 3
        assert rig.metric("refresh_tokens_total", loop="popular", outcome="updated") == 30
        assert (await rig.service.get(JUP)).cached

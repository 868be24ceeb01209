"""Look-ups that find nothing in memory: shared, bounded in time, and honest about why they fail."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from sidecar.config.settings import Settings, TrackingSettings
from sidecar.config.source_settings import KeyedSourceSettings, SourceSettings, SourcesSettings
from sidecar.demo import Fault, Source
from sidecar.errors import (
    DeadlineExceededError,
    McSidecarError,
    NotPricedError,
    OverloadedError,
    UpstreamUnavailableError,
)
from sidecar.models import MarketCap
from sidecar.refresh.misses import Misses
from tests.running import Rig, WatchedMarket, running
from tests.service.tokens import JUP, PRICED, nobodys, plain_tokens

QUIET = Settings(tracking=TrackingSettings(trending_tokens=0))
PRICE_SOURCES: tuple[Source, ...] = ("jupiter", "dexscreener", "geckoterminal")
HANG = Fault(kind="hang")


def spent_after(rig: Rig, before: dict[Source, int]) -> dict[Source, int]:
    return {source: rig.market.calls[source] - before[source] for source in before}


async def gathered(*look_ups: Coroutine[Any, Any, MarketCap]) -> list[MarketCap]:
    return list(await asyncio.gather(*look_ups))


async def cold(rig: Rig, count: int = 1) -> tuple[list[str], dict[Source, int]]:
    """Return tokens that are not in memory, and the calls made so far."""
    await rig.warm()
    return [str(mint) for mint in plain_tokens(rig.market, count)], dict(rig.market.calls)


async def test_what_is_under_way_takes_no_place_from_what_is_asked_for_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Misses, "_capacity", lambda _: 4)
    async with running(QUIET) as rig:
        mints, _ = await cold(rig, 4)
        first = asyncio.create_task(rig.service.get_many(mints[:2]))
        await asyncio.sleep(0)
        both = await rig.finish(rig.service.get_many(mints))
        assert list((await first).tokens) == mints[:2]
        assert list(both.tokens) == mints


async def test_fifty_look_ups_of_one_cold_token_share_one_call_per_upstream() -> None:
    async with running(QUIET) as rig:
        [mint], before = await cold(rig)
        caps = await rig.finish(gathered(*(rig.service.get(mint) for _ in range(50))))
        assert len({cap.market_cap_usd for cap in caps}) == 1
        assert spent_after(rig, before) == {"jupiter": 1, "dexscreener": 0, "geckoterminal": 0, "solana_rpc": 1}
        assert rig.metric("lookups_total", result="miss") == 50


async def test_cold_tokens_asked_for_together_share_calls() -> None:
    async with running(QUIET) as rig:
        mints, before = await cold(rig, 60)
        caps = await rig.finish(gathered(*(rig.service.get(mint) for mint in mints)))
        assert [cap.mint for cap in caps] == mints
        assert spent_after(rig, before) == {"jupiter": 1, "dexscreener": 0, "geckoterminal": 0, "solana_rpc": 1}


async def test_a_cold_token_that_a_refresh_is_fetching_anyway_costs_no_call_of_its_own() -> None:
    def slow(market: WatchedMarket) -> None:
        market.latency_seconds = 0.3

    async with running(QUIET, prepare=slow) as rig:
        await rig.run_for(0.1)
        cap = await rig.finish(rig.service.get(JUP))
        assert (cap.cached, cap.source) == (False, "jupiter")
        assert rig.asked_for(JUP, "jupiter") == 1


@pytest.mark.parametrize("hanging", [("jupiter",), ("jupiter", "dexscreener")])
async def test_a_source_that_hangs_costs_a_miss_eight_tenths_of_a_second(hanging: tuple[Source, ...]) -> None:
    async with running(QUIET) as rig:
        [mint], _ = await cold(rig)
        for source in hanging:
            rig.market.faults[source] = HANG
        before = rig.clock.monotonic()
        cap = await rig.finish(rig.service.get(mint))
        assert cap.source == PRICE_SOURCES[len(hanging)]
        assert rig.clock.monotonic() - before == pytest.approx(0.8 * len(hanging), abs=0.01)


async def test_a_chain_that_hangs_costs_a_miss_as_little() -> None:
    async with running(QUIET) as rig:
        [mint], _ = await cold(rig)
        rig.market.faults["solana_rpc"] = HANG
        before = rig.clock.monotonic()
        cap = await rig.finish(rig.service.get(mint))
        assert (cap.supply_source, cap.confidence) == ("jupiter", "low")
        assert rig.clock.monotonic() - before == pytest.approx(0.8, abs=0.01)


async def test_an_answer_that_came_too_late_for_the_miss_is_published_all_the_same() -> None:
    async with running(QUIET) as rig:
        [mint], _ = await cold(rig)
        rig.market.faults["jupiter"] = Fault(kind="latency", latency_seconds=3.0)
        assert (await rig.finish(rig.service.get(mint))).source == "dexscreener"
        await rig.run_for(3)
        cap = rig.cap(mint)
        assert cap is not None
        assert (cap.source, cap.circulating_source) == ("jupiter", "jupiter")


async def test_when_every_source_hangs_the_deadline_holds_and_the_fetch_goes_on() -> None:
    async with running(QUIET) as rig:
        [mint], _ = await cold(rig)
        for source in PRICE_SOURCES:
            rig.market.faults[source] = Fault(kind="latency", latency_seconds=3.0)
        before = rig.clock.monotonic()
        with pytest.raises(DeadlineExceededError) as caught:
            await rig.finish(rig.service.get(mint))
        assert rig.clock.monotonic() - before == 2.0
        assert caught.value.retry_after == 1
        assert rig.metric("lookups_total", result="error") == 1
        await rig.run_for(3)
        assert (await rig.service.get(mint)).cached


async def test_a_caller_that_goes_away_does_not_end_the_fetch() -> None:
    async with running(QUIET) as rig:
        [mint], _ = await cold(rig)
        rig.market.latency_seconds = 0.5
        caller = asyncio.create_task(rig.service.get(mint))
        await rig.run_for(0.1)
        caller.cancel()
        await rig.run_for(1)
        assert caller.cancelled()
        assert (await rig.service.get(mint)).cached


async def test_a_thousand_cold_tokens_are_answered_in_one_batch() -> None:
    async with running(QUIET, tokens=1200) as rig:
        await rig.warm()
        mints = [mint for mint in rig.market.tokens if mint not in PRICED][:1000]
        plain = set(plain_tokens(rig.market, 300)) & set(mints)
        before = rig.clock.monotonic()
        many = await rig.finish(rig.service.get_many(mints))
        assert rig.clock.monotonic() - before <= 2.0
        assert len(many.tokens) + len(many.errors) == 1000
        assert plain <= set(many.tokens)
        assert all(isinstance(error, McSidecarError) for error in many.errors.values())


async def test_what_of_a_thousand_does_not_fit_the_deadline_is_an_error_each_and_still_fetched() -> None:
    async with running(QUIET, tokens=1200) as rig:
        await rig.warm()
        rig.market.latency_seconds = 0.7
        mints = [mint for mint in rig.market.tokens if mint not in PRICED][:1000]
        before = rig.clock.monotonic()
        many = await rig.finish(rig.service.get_many(mints))
        assert rig.clock.monotonic() - before == 2.0
        late = [mint for mint, error in many.errors.items() if isinstance(error, DeadlineExceededError)]
        assert many.tokens
        assert late
        await rig.run_for(30)
        assert not list(rig.service.engine.batches)
        assert sum(rig.cap(mint) is not None for mint in late) > len(late) / 2


async def test_an_unknown_mint_is_remembered_for_a_minute_without_any_call() -> None:
    async with running(QUIET) as rig:
        _, before = await cold(rig)
        mint = nobodys(1)[0]
        assert isinstance(await rig.outcome(mint), NotPricedError)
        asked = spent_after(rig, before)
        assert asked == {"jupiter": 1, "dexscreener": 1, "geckoterminal": 1, "solana_rpc": 1}
        calls = rig.asked_for(mint, "jupiter")
        await rig.run_for(59)
        assert isinstance(await rig.outcome(mint), NotPricedError)
        assert rig.asked_for(mint, "jupiter") == calls
        await rig.run_for(2)
        assert isinstance(await rig.outcome(mint), NotPricedError)
        assert [rig.asked_for(mint, source) for source in PRICE_SOURCES] == [2, 2, 2]
        assert rig.metric("lookups_total", result="not_priced") == 3


async def test_a_token_that_comes_to_the_market_is_found_when_the_memory_of_its_absence_ends() -> None:
    async with running(QUIET) as rig:
        [mint], _ = await cold(rig)
        for source in PRICE_SOURCES:
            rig.market.forget(source, mint)
        assert isinstance(await rig.outcome(mint), NotPricedError)
        for source in PRICE_SOURCES:
            rig.market.remember(source, mint)
        await rig.run_for(61)
        assert (await rig.finish(rig.service.get(mint))).source == "jupiter"


async def test_a_failure_of_the_upstreams_is_never_remembered() -> None:
    async with running(QUIET) as rig:
        [mint], _ = await cold(rig)
        for source in PRICE_SOURCES:
            rig.market.faults[source] = Fault(kind="status", status=503)
        with pytest.raises(UpstreamUnavailableError) as caught:
            await rig.finish(rig.service.get(mint))
        assert caught.value.retry_after is not None
        assert all(f"{source}: answered 503" in caught.value.detail for source in PRICE_SOURCES)
        rig.market.faults = dict.fromkeys(rig.market.faults)
        assert (await rig.finish(rig.service.get(mint))).source == "jupiter"


@pytest.mark.parametrize("failing", PRICE_SOURCES)
async def test_what_the_others_do_not_know_is_no_answer_while_one_source_fails(failing: Source) -> None:
    async with running(QUIET) as rig:
        await rig.warm()
        rig.market.faults[failing] = Fault(kind="status", status=500)
        assert isinstance(await rig.outcome(nobodys(1)[0]), UpstreamUnavailableError)
        rig.market.faults[failing] = None
        assert isinstance(await rig.outcome(nobodys(1)[0]), NotPricedError)


async def test_a_price_without_any_supply_is_no_answer_while_the_chain_cannot_be_read() -> None:
    async with running(QUIET) as rig:
        [mint], _ = await cold(rig)
        rig.market.forget("jupiter", mint)
        rig.market.forget("geckoterminal", mint)
        rig.market.faults["solana_rpc"] = Fault(kind="status", status=500)
        assert isinstance(await rig.outcome(mint), UpstreamUnavailableError)
        rig.market.faults["solana_rpc"] = None
        cap = await rig.finish(rig.service.get(mint))
        assert (cap.source, cap.basis, cap.supply_source) == ("dexscreener", "total", "solana_rpc")


async def test_without_budget_a_miss_is_refused_at_once() -> None:
    one = SourceSettings(base_url="http://set.by.the.rig", requests_per_minute=1)
    sources = SourcesSettings(
        jupiter=KeyedSourceSettings(base_url="https://api.jup.ag", requests_per_minute=1),
        dexscreener=one,
        geckoterminal=one,
    )
    async with running(Settings(sources=sources, tracking=TrackingSettings(trending_tokens=0))) as rig:
        await rig.run_for(1)
        assert [rig.market.calls[source] for source in PRICE_SOURCES] == [1, 1, 1]
        mint = plain_tokens(rig.market, 1)[0]
        with pytest.raises(OverloadedError) as caught:
            await rig.service.get(mint)
        assert caught.value.retry_after in {58, 59, 60}
        assert rig.metric("lookups_total", result="rejected") == 1


async def test_with_every_circuit_open_a_miss_is_refused_at_once_and_no_source_is_asked() -> None:
    async with running(QUIET) as rig:
        mints, _ = await cold(rig, 4)
        for source in PRICE_SOURCES:
            rig.market.faults[source] = Fault(kind="status", status=500)
        for mint in mints[:3]:
            assert isinstance(await rig.outcome(mint), UpstreamUnavailableError)
        before = rig.calls(*PRICE_SOURCES)
        with pytest.raises(UpstreamUnavailableError) as caught:
            await rig.service.get(mints[3])
        assert caught.value.retry_after in {9, 10}
        assert rig.calls(*PRICE_SOURCES) == before
        assert (await rig.service.get(JUP)).cached

"""The gauges that are read when they are scraped (docs/metrics.md)."""

from pathlib import Path
from typing import Final, get_args

import pytest

from sidecar.config.settings import (
    CacheSettings,
    PricingSettings,
    RefreshSettings,
    Settings,
    SnapshotSettings,
    TrackingSettings,
)
from sidecar.demo import Fault, Source
from sidecar.models import ConfidenceReason
from tests.running import Rig, running
from tests.service.tokens import JUP, POPULAR_MINTS, PRICED, STSOL, plain_tokens

QUIET: Final = Settings(tracking=TrackingSettings(trending_tokens=0))
PRICE_SOURCES: Final[tuple[Source, ...]] = ("jupiter", "dexscreener", "geckoterminal")
CONFIDENCES: Final = ("high", "medium", "low")


def by_confidence(rig: Rig) -> dict[str, float]:
    return {one: rig.metric("tokens_by_confidence", confidence=one) for one in CONFIDENCES}


async def test_popular_tokens_without_a_price_are_counted_while_they_have_none() -> None:
    async with running(QUIET) as rig:
        for source in PRICE_SOURCES:
            rig.market.faults[source] = Fault(kind="hang")
        assert rig.metric("popular_unpriced_tokens") == len(POPULAR_MINTS)

    async with running(QUIET) as rig:
        await rig.warm()
        assert STSOL not in PRICED
        assert rig.metric("popular_unpriced_tokens") == 1
        for source in PRICE_SOURCES:
            rig.market.forget(source, JUP)
        await rig.run_for(130)
        assert rig.metric("popular_unpriced_tokens") == 2


async def test_a_value_too_old_to_serve_is_none() -> None:
    short = Settings(
        tracking=TrackingSettings(trending_tokens=0), cache=CacheSettings(fresh_seconds=360, max_stale_seconds=400)
    )
    async with running(short) as rig:
        await rig.warm()
        for source in PRICE_SOURCES:
            rig.market.faults[source] = Fault(kind="status", status=500)
        await rig.run_for(395)
        assert rig.metric("popular_unpriced_tokens") == 1
        await rig.run_for(70)
        assert rig.metric("popular_unpriced_tokens") == len(POPULAR_MINTS)
        assert sum(by_confidence(rig).values()) == 0


async def test_tracked_tokens_are_counted_by_confidence_and_others_are_not() -> None:
    async with running(QUIET) as rig:
        await rig.warm()
        caps = [rig.cap(mint) for mint in PRICED]
        expected = {one: sum(cap is not None and cap.confidence == one for cap in caps) for one in CONFIDENCES}
        assert by_confidence(rig) == expected
        assert sum(expected.values()) == len(PRICED)
        [untracked] = plain_tokens(rig.market, 1)
        await rig.finish(rig.service.get(untracked))
        assert by_confidence(rig) == expected


async def test_budget_is_shown_with_what_was_begun_in_the_last_minute() -> None:
    async with running(QUIET) as rig:

        def used(calls: int) -> bool:
            limit = rig.metric("upstream_budget_requests_per_minute", source="jupiter")
            assert limit == 30
            return rig.metric("upstream_budget_used_ratio", source="jupiter") == calls / limit

        await rig.warm()
        assert used(rig.calls("jupiter"))
        before = rig.calls("jupiter")
        await rig.run_for(30)
        assert used(rig.calls("jupiter"))
        await rig.run_for(30.2)
        assert used(rig.calls("jupiter") - before)


async def test_settings_that_rules_need_are_gauges(tmp_path: Path) -> None:
    settings = Settings(
        refresh=RefreshSettings(popular_seconds=90, tracked_seconds=200, trending_seconds=700, stats_seconds=50),
        pricing=PricingSettings(sources=("dexscreener", "jupiter")),
        snapshot=SnapshotSettings(path=str(tmp_path / "snapshot"), interval_seconds=45),
    )
    async with running(settings) as rig:
        intervals = {"popular": 90, "tracked": 200, "trending": 700, "stats": 50}
        assert {loop: rig.metric("refresh_interval_seconds", loop=loop) for loop in intervals} == intervals
        value = rig.service.registry.get_sample_value
        priced = {
            source: value("mc_sidecar_pricing_source_info", {"source": source}) for source in rig.market.faults
        }
        assert priced == {"jupiter": 1, "dexscreener": 1, "geckoterminal": None, "solana_rpc": None}
        assert rig.metric("snapshot_interval_seconds") == 45


async def test_without_a_snapshot_it_has_no_interval() -> None:
    async with running(QUIET) as rig:
        assert rig.service.registry.get_sample_value("mc_sidecar_snapshot_interval_seconds") is None


async def test_what_look_ups_waited_is_counted_for_each_that_memory_did_not_answer() -> None:
    async with running(QUIET) as rig:
        await rig.warm()
        await rig.service.get(JUP)
        await rig.service.get_many(["wrong", STSOL])
        assert rig.metric("lookup_wait_seconds_count") == 0
        first, second = plain_tokens(rig.market, 2)
        await rig.finish(rig.service.get_many([first, second]))
        waited = rig.metric("lookup_wait_seconds_sum")
        assert rig.metric("lookup_wait_seconds_count") == 2
        for source in PRICE_SOURCES:
            rig.market.faults[source] = Fault(kind="hang")
        [third] = plain_tokens(rig.market, 3)[2:]
        await rig.outcome(third)
        assert rig.metric("lookup_wait_seconds_count") == 3
        assert rig.metric("lookup_wait_seconds_sum") == pytest.approx(waited + 2.0, abs=0.01)


async def test_what_keeps_popular_tokens_from_high_is_counted_by_reason() -> None:
    async with running(QUIET) as rig:
        await rig.warm()
        kept = {
            reason: rig.metric("popular_tokens_below_high", reason=reason) for reason in get_args(ConfidenceReason)
        }
        assert set(kept.values()) == {0}
        rig.market.set_liquidity(JUP, 500.0)
        await rig.next_refresh()
        assert rig.metric("popular_tokens_below_high", reason="thin_liquidity") == 1
        assert rig.metric("popular_tokens_below_high", reason="old_price") == 0

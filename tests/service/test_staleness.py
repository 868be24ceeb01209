"""How long a value lives, and that nothing older or failed ever replaces it."""

from typing import Any

import pytest

from sidecar.config.settings import Settings, TrackingSettings
from sidecar.demo import Fault, Source
from tests.running import Rig, running
from tests.service.tokens import BONK, plain_tokens

QUIET = Settings(tracking=TrackingSettings(trending_tokens=0))
PRICE_SOURCES: tuple[Source, ...] = ("jupiter", "dexscreener", "geckoterminal")


def about(figure: float) -> Any:
    return pytest.approx(figure, rel=1e-12)


async def untracked(rig: Rig) -> str:
    """Return a token that is in memory and that no loop refreshes."""
    await rig.warm()
    [mint] = plain_tokens(rig.market, 1)
    rig.market.set_price(mint, rig.market.price(mint))
    await rig.finish(rig.service.get(mint))
    return str(mint)


def fail(rig: Rig) -> None:
    for source in PRICE_SOURCES:
        rig.market.faults[source] = Fault(kind="status", status=500)


async def test_a_stale_token_is_served_at_once_and_refreshed_behind() -> None:
    async with running(QUIET) as rig:
        mint = await untracked(rig)
        old = rig.market.price(mint)
        await rig.run_for(359)
        assert not (await rig.service.get(mint)).stale
        await rig.run_for(2)
        rig.market.set_price(mint, old * 1.2)
        calls = rig.calls("jupiter")
        stale = await rig.service.get(mint)
        assert (stale.stale, stale.cached, stale.price_usd) == (True, True, old)
        assert stale.age_seconds == pytest.approx(361, abs=0.01)
        await rig.run_for(0.1)
        fresh = await rig.service.get(mint)
        assert (fresh.stale, fresh.price_usd) == (False, about(old * 1.2))
        assert rig.calls("jupiter") == calls + 1
        assert rig.metric("lookups_total", result="stale") == 1


async def test_a_failure_never_overwrites_a_value_nor_is_tried_at_every_look_up() -> None:
    async with running(QUIET) as rig:
        mint = await untracked(rig)
        price = rig.market.price(mint)
        fail(rig)
        await rig.run_for(361)
        before = rig.asked_for(mint, "jupiter")
        for _ in range(20):
            cap = await rig.service.get(mint)
            assert (cap.price_usd, cap.stale, cap.confidence) == (price, True, "medium")
            await rig.run_for(0.2)
        assert rig.asked_for(mint, "jupiter") <= before + 1


async def test_holding_a_value_does_not_make_it_any_younger() -> None:
    async with running(QUIET) as rig:
        await rig.run_for(65)
        taken = rig.clock.time() - rig.age(BONK)
        for source in PRICE_SOURCES:
            rig.market.forget(source, BONK)
        await rig.run_for(60)
        cap = await rig.service.get(BONK)
        assert (cap.confidence, cap.timestamp) == ("low", about(taken))
        assert cap.age_seconds >= 60


async def test_an_answer_that_comes_late_does_not_replace_a_newer_one() -> None:
    async with running(QUIET) as rig:
        mint = await untracked(rig)
        old = rig.market.price(mint)
        await rig.run_for(361)
        rig.market.faults["jupiter"] = Fault(kind="latency", latency_seconds=3.0)
        rig.market.set_source_price("dexscreener", mint, old * 1.1)
        await rig.service.get(mint)
        await rig.run_for(2.9)
        cap = rig.cap(mint)
        assert cap is not None
        assert (cap.source, cap.price_usd) == ("dexscreener", about(old * 1.1))
        await rig.run_for(0.2)
        cap = rig.cap(mint)
        assert cap is not None
        assert (cap.source, cap.price_usd) == ("jupiter", about(old))
        assert rig.age(mint) < 0.2


async def test_a_clock_that_is_set_back_or_forward_changes_no_age() -> None:
    async with running(QUIET) as rig:
        await rig.warm()
        for jump in (-86_400.0, 86_400.0 * 400):
            rig.clock.set_unix(rig.clock.time() + jump)
            await rig.run_for(30)
            cap = await rig.service.get(BONK)
            assert (cap.stale, cap.age_seconds <= 60) == (False, True)
        await rig.run_for(120)
        assert rig.age(BONK) <= 60

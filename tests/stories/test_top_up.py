"""Tokens that ride along in a call sent for another one (docs/rules.md: R2 and R3)."""

import msgspec

from sidecar.config.settings import RefreshSettings, Settings, TrendingSettings
from sidecar.demo import Fault
from sidecar.models import Priority
from tests.running import WatchedMarket, running
from tests.service.tokens import BONK, JUP, STSOL, plain_tokens


def with_geckoterminal_off(market: WatchedMarket) -> None:
    market.faults["geckoterminal"] = Fault(kind="status", status=503)


async def test_a_call_to_the_last_source_for_another_token_moves_no_top_up_mint_to_it() -> None:
    settings = Settings(trending=TrendingSettings(sources=()))
    async with running(settings, prepare=with_geckoterminal_off, tokens=13) as rig:
        await rig.settle()
        rig.market.faults["geckoterminal"] = None
        await rig.run_for(1)
        rig.service.engine.schedule.refreshed(STSOL)  # a retry of what failed would take nothing along
        before = rig.asked_for(JUP, "geckoterminal")
        refresh = rig.service.engine.refresher.refresh([STSOL], priority=Priority.TRACKED, loop="tracked")
        await rig.finish(refresh)
        assert rig.asked_for(JUP, "geckoterminal") == before + 1
        cap = rig.cap(JUP)
        assert cap is not None
        assert (cap.source, rig.age(JUP)) == ("jupiter", 1.0)


async def test_a_call_beside_a_budget_that_is_used_up_costs_no_fresh_top_up_mint_its_confidence() -> None:
    settings = Settings(
        refresh=RefreshSettings(popular_seconds=300.0, target_uncertainty=None),
        trending=TrendingSettings(sources=()),
    )
    jupiter = msgspec.structs.replace(settings.sources.jupiter, requests_per_minute=1)
    settings = msgspec.structs.replace(
        settings, sources=msgspec.structs.replace(settings.sources, jupiter=jupiter)
    )
    async with running(settings) as rig:
        await rig.run_for(100)
        await rig.outcome(plain_tokens(rig.market, 1)[0])  # a miss takes nothing along
        before = rig.asked_for(JUP, "dexscreener")
        refresh = rig.service.engine.refresher.refresh([BONK], priority=Priority.TRACKED, loop="tracked")
        await rig.finish(refresh)
        bonk, jup = rig.cap(BONK), rig.cap(JUP)
        assert bonk is not None
        assert jup is not None
        assert rig.asked_for(JUP, "dexscreener") == before + 1
        assert (bonk.source, bonk.confidence) == ("dexscreener", "medium")
        assert (jup.source, jup.confidence) == ("jupiter", "high")

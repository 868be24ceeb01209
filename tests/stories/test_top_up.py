"""Tokens that ride along in a call sent for another one (docs/rules.md: R2 and R3)."""

from sidecar.config.settings import Settings, TrendingSettings
from sidecar.demo import Fault
from sidecar.models import Priority
from tests.running import WatchedMarket, running
from tests.service.tokens import JUP, STSOL


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

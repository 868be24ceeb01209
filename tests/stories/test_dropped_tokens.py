"""Tokens that a source drops live on by what the others say, and for how long."""

from sidecar.demo import Fault
from sidecar.errors import UpstreamUnavailableError
from tests.running import running
from tests.service.test_prices import PRICE, QUIET, bonk_stands_still, price_of, tracked
from tests.service.tokens import BONK


async def test_a_token_only_thinly_priced_elsewhere_lives_on_when_its_main_source_drops_it() -> None:
    async with running(QUIET) as rig:
        await rig.warm()
        mint = await tracked(rig)
        rig.market.set_source_liquidity("dexscreener", mint, 5000.0)
        rig.market.forget("geckoterminal", mint)
        await rig.run_for(900)
        assert (await rig.service.get(mint)).source == "jupiter"
        rig.market.forget("jupiter", mint)
        for _ in range(20):
            await rig.run_for(60)
            assert (await rig.service.get(mint)).cached
        assert (await price_of(rig, mint))[1:] == ("dexscreener", "low")


async def test_a_failing_source_keeps_a_token_that_the_others_have_dropped() -> None:
    async with running(QUIET, prepare=bonk_stands_still) as rig:
        await rig.run_for(120)
        rig.market.forget("jupiter", BONK)
        rig.market.forget("dexscreener", BONK)
        rig.market.faults["geckoterminal"] = Fault(kind="status", status=500)
        await rig.run_for(600)
        assert (await rig.service.get(BONK)).price_usd == PRICE
        await rig.run_for(3600)
        assert isinstance(await rig.outcome(BONK), UpstreamUnavailableError)

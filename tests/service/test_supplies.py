"""Which supply a price is multiplied with, and which source gave it."""

from decimal import Decimal

import pytest

from sidecar.config.settings import PricingSettings, Settings, TrackingSettings
from sidecar.demo import Fault
from sidecar.errors import UpstreamUnavailableError
from tests.running import WatchedMarket, running
from tests.service.tokens import BONK, JUP, PRICED, SOL

QUIET = Settings(tracking=TrackingSettings(trending_tokens=0))


def jup_stands_still(market: WatchedMarket) -> None:
    market.set_price(JUP, 0.5)
    market.set_supply(JUP, total=Decimal(7_000_000), circulating=Decimal(3_000_000))


def without_a_chain(market: WatchedMarket) -> None:
    jup_stands_still(market)
    market.faults["solana_rpc"] = Fault(kind="status", status=503)


async def test_the_chain_gives_the_total_and_jupiter_what_circulates() -> None:
    async with running(QUIET, prepare=jup_stands_still) as rig:
        await rig.warm()
        cap = await rig.service.get(JUP)
        assert (cap.market_cap_usd, cap.fdv_usd, cap.basis) == (1_500_000, 3_500_000, "circulating")
        assert (cap.circulating_supply, cap.total_supply) == (3_000_000, 7_000_000)
        assert (cap.supply_source, cap.circulating_source, cap.confidence) == ("solana_rpc", "jupiter", "high")


async def test_without_a_chain_jupiters_total_is_taken_at_low_confidence_until_the_chain_is_back() -> None:
    async with running(QUIET, prepare=without_a_chain) as rig:
        await rig.run_for(10)
        for mint in PRICED:
            cap = await rig.service.get(mint)
            assert (cap.supply_source, cap.confidence) == ("jupiter", "low")
        assert (await rig.service.get(JUP)).market_cap_usd == 1_500_000
        rig.market.faults["solana_rpc"] = None
        await rig.run_for(130)
        for mint in PRICED:
            cap = await rig.service.get(mint)
            assert (cap.supply_source, cap.confidence) == ("solana_rpc", "high")


async def test_a_new_supply_on_chain_is_read_within_its_interval() -> None:
    async with running(QUIET, prepare=jup_stands_still) as rig:
        await rig.warm()
        rig.market.set_supply(JUP, total=Decimal(8_000_000))
        await rig.run_for(361)
        assert (await rig.service.get(JUP)).fdv_usd == 4_000_000


async def test_the_basis_stays_when_jupiter_fails() -> None:
    async with running(QUIET, prepare=jup_stands_still) as rig:
        await rig.run_for(65)
        rig.market.forget("jupiter", JUP)
        await rig.run_for(600)
        cap = await rig.service.get(JUP)
        assert (cap.source, cap.basis, cap.market_cap_usd) == ("dexscreener", "circulating", 1_500_000)
        assert cap.circulating_source == "jupiter"


async def test_a_token_never_seen_with_a_circulating_supply_starts_at_total_and_moves_once() -> None:
    def prepare(market: WatchedMarket) -> None:
        jup_stands_still(market)
        market.forget("jupiter", JUP)

    async with running(QUIET, prepare=prepare) as rig:
        await rig.run_for(65)
        cap = await rig.service.get(JUP)
        assert (cap.basis, cap.market_cap_usd, cap.confidence) == ("total", 3_500_000, "medium")
        rig.market.remember("jupiter", JUP)
        await rig.run_for(130)
        cap = await rig.service.get(JUP)
        assert (cap.basis, cap.market_cap_usd, cap.confidence) == ("circulating", 1_500_000, "high")


async def test_more_in_circulation_than_there_is_on_chain_is_refused_and_counted() -> None:
    def prepare(market: WatchedMarket) -> None:
        market.set_price(JUP, 0.5)
        market.set_supply(JUP, total=Decimal(2_000_000), circulating=Decimal(3_000_000))

    async with running(QUIET, prepare=prepare) as rig:
        await rig.warm()
        cap = await rig.service.get(JUP)
        assert (cap.basis, cap.market_cap_usd, cap.circulating_supply) == ("total", 1_000_000, None)
        assert rig.metric("rejected_quotes_total", source="jupiter", reason="supply") == 1


async def test_a_node_that_is_down_is_asked_for_sol_again_after_a_minute() -> None:
    async with running(QUIET, prepare=without_a_chain) as rig:
        await rig.run_for(30)
        rig.market.faults["solana_rpc"] = None
        await rig.run_for(100)
        assert (await rig.service.get(SOL)).supply_source == "solana_rpc"


async def test_market_caps_are_the_price_times_the_supply() -> None:
    async with running(spread=0.01) as rig:
        await rig.run_for(65)
        for mint in rig.service.engine.tracker.mints:
            if (cap := rig.cap(mint)) is not None:
                supply = cap.circulating_supply if cap.basis == "circulating" else cap.total_supply
                assert cap.market_cap_usd == pytest.approx(cap.price_usd * (supply or 0), rel=1e-9)
        assert (await rig.service.get(BONK)).cached


ONLY_DEXSCREENER = Settings(
    tracking=TrackingSettings(trending_tokens=0), pricing=PricingSettings(sources=("dexscreener",))
)


async def test_a_price_without_a_supply_is_a_failure_while_the_chain_fails() -> None:
    async with running(ONLY_DEXSCREENER, prepare=without_a_chain) as rig:
        await rig.run_for(10)
        assert isinstance(await rig.outcome(JUP), UpstreamUnavailableError)
        rig.market.faults["solana_rpc"] = None
        await rig.run_for(60)
        assert (await rig.service.get(JUP)).supply_source == "solana_rpc"


async def test_a_price_without_a_supply_is_a_failure_while_a_source_that_could_tell_one_fails() -> None:
    def prepare(market: WatchedMarket) -> None:
        market.forget("solana_rpc", JUP)
        for source in ("jupiter", "geckoterminal"):
            market.faults[source] = Fault(kind="status", status=503)

    async with running(QUIET, prepare=prepare) as rig:
        await rig.run_for(10)
        assert isinstance(await rig.outcome(JUP), UpstreamUnavailableError)
        rig.market.faults["jupiter"] = None
        await rig.run_for(80)
        cap = await rig.service.get(JUP)
        assert (cap.supply_source, cap.confidence) == ("jupiter", "low")

"""Supplies over an hour: what is remembered, and how seldom the chain and Jupiter are asked."""

import itertools
from decimal import Decimal

import pytest

from sidecar.config.settings import PricingSettings, Settings, TrackingSettings
from sidecar.demo import Fault
from tests.running import Rig, WatchedMarket, running
from tests.service.test_supplies import QUIET, jup_stands_still
from tests.service.tokens import JUP, PRICED, SOL

REFUSED = Fault(kind="status", status=403)


def methods(rig: Rig, name: str) -> list[float]:
    return [at for at, _, method, _ in rig.market.times if method == name]


async def test_a_supply_read_on_chain_still_counts_while_the_chain_cannot_be_read() -> None:
    async with running(QUIET, prepare=jup_stands_still) as rig:
        await rig.run_for(65)
        rig.market.faults["solana_rpc"] = Fault(kind="drop")
        await rig.run_for(1800)
        cap = await rig.service.get(JUP)
        assert (cap.supply_source, cap.total_supply, cap.confidence) == ("solana_rpc", 7_000_000, "high")


async def test_sol_has_the_supply_of_the_chain_itself_read_once_an_hour() -> None:
    def prepare(market: WatchedMarket) -> None:
        market.set_price(SOL, 150.0)
        market.set_supply(SOL, total=Decimal(600_000_000), circulating=Decimal(500_000_000))

    async with running(QUIET, prepare=prepare) as rig:
        await rig.warm()
        cap = await rig.service.get(SOL)
        assert (cap.market_cap_usd, cap.fdv_usd) == (75_000_000_000, 90_000_000_000)
        assert (cap.supply_source, cap.circulating_source) == ("solana_rpc", "solana_rpc")
        await rig.run_for(3700)
        assert len(methods(rig, "getSupply")) == 2
        assert rig.asked_for(SOL, "solana_rpc") == 0


async def test_a_node_that_forbids_is_asked_again_at_most_every_ten_minutes() -> None:
    def prepare(market: WatchedMarket) -> None:
        market.faults["solana_rpc"] = REFUSED

    async with running(QUIET, prepare=prepare) as rig:
        await rig.warm()
        cap = await rig.service.get(SOL)
        assert (cap.supply_source, cap.confidence, cap.basis) == ("jupiter", "low", "circulating")
        await rig.run_for(3600)
        asked = {name: methods(rig, name) for name in ("getSupply", "getMultipleAccounts")}
        assert sum(map(len, asked.values())) >= 5  # whichever comes first keeps the other back
        for name, times in asked.items():
            assert all(later - earlier >= 600 for earlier, later in itertools.pairwise(times)), name
        rig.market.faults["solana_rpc"] = None
        await rig.run_for(1300)
        assert {(await rig.service.get(mint)).supply_source for mint in PRICED} == {"solana_rpc"}


@pytest.mark.parametrize("order", [("dexscreener", "geckoterminal", "jupiter"), ("dexscreener", "jupiter")])
async def test_what_circulates_is_asked_for_wherever_jupiter_stands_and_seldom(
    order: tuple[str, ...],
) -> None:
    settings = Settings(tracking=TrackingSettings(trending_tokens=0), pricing=PricingSettings(sources=order))
    async with running(settings, prepare=jup_stands_still) as rig:
        await rig.warm()
        cap = await rig.service.get(JUP)
        assert (cap.source, cap.basis, cap.market_cap_usd) == ("dexscreener", "circulating", 1_500_000)
        await rig.run_for(7200)
        cap = await rig.service.get(JUP)
        assert (cap.basis, cap.confidence) == ("circulating", "high")
        if order[1] != "jupiter":
            assert rig.calls("jupiter") <= 30  # twelve of them for its trending list

"""Each source off, slow, or talking nonsense, in turn: what another source knows stays right."""

import pytest

from sidecar.config.settings import Settings, TrackingSettings
from sidecar.demo import Fault, Source
from tests.faults.warm import PATIENT_SECONDS
from tests.running import Rig, WatchedMarket, running
from tests.service.tokens import BONK, JUP, PRICED, SOL, plain_tokens

QUIET = Settings(tracking=TrackingSettings(trending_tokens=0))
SOURCES: tuple[Source, ...] = ("jupiter", "dexscreener", "geckoterminal", "solana_rpc")
FAULTS = {
    "off": Fault(kind="drop"),
    "refusing": Fault(kind="status", status=503),
    "limiting": Fault(kind="status", status=429),
    "slow": Fault(kind="latency", latency_seconds=4.0),
    "garbage": Fault(kind="garbage"),
    "half_json": Fault(kind="half_json"),
    "challenge": Fault(kind="challenge"),
    "reset": Fault(kind="reset"),
}


def stand_still(market: WatchedMarket) -> None:
    """Fix the prices, so that every figure has one right value."""
    for mint in PRICED:
        market.set_price(mint, market.price(mint))


def check(rig: Rig) -> None:
    """Assert that every popular token that has a price is served, and right."""
    for mint in PRICED:
        cap = rig.cap(mint)
        assert cap is not None, mint
        assert cap.market_cap_usd == pytest.approx(rig.market.market_cap(mint), rel=1e-6), mint


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("source", SOURCES)
async def test_a_source_that_fails_later_costs_no_figure_and_no_basis(source: Source, fault: str) -> None:
    async with running(QUIET, prepare=stand_still) as rig:
        await rig.run_for(65)
        bases = [cap and cap.basis for cap in map(rig.cap, PRICED)]
        rig.market.faults[source] = FAULTS[fault]
        failed_at = rig.clock.monotonic()
        for mint in PRICED:
            rig.market.set_price(mint, rig.market.price(mint) * 1.2)
        await rig.run_for(75)
        check(rig)
        assert [cap and cap.basis for cap in map(rig.cap, PRICED)] == bases
        assert max(rig.age(mint) for mint in PRICED) <= rig.clock.monotonic() - failed_at


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("source", SOURCES)
async def test_a_source_that_fails_from_the_start_leaves_the_others_to_answer(source: Source, fault: str) -> None:
    def broken(market: WatchedMarket) -> None:
        stand_still(market)
        market.faults[source] = FAULTS[fault]

    async with running(QUIET, prepare=broken) as rig:
        await rig.run_for(10)
        for mint in PRICED:
            cap = rig.cap(mint)
            assert cap is not None, mint
            truth = rig.market.price(mint)
            assert cap.price_usd == pytest.approx(truth, rel=1e-6)
            supply = cap.circulating_supply if cap.basis == "circulating" else cap.total_supply
            assert cap.market_cap_usd == pytest.approx(truth * (supply or 0), rel=1e-6)


async def test_without_jupiter_circulating_supplies_are_those_remembered() -> None:
    async with running(QUIET, prepare=stand_still) as rig:
        await rig.run_for(65)
        rig.market.faults["jupiter"] = Fault(kind="status", status=503)
        await rig.run_for(1800)
        cap = rig.cap(JUP)
        assert cap is not None
        assert (cap.source, cap.basis, cap.circulating_source) == ("dexscreener", "circulating", "jupiter")
        check(rig)
        assert max(rig.age(mint) for mint in PRICED) <= 70


async def test_an_hour_without_any_upstream_is_served_from_memory_and_then_comes_back() -> None:
    async with running(QUIET, prepare=stand_still) as rig:
        await rig.run_for(65)
        for source in SOURCES:
            rig.market.faults[source] = Fault(kind="drop")
        calls = rig.calls()
        for _ in range(57):
            await rig.run_for(60)
            for mint in PRICED:
                assert (await rig.service.get(mint)).cached
        assert (await rig.service.get(BONK)).stale
        assert rig.calls() - calls < 500
        rig.market.faults = dict.fromkeys(SOURCES)
        await rig.run_for(PATIENT_SECONDS)
        check(rig)
        assert max(rig.age(mint) for mint in PRICED) <= 70
        assert all(
            rig.metric("upstream_circuit_open", source=source) == 0 for source in ("jupiter", "dexscreener")
        )


async def test_a_storm_of_429_is_met_with_ever_fewer_calls_and_forgotten_when_it_ends() -> None:
    async with running(QUIET, prepare=stand_still) as rig:
        await rig.run_for(65)
        for source in SOURCES:
            rig.market.faults[source] = Fault(kind="status", status=429, headers={"Retry-After": "0"})
        calls = rig.calls()
        await rig.run_for(600)
        assert rig.calls() - calls <= 4 * 15
        rig.market.faults = dict.fromkeys(SOURCES)
        await rig.run_for(75)
        check(rig)


@pytest.mark.parametrize("fault", [Fault(kind="endless"), Fault(kind="gzip_bomb")], ids=lambda fault: fault.kind)
async def test_a_body_without_end_is_cut_off_and_another_source_asked(fault: Fault) -> None:
    async with running(QUIET, prepare=stand_still) as rig:
        await rig.warm()
        rig.market.faults["jupiter"] = fault
        cap = await rig.service.get(SOL)
        [mint] = plain_tokens(rig.market, 1)
        found = await rig.finish(rig.service.get(mint))
        assert (cap.source, found.source) == ("jupiter", "dexscreener")
        assert rig.metric("upstream_requests_total", source="jupiter", outcome="too_large") == 1

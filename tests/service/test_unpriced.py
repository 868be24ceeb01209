"""Tokens that no source prices: they cost few calls, and what is known of them is said."""

from collections import Counter

import pytest

from sidecar.config.settings import Settings, TrendingSettings
from sidecar.demo import Fault
from sidecar.errors import NotPricedError
from sidecar.models import MarketCap
from sidecar.sources.dexscreener import DexScreener
from sidecar.sources.jupiter import Jupiter
from tests.running import Rig, WatchedMarket, running
from tests.service.tokens import POPULAR_MINTS, PRICED, plain_tokens

QUIET = Settings(trending=TrendingSettings(sources=()))
REFUSING = Fault(kind="status", status=429)
EMPTY = Fault(kind="status", status=200, body="[]", headers={"Content-Type": "application/json"})
NO_DATA = Fault(kind="status", status=200, body='{"data": []}', headers={"Content-Type": "application/json"})
MINUTE = 60.0


def drained(market: WatchedMarket, count: int) -> list[str]:
    """Leave three dollars in the pools of so many tokens."""
    mints = plain_tokens(market, count)
    for mint in mints:
        market.set_liquidity(mint, 3.0)
    return list(mints)


def calls_of(rig: Rig, mints: list[str], since: float) -> Counter[str]:
    """Count the price calls since a moment that name one of the mints, by source."""
    asked = [(source, named) for at, source, _, named in rig.market.times if at >= since]
    return Counter(source for source, named in asked if not set(mints).isdisjoint(named))


async def ask_every(rig: Rig, mints: list[str], pause: float, seconds: float) -> Counter[str]:
    """Ask for each of these tokens again and again, one after the other, and count what comes of it."""
    outcomes: Counter[str] = Counter()
    end = rig.clock.monotonic() + seconds
    while rig.clock.monotonic() < end:
        started = rig.clock.monotonic()
        for mint in mints:
            outcome = await rig.outcome(mint)
            outcomes["priced" if isinstance(outcome, MarketCap) else outcome.code] += 1
        await rig.run_for(max(0.1, pause - (rig.clock.monotonic() - started)))
    return outcomes


async def test_a_refusing_second_source_does_not_make_the_first_be_asked_again_and_again() -> None:
    async with running(QUIET) as rig:
        await rig.warm()
        mints = drained(rig.market, 1)
        rig.market.faults["dexscreener"] = REFUSING
        start = rig.clock.monotonic()
        outcomes = await ask_every(rig, mints, 2.0, 45.0)
        assert set(outcomes) <= {"upstream_unavailable", "overloaded"}  # as long as it does not answer itself
        calls = calls_of(rig, mints, start)
        assert calls["jupiter"] <= 1
        assert calls["geckoterminal"] <= 1
        assert calls["dexscreener"] <= 5


async def test_a_failing_source_does_not_hide_that_a_token_had_no_price_when_all_last_answered() -> None:
    async with running(QUIET) as rig:
        await rig.warm()
        mints = drained(rig.market, 1)
        assert isinstance(await rig.outcome(mints[0]), NotPricedError)
        rig.market.faults["dexscreener"] = REFUSING
        assert set(await ask_every(rig, mints, 10.0, 300.0)) == {"not_priced"}


async def test_a_source_that_suddenly_leaves_out_everything_has_failed() -> None:
    async with running(QUIET) as rig:
        await rig.run_for(10)
        before = {mint: rig.cap(mint) for mint in PRICED}
        assert all(before.values())
        rig.market.faults |= {"jupiter": EMPTY, "dexscreener": EMPTY, "geckoterminal": NO_DATA}
        await rig.run_for(8 * MINUTE)
        assert all(rig.cap(mint) is not None for mint in PRICED)
        assert rig.metric("upstream_requests_total", source="jupiter", outcome="schema") > 0
        rig.market.faults |= dict.fromkeys(rig.market.faults)
        await rig.run_for(2 * MINUTE)  # an open circuit is tried again after a minute at most
        assert max(rig.age(mint) for mint in PRICED) <= MINUTE


def all_drained(market: WatchedMarket) -> None:
    for mint in PRICED:
        market.set_liquidity(mint, 3.0)


async def test_a_popular_token_is_back_within_an_interval_of_its_first_good_answer() -> None:
    async with running(QUIET, prepare=all_drained) as rig:
        await rig.run_for(30 * MINUTE)
        assert all(rig.cap(mint) is None for mint in POPULAR_MINTS)
        for mint in PRICED:
            rig.market.set_liquidity(mint, 5_000_000.0)
        await rig.run_for(MINUTE + 5)
        assert all(rig.cap(mint) is not None for mint in PRICED)


async def test_an_exception_in_one_source_ends_its_part_of_a_batch_and_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> object:
        raise MemoryError

    async with running(QUIET, start=False) as rig:
        for source in (Jupiter, DexScreener):
            monkeypatch.setattr(source, "quotes", broken)
        await rig.service.start()
        await rig.run_for(3 * MINUTE)
        caps = [rig.cap(mint) for mint in PRICED]
        assert {cap and cap.source for cap in caps} == {"geckoterminal"}
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [(record.getMessage(), record.source) for record in errors] == [  # type: ignore[attr-defined]
        ("upstream broke", "jupiter"),
        ("upstream broke", "dexscreener"),
    ]


async def test_an_exception_in_reading_the_chain_ends_that_reading_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> object:
        raise RuntimeError

    async with running(QUIET, start=False) as rig:
        monkeypatch.setattr("sidecar.sources.solana_rpc.SolanaRpc.supplies", broken)
        await rig.service.start()
        await rig.run_for(5)
        assert {cap and cap.supply_source for cap in map(rig.cap, PRICED)} >= {"jupiter"}

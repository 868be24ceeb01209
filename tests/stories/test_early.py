"""Refreshing early what is asked for and may be off by more than wanted (docs/rules.md: R8)."""

from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest

from sidecar.config.popular import PopularToken
from sidecar.config.settings import RefreshSettings, Settings, TrackingSettings, TrendingSettings
from sidecar.demo import Fault, Market
from sidecar.models import Mint
from tests.running import Rig, running
from tests.service.tokens import plain_tokens
from tests.stories.stage import longest_intervals
from tests.stories.test_call_counts import PRICE_CALLS

CALM, LIVELY, WILD = 0.0, 0.004, 0.01
"""By how much the logarithm of a price moves in ten seconds."""


class Play:
    """Tokens that move as they are told, and an application that asks for some of them every ten seconds."""

    def __init__(self, rig: Rig, moves: dict[Mint, float]) -> None:
        self.rig = rig
        self.moves = moves
        self.steps = 0
        for mint in moves:
            rig.market.set_price(mint, rig.market.price(mint))

    async def go_on(self, seconds: int, asked: dict[Mint, int] | None = None) -> dict[Mint, float]:
        """Let time pass and return how old each token got meanwhile."""
        oldest = dict.fromkeys(self.moves, 0.0)
        for _ in range(seconds // 10):
            up = self.steps // 6 % 2 == 0  # for a minute, then down for one
            self.steps += 1
            for mint, move in self.moves.items():
                step = 1 + move if up else 1 / (1 + move)
                self.rig.market.set_price(mint, self.rig.market.price(mint) * step)
            for mint, times in (asked or {}).items():
                for _ in range(times):
                    self.rig.service.lookups.find(mint)
            await self.rig.run_for(10)
            for mint in self.moves:
                oldest[mint] = max(oldest[mint], self.rig.age(mint))
        return oldest


TOKENS = 500
MINTS = plain_tokens(Market(tokens=TOKENS), 130)


def settings(tokens: int, **refresh: float | None) -> Settings:
    """Return settings for so many tokens on the popular list, and nothing else to refresh."""
    return Settings(
        popular=tuple(PopularToken(mint=mint, symbol="T") for mint in MINTS[:tokens]),
        refresh=msgspec.convert(refresh, RefreshSettings),
        tracking=TrackingSettings(max_tokens=max(100, tokens)),
        trending=TrendingSettings(sources=()),
    )


def early_calls(rig: Rig, since: float) -> int:
    """Count the calls to Jupiter beyond one a minute."""
    calls = rig.calls_since(since)["jupiter", PRICE_CALLS["jupiter"]]
    return calls - round((rig.clock.monotonic() - since) / 60)


def asked_of_jupiter(rig: Rig, seen: int) -> Counter[str]:
    """Count by mint the calls to Jupiter after so many calls altogether."""
    calls = [mints for _, source, _, mints in rig.market.times[seen:] if source == "jupiter"]
    return Counter(mint for mints in calls for mint in mints)


async def learnt(rig: Rig, moves: dict[Mint, float]) -> Play:
    """Let seven minutes pass, after which every volatility is known; nothing has been asked for."""
    await rig.run_for(5)  # what is counted later begins and ends between two refreshes of the popular list
    play = Play(rig, moves)
    await play.go_on(420)
    return play


@pytest.fixture(autouse=True)
def no_jitter() -> Iterator[None]:
    with longest_intervals():
        yield


async def test_a_wild_token_that_is_asked_for_is_refreshed_before_its_interval() -> None:
    async with running(settings(3)) as rig:
        play = await learnt(rig, {MINTS[0]: WILD, MINTS[1]: CALM})
        start = rig.clock.monotonic()
        await play.go_on(60, {MINTS[0]: 1})
        oldest = await play.go_on(600, {MINTS[0]: 1})
        assert oldest[MINTS[0]] <= 25
        assert 30 <= early_calls(rig, start) <= 66
        assert rig.metric("refresh_tokens_total", loop="early", outcome="updated") >= 30
        assert rig.metric("refresh_duration_seconds_count", loop="early") == early_calls(rig, start)
        assert rig.metric("refresh_last_success_timestamp_seconds", loop="early") > 0


async def test_nothing_is_refreshed_early_that_is_not_asked_for_or_is_calm() -> None:
    async with running(settings(3)) as rig:
        play = await learnt(rig, {MINTS[0]: WILD, MINTS[1]: CALM})
        start = rig.clock.monotonic()
        await play.go_on(600, {MINTS[1]: 5})
        assert early_calls(rig, start) == 0
        assert rig.metric("refresh_duration_seconds_count", loop="early") == 0


async def test_ten_minutes_after_the_last_request_the_intervals_are_enough_again() -> None:
    async with running(settings(3)) as rig:
        play = await learnt(rig, {MINTS[0]: WILD})
        await play.go_on(60, {MINTS[0]: 1})
        await play.go_on(660)
        start = rig.clock.monotonic()
        await play.go_on(600)
        assert early_calls(rig, start) == 0


@pytest.mark.parametrize("off", [{"target_uncertainty": None}, {"early_share": 0}])
async def test_switched_off_the_calls_are_exactly_those_of_the_intervals(off: dict[str, float | None]) -> None:
    times = []
    for asked in (0, 5):
        async with running(settings(3, **off)) as rig:
            play = await learnt(rig, {MINTS[0]: WILD})
            await play.go_on(600, {MINTS[0]: asked})
            times.append(rig.market.times)
            assert "early" not in rig.service.health.loops
    assert times[0] == times[1]


async def test_a_calm_application_has_exactly_the_calls_that_it_has_without_early_refreshes() -> None:
    times = []
    for off in ({}, {"target_uncertainty": None}):
        async with running(settings(3, **off)) as rig:
            play = await learnt(rig, {MINTS[0]: CALM, MINTS[1]: WILD})
            await play.go_on(420, {MINTS[0]: 5})
            times.append(rig.market.times)
    assert times[0] == times[1]


async def test_early_refreshes_take_a_fifth_of_the_budget_and_each_takes_a_hundred_tokens() -> None:
    async with running(settings(130), tokens=TOKENS) as rig:
        play = await learnt(rig, dict.fromkeys(MINTS, WILD))
        start, seen = rig.clock.monotonic(), len(rig.market.times)
        await play.go_on(120, dict.fromkeys(MINTS, 1))
        calls = [mints for _, source, _, mints in rig.market.times[seen:] if source == "jupiter"]
        assert len(calls) <= 2 * 2 + 2 * 6
        assert early_calls(rig, start) - 2 >= 9
        assert Counter(len(mints) for mints in calls) == {100: len(calls) - 2, 30: 2}


async def test_early_calls_for_what_another_source_prices_cost_no_token_its_confidence() -> None:
    async with running(settings(30), tokens=TOKENS) as rig:
        for mint in MINTS[:5]:
            rig.market.forget("jupiter", mint)
        play = await learnt(rig, dict.fromkeys(MINTS[:30], LIVELY))
        seen = set()
        for _ in range(18):
            await play.go_on(10, dict.fromkeys(MINTS[:30], 3))
            caps = [cap for mint in MINTS[5:30] if (cap := rig.cap(mint))]
            seen |= {(cap.source, cap.confidence) for cap in caps}
        assert seen == {("jupiter", "high"), ("dexscreener", "high")}


async def test_where_not_all_have_room_the_most_requested_of_equals_come_first() -> None:
    async with running(settings(130), tokens=TOKENS) as rig:
        play = await learnt(rig, dict.fromkeys(MINTS, WILD))
        wanted = {mint: 10 if mint in MINTS[:60] else 1 for mint in MINTS}
        seen = len(rig.market.times)
        await play.go_on(120, wanted)
        asked = Counter(
            mint for _, source, _, mints in rig.market.times[seen:] if source == "jupiter" for mint in mints
        )
        assert min(asked[mint] for mint in MINTS[:60]) > max(asked[mint] for mint in MINTS[60:])


async def test_an_early_call_takes_others_along_and_those_first_that_matter_next() -> None:
    async with running(settings(130), tokens=TOKENS) as rig:
        moves = {MINTS[0]: WILD, **dict.fromkeys(MINTS[1:110], LIVELY / 4), **dict.fromkeys(MINTS[110:], CALM)}
        play = await learnt(rig, moves)
        seen = len(rig.market.times)
        await play.go_on(120, dict.fromkeys(MINTS, 1))
        asked = Counter(
            mint for _, source, _, mints in rig.market.times[seen:] if source == "jupiter" for mint in mints
        )
        assert sum(asked[mint] for mint in MINTS[1:110]) / 109 > 2 * sum(asked[mint] for mint in MINTS[110:]) / 20


async def test_an_upstream_that_answered_429_gets_no_early_call_for_ten_minutes() -> None:
    async with running(settings(3)) as rig:
        play = await learnt(rig, {MINTS[0]: WILD})
        await play.go_on(60, {MINTS[0]: 1})
        rig.market.faults["jupiter"] = Fault(kind="status", status=429)
        await play.go_on(70, {MINTS[0]: 1})
        rig.market.faults["jupiter"] = None
        await play.go_on(60, {MINTS[0]: 1})
        start = rig.clock.monotonic()
        await play.go_on(420, {MINTS[0]: 1})
        assert early_calls(rig, start) == 0
        await play.go_on(120, {MINTS[0]: 1})
        start = rig.clock.monotonic()
        await play.go_on(120, {MINTS[0]: 1})
        assert early_calls(rig, start) > 0


async def test_sources_that_go_on_disagreeing_are_no_reason_to_ask_all_the_time() -> None:
    async with running(settings(3)) as rig:
        rig.market.set_source_price("dexscreener", MINTS[0], rig.market.price(MINTS[0]) * 1.04)
        play = await learnt(rig, {MINTS[0]: LIVELY / 40})
        start = rig.clock.monotonic()
        await play.go_on(600, {MINTS[0]: 5})
        assert ((await rig.service.get(MINTS[0])).uncertainty or 0) > 0.01
        assert early_calls(rig, start) == 0


async def test_an_early_refresh_that_fails_neither_brings_the_next_one_forward_nor_costs_the_value() -> None:
    async with running(settings(3)) as rig:
        play = await learnt(rig, {MINTS[0]: WILD})
        await play.go_on(60, {MINTS[0]: 1})
        for source in PRICE_CALLS:
            rig.market.faults[source] = Fault(kind="status", status=503)
        start, due = rig.clock.monotonic(), rig.service.engine.schedule._due.get(MINTS[0])
        await play.go_on(40, {MINTS[0]: 1})
        assert rig.calls_since(start)["jupiter", PRICE_CALLS["jupiter"]] <= 3
        assert rig.cap(MINTS[0]) is not None
        assert rig.service.engine.schedule._due.get(MINTS[0]) == due
        assert rig.metric("refresh_tokens_total", loop="early", outcome="failed") >= 1

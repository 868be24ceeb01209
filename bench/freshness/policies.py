"""What is served under each policy: three times the real engine on a fake clock, and the limit."""

import math
import random
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.freshness.truth import MEASURED_SECONDS, SECONDS, WARM_UP_SECONDS, Truth, TruthMarket
from sidecar.config.popular import PopularToken
from sidecar.config.settings import CacheSettings, RefreshSettings, Settings, TrackingSettings, TrendingSettings
from sidecar.demo import serve
from sidecar.refresh.schedule import JITTER
from sidecar.service.service import PreCacheService
from tests.clock import FakeClock
from tests.running import Rig, pointed_at

POPULAR: Final = 11
"""How many of the most requested are on the popular list, as many as on the built-in one."""
CALL_TOKENS: Final = 100
SAME_WITHIN: Final = 0.03
"""As many calls means within this share."""
MOST_TRIES: Final = 3


class Outcome(msgspec.Struct, frozen=True):
    """What a policy served in the hour, and what it cost."""

    name: str
    errors: NDArray[np.float64]
    """By request: how far the market cap served was off, as a ratio."""
    ratios: NDArray[np.float64]
    """By request whose uncertainty was known: error ÷ uncertainty."""
    calls: int
    """To Jupiter."""
    busiest_minute: int
    all_calls: int
    unanswered: int = 0


async def fixed(truth: Truth) -> Outcome:
    """Serve with the intervals alone: `target_uncertainty: null`."""
    return await _served("fixed intervals", truth, RefreshSettings(target_uncertainty=None))


async def early(name: str, truth: Truth, refresh: RefreshSettings) -> Outcome:
    """Serve with early refreshes."""
    return await _served(name, truth, refresh)


async def evenly(name: str, truth: Truth, calls: int) -> Outcome:
    """Serve with one fixed interval for all that takes as many calls."""
    calls_a_round = math.ceil(len(truth.mints) / CALL_TOKENS)
    seconds = MEASURED_SECONDS / calls * calls_a_round / (1 - JITTER)  # the first that is due takes along the rest
    for attempt in range(1, MOST_TRIES + 1):
        refresh = RefreshSettings(tracked_seconds=seconds, target_uncertainty=None)
        outcome = await _served(f"{name}, every {seconds:.0f} s", truth, refresh, popular=0)
        if abs(outcome.calls / calls - 1) <= SAME_WITHIN or attempt == MOST_TRIES:
            return outcome
        seconds *= outcome.calls / calls
    raise AssertionError


def clairvoyant(truth: Truth, calls: int) -> Outcome:
    """Spread as many calls evenly; each refreshes the hundred whose true error, times their demand, is largest."""
    served = truth.prices[:, 0].astype(np.float64)
    errors = []
    credit = 0.0
    for second in range(SECONDS):
        true = truth.prices[:, second].astype(np.float64)
        credit += calls / MEASURED_SECONDS
        if credit >= 1:
            credit -= 1
            wrong = truth.demand * np.abs(served - true)
            most = np.argpartition(-wrong, min(CALL_TOKENS, len(wrong)) - 1)[:CALL_TOKENS]
            served[most] = true[most]
        if second >= WARM_UP_SECONDS:
            asked = truth.requests[second]
            errors.append(np.abs(np.expm1(served[asked] - true[asked])))
    return Outcome("the clairvoyant", np.concatenate(errors), np.empty(0), calls, 0, calls)


async def _served(name: str, truth: Truth, refresh: RefreshSettings, popular: int = POPULAR) -> Outcome:
    """Run the service for the warm-up and the hour, asking what the truth asks for."""
    random.seed(1)
    clock = FakeClock()
    market = TruthMarket(clock, truth)
    async with serve(market) as urls:
        service = PreCacheService(pointed_at(urls, _settings(truth, refresh, popular)), clock=clock)
        await service.start()
        try:
            return await _hour(name, Rig(service, market, clock), truth)
        finally:
            await service.stop()


async def _hour(name: str, rig: Rig, truth: Truth) -> Outcome:
    errors: list[float] = []
    ratios: list[float] = []
    unanswered = 0
    start = rig.clock.monotonic()
    for mint in truth.mints:
        rig.service.track_request(mint)
    for second in range(SECONDS):
        measured = second >= WARM_UP_SECONDS
        for number in truth.requests[second].tolist():
            mint = truth.mints[number]
            hit = rig.service.lookups.find(mint)
            if hit is None:
                unanswered += measured
            elif measured:
                error = abs(hit.entry.cap.market_cap_usd / rig.market.market_cap(mint) - 1.0)
                errors.append(error)
                if hit.uncertainty is not None:
                    ratios.append(error / hit.uncertainty)
        await rig.run_until(lambda: False, start + second + 1 - rig.clock.monotonic())
    since = start + WARM_UP_SECONDS
    calls = [at for at, source, _, _ in rig.market.times if source == "jupiter" and at >= since]
    busiest = max(sum(at <= other < at + 60 for other in calls) for at in calls)
    every = sum(at >= since for at, *_ in rig.market.times)
    return Outcome(name, np.array(errors), np.array(ratios), len(calls), busiest, every, unanswered)


def _settings(truth: Truth, refresh: RefreshSettings, popular: int) -> Settings:
    return Settings(
        popular=tuple(PopularToken(mint=mint, symbol=mint[:4]) for mint in truth.mints[:popular]),
        refresh=refresh,
        tracking=TrackingSettings(max_tokens=len(truth.mints), min_requests=1),
        cache=CacheSettings(max_entries=20_000),
        trending=TrendingSettings(sources=()),
    )

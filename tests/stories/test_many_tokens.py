"""More tokens than fit a few calls: the schedule spreads what the budget can carry (R4)."""

import msgspec

from sidecar.config.settings import CacheSettings, Settings, TrackingSettings, TrendingSettings
from tests.running import running
from tests.service.tokens import plain_tokens

TOKENS = 800
CALLS_A_MINUTE = 4
"""Of Jupiter: the popular list needs one, the others 8 in five minutes."""


def scarce() -> Settings:
    settings = Settings(
        tracking=TrackingSettings(max_tokens=TOKENS, min_requests=1, trending_tokens=0),
        cache=CacheSettings(max_entries=2 * TOKENS),
        trending=TrendingSettings(sources=()),
    )
    jupiter = msgspec.structs.replace(settings.sources.jupiter, requests_per_minute=CALLS_A_MINUTE)
    return msgspec.structs.replace(settings, sources=msgspec.structs.replace(settings.sources, jupiter=jupiter))


async def test_tokens_for_which_the_budget_just_suffices_are_all_refreshed_in_time() -> None:
    async with running(scarce(), tokens=6 * TOKENS) as rig:
        mints = plain_tokens(rig.market, TOKENS - 11)
        for mint in mints:
            rig.service.track_request(mint)
        await rig.run_for(330)
        assert len(rig.service.engine.tracker.mints) == TOKENS
        oldest = 0.0
        for _ in range(60):
            await rig.run_for(10)
            oldest = max(oldest, *(rig.age(mint) for mint in mints))
        assert oldest <= 300 + 15
        for loop in ("popular", "tracked"):
            assert rig.metric("refresh_tokens_total", loop=loop, outcome="failed") <= 20
        assert rig.metric("lookups_total", result="stale") == 0

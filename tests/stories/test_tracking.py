"""Which tokens stay warm, as minutes and trending lists go by."""

from sidecar.config.settings import Settings, TrackingSettings
from tests.running import running
from tests.service.test_predecessor import NO_TRENDING
from tests.service.tokens import POPULAR_MINTS, plain_tokens


async def test_five_requests_spread_over_more_than_the_window_do_not_join() -> None:
    async with running(NO_TRENDING) as rig:
        mint = plain_tokens(rig.market, 1)[0]
        for _ in range(5):
            rig.service.track_request(mint)
            await rig.run_for(901)
        assert rig.service.get_stats()["tracked_tokens"] == 11


async def test_trending_tokens_fill_the_free_places_up_to_the_cap_and_leave_first() -> None:
    settings = Settings(tracking=TrackingSettings(max_tokens=20, trending_tokens=50))
    async with running(settings) as rig:
        await rig.warm()
        tracker = rig.service.engine.tracker
        assert (len(tracker.mints), tracker.size("trending")) == (20, 9)
        last = tracker.tier("trending")[-1]
        newcomer = next(mint for mint in plain_tokens(rig.market, 60) if mint not in tracker.mints)
        for _ in range(5):
            rig.service.track_request(newcomer)
        assert (len(tracker.mints), tracker.size("trending"), tracker.size("requested")) == (20, 8, 1)
        assert last not in tracker.mints
        await rig.run_for(1300)
        assert (len(tracker.mints), tracker.size("requested"), tracker.popular) == (20, 1, POPULAR_MINTS)

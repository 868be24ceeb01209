"""A value over the hour in which it may be served."""

from sidecar.errors import UpstreamUnavailableError
from tests.running import running
from tests.service.test_staleness import QUIET, fail, untracked


async def test_a_value_is_gone_an_hour_after_its_own_answer_and_no_earlier() -> None:
    async with running(QUIET) as rig:
        mint = await untracked(rig)
        fail(rig)
        await rig.run_for(3600 - rig.age(mint) - 0.5)
        assert (await rig.service.get(mint)).stale
        await rig.run_for(1)
        assert isinstance(await rig.outcome(mint), UpstreamUnavailableError)
        assert rig.metric("cache_evictions_total", reason="expired") >= 1

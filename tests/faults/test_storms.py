"""429 from every source, in every way an upstream may say for how long."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from sidecar.demo import Fault
from sidecar.errors import OverloadedError
from sidecar.models import Priority
from sidecar.upstreams.rate_headers import LONGEST_RETRY_AFTER_SECONDS
from tests.clock import UNIX_START
from tests.faults.warm import QUIET, break_all, recovers, repair_all, run_warm, served_from_memory, stand_still
from tests.running import Rig, running
from tests.service.tokens import plain_tokens
from tests.stories.stage import PRICE_SOURCES


def http_date(unix: float) -> str:
    return format_datetime(datetime.fromtimestamp(unix, UTC), usegmt=True)


STORMS = {
    "says nothing": {},
    "at once": {"Retry-After": "0"},
    "soon": {"Retry-After": "7"},
    "never": {"Retry-After": "999999999999"},
    "backwards": {"Retry-After": "-30"},
    "words": {"Retry-After": "when it suits us"},
    "next month": {"Retry-After": http_date(UNIX_START + 30 * 86_400)},
    "last month": {"Retry-After": http_date(UNIX_START - 30 * 86_400)},
    "in this storm": {"Retry-After": http_date(UNIX_START + 200)},
    "reset": {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(UNIX_START) + 100)},
    "overdrawn": {"x-ratelimit-remaining": "-3", "x-ratelimit-reset": str(int(UNIX_START) + 100)},
    "reset absurd": {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "32503680000"},
    "reset no figure": {"x-ratelimit-remaining": "none", "x-ratelimit-reset": "nan"},
}


def all_blocked(rig: Rig) -> bool:
    """Return whether no price source may be called before a look-up's deadline: shorter blocks are waited for."""
    deadline = rig.service.settings.api.deadline_seconds
    return all(rig.service.engine.upstreams[source].retry_in(Priority.MISS) > deadline for source in PRICE_SOURCES)


@pytest.mark.parametrize("headers", STORMS.values(), ids=STORMS.keys())
async def test_a_storm_of_429_costs_few_calls_and_no_warm_token_and_passes(headers: dict[str, str]) -> None:
    async with running(QUIET, prepare=stand_still) as rig:
        await rig.run_for(65)
        [cold] = plain_tokens(rig.market, 1)
        break_all(rig, Fault(kind="status", status=429, headers=headers))
        calls = rig.calls()
        await run_warm(rig, 300)
        assert 0 < rig.calls() - calls <= 4 * 10
        assert await rig.run_until(lambda: all_blocked(rig), 120)
        before = rig.clock.monotonic()
        refused = await rig.outcome(cold)
        assert isinstance(refused, OverloadedError)
        assert rig.clock.monotonic() == before
        assert 1 <= (refused.retry_after or 0) <= LONGEST_RETRY_AFTER_SECONDS
        repair_all(rig)
        await run_warm(rig, LONGEST_RETRY_AFTER_SECONDS)  # as it was told; a refresh must follow
        await recovers(rig)
        assert not any(cap.stale for cap in await served_from_memory(rig.service))

"""Look-ups counted in their entries are folded into the metrics a few at a time, each of them once."""

from collections.abc import AsyncIterator
from typing import Final

import pytest

from sidecar.config.settings import CacheSettings, Settings, TrackingSettings
from tests.running import Rig, running
from tests.service.tokens import plain_tokens

COUNT: Final = 150
WIDE: Final = Settings(
    cache=CacheSettings(fresh_seconds=600),
    tracking=TrackingSettings(max_tokens=COUNT + 11, min_requests=1, trending_tokens=0),
)
HITS: Final = 3


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """Tokens that are tracked, each looked up HITS times; nothing of that is folded yet."""
    async with running(WIDE, tokens=1500) as found:
        await found.warm()
        mints = plain_tokens(found.market, COUNT)
        await found.finish(found.service.lookups.find_many(mints))
        found.service.metrics.hot.fold()
        for mint in mints * HITS:
            assert found.service.lookups.find(mint) is not None
        yield found


def counted(rig: Rig) -> tuple[int, int]:
    """Return hits, and the requests that the tracker knows of, without folding anything."""
    tracker = rig.service.engine.tracker
    return rig.service.metrics.hot._lookups["hit"], sum(map(tracker.requests, tracker.mints))


async def test_they_are_folded_a_hundred_in_one_go(rig: Rig) -> None:
    before = counted(rig)
    steps = rig.service.lookups.tally.fold()
    assert [counted(rig)[0] - before[0] for _ in steps] == [1 * HITS, 101 * HITS]
    assert [now - then for now, then in zip(counted(rig), before, strict=True)] == [COUNT * HITS] * 2


async def test_a_reading_in_the_middle_counts_all_and_none_is_counted_twice(rig: Rig) -> None:
    before = counted(rig)[0]
    steps = iter(rig.service.lookups.tally.fold())
    next(steps)
    assert rig.service.metrics.hot.lookups["hit"] - before == COUNT * HITS
    assert list(steps) == []
    assert counted(rig)[0] - before == COUNT * HITS


async def test_a_look_up_after_its_entry_was_folded_is_counted_by_the_next(rig: Rig) -> None:
    before = counted(rig)[0]
    steps = iter(rig.service.lookups.tally.fold())
    next(steps)
    first = plain_tokens(rig.market, 1)[0]
    rig.service.lookups.find(first)
    assert len(list(steps)) == 1
    assert counted(rig)[0] - before == COUNT * HITS
    rig.service.metrics.hot.fold()
    assert counted(rig)[0] - before == COUNT * HITS + 1


async def test_confidences_counted_in_turns_are_used_once(rig: Rig) -> None:
    confidence = rig.service.metrics.tokens_by_confidence
    await confidence.count_in_turns()
    entry = next(iter(rig.service.engine.cache.tracked.values()))
    rig.service.engine.cache.delist(entry.cap.mint)

    def total() -> float:
        return sum(sample.value for family in confidence.collect() for sample in family.samples)

    before = total()
    assert total() == before - 1


async def test_a_start_after_a_stop_loses_no_look_up_and_keeps_nothing_of_the_engine_before(rig: Rig) -> None:
    before, folds = counted(rig)[0], len(rig.service.metrics.hot._folds)
    await rig.service.stop()
    await rig.service.start()
    assert counted(rig)[0] - before == COUNT * HITS
    assert len(rig.service.metrics.hot._folds) == folds

import asyncio
from pathlib import Path

import pytest

from sidecar.runtime.clock import Instant, now
from sidecar.snapshot.file import read
from tests.clock import UNIX_START
from tests.service.tokens import nobodys
from tests.snapshot.lives import NEXT_MONOTONIC, A, B, C, D, E, known_facts, life, next_life, settings_for


async def test_a_value_comes_back_as_it_was_with_its_true_age(path: Path) -> None:
    settings = settings_for(path)
    async with life(settings) as one:
        cap = one.hold(A, 100.0)
        assert await one.snapshots.save()
    async with next_life(settings, after=20.0) as two:
        entry = two.engine.cache.get(A)
        assert entry is not None
        assert entry.cap == cap
        assert two.age(A) == 120.0


async def test_ages_are_the_monotonic_ones_when_the_wall_clock_was_put_right_before_the_save(path: Path) -> None:
    settings = settings_for(path)
    async with life(settings, unix=UNIX_START - 86_400) as one:
        one.hold(A)
        one.clock.advance(5)
        one.clock.set_unix(UNIX_START)
        await one.snapshots.save()
    async with next_life(settings, after=1.0) as two:
        assert two.age(A) == 6.0


async def test_a_wall_clock_set_back_meanwhile_makes_every_value_stale(path: Path) -> None:
    settings = settings_for(path)
    async with life(settings) as one:
        one.hold(A, 10.0)
        await one.snapshots.save()
    async with next_life(settings, after=-3000.0) as two:
        assert two.age(A) == settings.cache.fresh_seconds + 10.0


@pytest.mark.parametrize(("pause", "age"), [(3000.0, 3600.0), (3000.5, None)])
async def test_a_value_past_its_life_is_not_taken_back(path: Path, pause: float, age: float | None) -> None:
    settings = settings_for(path)
    async with life(settings) as one:
        one.hold(A, 600.0)
        await one.snapshots.save()
    async with next_life(settings, after=pause) as two:
        assert two.age(A) == age


async def test_restarting_again_and_again_never_extends_a_life(path: Path) -> None:
    settings = settings_for(path)
    async with life(settings) as one:
        one.hold(A)
        await one.snapshots.save()
    for number in range(1, 4):
        async with next_life(settings, after=number * 1000.0) as later:
            assert later.age(A) == number * 1000.0
            await later.snapshots.save()
    async with next_life(settings, after=4000.0) as last:
        assert last.age(A) is None


async def test_facts_come_back_with_their_times(path: Path) -> None:
    settings = settings_for(path)
    async with life(settings) as one:
        one.engine.token_states.put(A, known_facts(now(one.clock)))
        one.clock.advance(2.0)
        await one.snapshots.save()
    async with next_life(settings, after=12.0) as two:
        assert two.engine.token_states.get(A) == known_facts(Instant(NEXT_MONOTONIC - 12.0, UNIX_START))


async def test_facts_are_kept_for_a_day_and_no_longer(path: Path) -> None:
    settings = settings_for(path)
    async with life(settings) as one:
        one.engine.token_states.put(A, known_facts(now(one.clock)))
        await one.snapshots.save()
    async with next_life(settings, after=86_400.0) as kept:
        assert kept.engine.token_states.get(A) is not None
    async with next_life(settings, after=86_401.0) as gone:
        assert gone.engine.token_states.get(A) is None


async def test_facts_that_are_older_than_a_day_are_not_saved(path: Path) -> None:
    settings = settings_for(path)
    async with life(settings) as one:
        one.engine.token_states.put(A, known_facts(now(one.clock)))
        one.clock.advance(86_401.0)
        one.engine.token_states.put(B, known_facts(now(one.clock)))
        await one.snapshots.save()
    saved = await asyncio.to_thread(path.read_bytes)
    assert (A.encode() in saved, B.encode() in saved) == (False, True)


async def test_request_counts_and_places_come_back_by_their_age(path: Path) -> None:
    settings = settings_for(path, popular=(A,))
    async with life(settings, monotonic=3600.0) as one:
        tracker = one.engine.tracker
        for mint in (A, B, B, B, B, D):
            tracker.request(mint)
        one.clock.advance(600.0)
        tracker.set_trending([C])
        for mint in (A, C):
            tracker.request(mint)
        assert one.wanted() == {
            A: ("popular", ((600.0, 1), (0.0, 1))),
            B: ("requested", ((600.0, 4),)),
            C: ("trending", ((0.0, 1),)),
            D: ("candidate", ((600.0, 1),)),
        }
        await one.snapshots.save()
    async with next_life(settings, after=900.0) as two:
        assert two.wanted() == {
            A: ("popular", ((900.0, 1), (300.0, 1))),
            B: ("requested", ((900.0, 4),)),
            C: ("trending", ((300.0, 1),)),
            D: ("candidate", ((900.0, 1),)),
        }
        assert two.engine.tracker.mints == {A, B, C}


async def test_requests_before_the_restart_count_towards_being_tracked(path: Path) -> None:
    settings = settings_for(path)
    async with life(settings) as one:
        one.engine.tracker.request(A)
        one.engine.tracker.request(A)
        await one.snapshots.save()
    async with next_life(settings, after=60.0) as two:
        assert two.engine.tracker.request(A)
        assert two.engine.tracker.tier("requested") == (A,)


async def test_requests_that_left_the_window_do_not_come_back(path: Path) -> None:
    settings = settings_for(path)
    async with life(settings) as one:
        one.engine.tracker.request(A)
        one.engine.tracker.request(A)
        await one.snapshots.save()
    async with next_life(settings, after=3600.0) as two:
        assert two.wanted() == {A: ("candidate", ())}
        assert not two.engine.tracker.request(A)


async def test_what_left_the_popular_list_meanwhile_stays_by_its_requests_alone(path: Path) -> None:
    async with life(settings_for(path, popular=(A, B))) as one:
        for mint in (A, A, A, B):
            one.engine.tracker.request(mint)
        await one.snapshots.save()
    async with next_life(settings_for(path, popular=(C,))) as two:
        assert two.engine.tracker.mints == {A, C}


async def test_with_fewer_places_the_most_requested_stay(path: Path) -> None:
    async with life(settings_for(path)) as one:
        for times, mint in enumerate((A, B, C, D, E), start=3):
            for _ in range(times):
                one.engine.tracker.request(mint)
        one.engine.tracker.set_trending(nobodys(5, first=50))
        await one.snapshots.save()
    async with next_life(settings_for(path, max_tokens=2)) as two:
        assert two.engine.tracker.mints == {D, E}


async def test_a_tracked_value_is_never_pushed_out_by_the_others(path: Path) -> None:
    first = settings_for(path, popular=(A,), max_entries=300)
    async with life(first) as one:
        for mint in (A, *nobodys(250, first=10)):
            one.hold(mint)
        await one.snapshots.save()
        content = read(path, one.snapshots.max_bytes)
    second = settings_for(path, popular=(A,), max_entries=100)
    async with life(second) as limits:
        assert len(content) < limits.snapshots.max_bytes
    async with next_life(second) as two:
        assert two.age(A) == 0.0
        assert len(two.engine.cache) == 1 + 100 - 10
        evicted = two.engine.metrics.registry.get_sample_value(
            "mc_sidecar_cache_evictions_total", {"reason": "capacity"}
        )
        assert evicted == 160


async def test_saving_does_not_change_which_token_is_evicted_next(path: Path) -> None:
    """The least recently used one leaves, and being saved is no use."""
    settings = settings_for(path, max_entries=100, max_tokens=98)
    async with life(settings) as one:
        one.hold(A)
        one.hold(B)
        one.engine.cache.get(A)
        await one.snapshots.save()
        one.hold(C)
        assert (one.age(A), one.age(B), one.age(C)) == (0.0, None, 0.0)


async def test_the_symbol_is_the_one_of_todays_popular_list(path: Path) -> None:
    async with life(settings_for(path)) as one:
        one.hold(A, symbol="OLD")
        one.hold(B, symbol="OLD")
        await one.snapshots.save()
    async with next_life(settings_for(path, popular=(A,))) as two:
        found = {mint: two.engine.cache.get(mint) for mint in (A, B)}
        assert {mint: entry and entry.cap.symbol for mint, entry in found.items()} == {A: f"P{A[:3]}", B: "OLD"}


async def test_the_next_refresh_of_a_tracked_token_is_due_by_its_age(path: Path) -> None:
    settings = settings_for(path)
    async with life(settings) as one:
        for mint in (A, A, A, B, B, B):
            one.engine.tracker.request(mint)
        one.hold(A, 100.0)
        one.hold(B, 250.0)
        await one.snapshots.save()
    async with next_life(settings, after=10.0) as two:
        assert two.engine.schedule.due() == []
        assert two.engine.schedule.next_due_in() == pytest.approx(300 * 0.95 - 260)


async def test_what_does_not_fit_the_limit_is_left_out_least_wanted_first(path: Path) -> None:
    settings = settings_for(path, popular=(A,))
    async with life(settings) as one:
        one.hold(A)
        one.engine.tracked_changed()
        for mint in nobodys(180, first=10):
            one.hold(mint)
        one.snapshots.max_bytes = 100_000
        assert await one.snapshots.save()
        assert 50_000 < len(read(path, 100_000)) <= 100_000
    async with next_life(settings) as two:
        assert two.age(A) == 0.0
        assert 90 <= len(two.engine.cache) < 181

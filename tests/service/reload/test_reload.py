"""Popular lists that change in a file: what is in force, and what becomes of the tokens."""

# ruff: noqa: ASYNC240 - a test may wait for the disk
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from sidecar.config.popular import PopularToken
from sidecar.models import Mint
from sidecar.service import reload
from tests.running import running
from tests.service.reload.lists import FIRST, content, look_twice, reloaded, series, settings_for, told
from tests.service.tokens import BONK, JUP, SOL, WIF, plain_tokens


async def test_a_new_list_is_in_force_within_two_looks(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(settings_for(path)) as rig:
        await rig.warm()
        rig.clock.advance(10)
        path.write_text(content({SOL: "SOL", JUP: "JUP"}))
        await look_twice(rig)
        assert rig.service.engine.tracker.popular == (SOL, JUP)
        assert series(rig) == {SOL: "SOL", JUP: "JUP"}
        assert reloaded(rig) == (1.0, 10.0)
        assert rig.service.get_stats()["popular_tokens"] == 2
    line = next(record.__dict__ for record in caplog.records if record.message == "popular list in force")
    assert (line["tokens"], line["joined"], line["left"]) == (2, 1, 1)


async def test_what_joins_is_refreshed_at_once(path: Path) -> None:
    async with running(settings_for(path)) as rig:
        await rig.warm()
        rig.clock.advance(10)
        before = rig.asked_for(JUP, "jupiter")
        path.write_text(content({**FIRST, JUP: "JUP"}))
        await look_twice(rig)
        assert rig.asked_for(JUP, "jupiter") == before + 1
        assert rig.age(JUP) == 0.0


async def test_what_leaves_and_is_not_wanted_leaves_memory_too(path: Path) -> None:
    async with running(settings_for(path)) as rig:
        await rig.warm()
        path.write_text(content({SOL: "SOL"}))
        await look_twice(rig)
        assert rig.cap(BONK) is None
        assert rig.metric("cache_evictions_total", reason="delisted") == 1
        assert BONK not in rig.service.engine.tracker.mints


async def test_what_leaves_and_is_wanted_stays_warm_without_its_series(path: Path) -> None:
    async with running(settings_for(path, min_requests=2)) as rig:
        await rig.warm()
        for _ in range(2):
            await rig.service.get(BONK)
        path.write_text(content({SOL: "SOL"}))
        await look_twice(rig)
        assert rig.service.engine.tracker.tier("requested") == (BONK,)
        assert rig.cap(BONK) is not None
        assert series(rig) == {SOL: "SOL"}
        assert rig.metric("cache_evictions_total", reason="delisted") == 0


async def test_a_late_answer_for_a_token_that_left_brings_no_series_back(path: Path) -> None:
    async with running(settings_for(path)) as rig:
        await rig.warm()
        entry = rig.service.engine.cache.get(BONK)
        assert entry is not None
        path.write_text(content({SOL: "SOL"}))
        await look_twice(rig)
        rig.service.engine.publisher.publish(entry)
        assert series(rig) == {SOL: "SOL"}


async def test_a_new_symbol_is_in_answers_and_series_at_once(path: Path) -> None:
    async with running(settings_for(path)) as rig:
        await rig.warm()
        age = rig.age(BONK)
        path.write_text(content({SOL: "SOL", BONK: "DOG"}))
        await look_twice(rig)
        assert series(rig) == {SOL: "SOL", BONK: "DOG"}
        assert (await rig.service.get(BONK)).symbol == "DOG"
        assert rig.age(BONK) <= age


async def test_what_joins_with_a_value_in_memory_has_its_series_before_any_call(path: Path) -> None:
    async with running(settings_for(path)) as rig:
        await rig.warm()
        token = plain_tokens(rig.market, 1)[0]
        await rig.finish(rig.service.get(token))
        calls = rig.calls()
        reload.swap(rig.service.engine, (*rig.service.settings.popular, PopularToken(token, "NEW")))
        assert series(rig) == {**FIRST, token: "NEW"}
        assert rig.calls() == calls


async def test_a_file_that_is_being_written_is_left_in_peace(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(settings_for(path)) as rig:
        await look_twice(rig)
        whole = content({WIF: "WIF"})
        for length in (0, 10, 30):
            path.write_text(whole[:length])
            await rig.service.popular.look()
        path.write_text(whole)
        await look_twice(rig)
        assert rig.service.engine.tracker.popular == (WIF,)
    assert told(caplog) == ["popular list in force"]


async def test_a_configmap_that_points_elsewhere_is_a_change_and_one_with_the_same_content_is_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As the kubelet does it: the file links to ..data/, which links to a folder and is replaced at once."""

    def publish(folder: str, tokens: Mapping[Mint, str]) -> None:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "popular.yaml").write_text(content(tokens))
        os.utime(tmp_path / folder / "popular.yaml", (0, 0))
        (tmp_path / "..data_tmp").symlink_to(folder)
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")

    publish("..2026_01", FIRST)
    path = tmp_path / "popular.yaml"
    path.symlink_to("..data/popular.yaml")
    async with running(settings_for(path)) as rig:
        await look_twice(rig)
        publish("..2026_02", FIRST)
        await look_twice(rig)
        assert told(caplog) == []
        publish("..2026_03", {WIF: "WIF"})
        await look_twice(rig)
        assert rig.service.engine.tracker.popular == (WIF,)


async def test_the_file_is_looked_at_every_second(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    async def look(_: reload.PopularList) -> None:
        looks.append(rig.clock.monotonic())

    monkeypatch.setattr(reload.PopularList, "look", look)
    async with running(settings_for(path), start=False) as rig:
        await rig.service.start()
        await rig.run_for(3.0)
    assert looks == [1000.0, 1001.0, 1002.0, 1003.0]


async def test_start_up_is_not_begun_anew_by_a_new_list(path: Path) -> None:
    async with running(settings_for(path)) as rig:
        await rig.warm()
        reload.swap(rig.service.engine, [PopularToken(WIF, "WIF")])
        rig.service._begun().popular_changed()
        assert not rig.service.health.unanswered


async def test_reload_says_whether_the_list_is_good(path: Path) -> None:
    async with running(settings_for(path)) as rig:
        path.write_text(content({WIF: "WIF"}))
        assert await rig.service.reload()
        path.write_text("[]")
        assert not await rig.service.reload()
        assert rig.service.engine.tracker.popular == (WIF,)


async def test_with_the_built_in_list_there_is_nothing_to_reload() -> None:
    async with running() as rig:
        assert await rig.service.reload()
        assert {task.get_name() for task in rig.service._begun().tasks} == {
            *("loop:popular", "loop:tracked", "loop:trending", "loop:stats", "loop:early", "lag", "metrics")
        }

# ruff: noqa: ASYNC240 - a test may wait for the disk
import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.config.file import load_settings
from sidecar.config.popular import PopularToken, load_popular, parse_popular
from sidecar.config.settings import Settings, TrackingSettings
from sidecar.demo import Market
from sidecar.errors import NotRunningError
from sidecar.models import Mint
from sidecar.service import reload
from tests.clock import UNIX_START
from tests.running import Rig, running
from tests.service.tokens import BONK, JUP, POPULAR_MINTS, SOL, WIF, plain_tokens

FIRST = {SOL: "SOL", BONK: "BONK"}


def content(tokens: Mapping[Mint, str]) -> str:
    return yaml.safe_dump({"tokens": [{"mint": mint, "symbol": symbol} for mint, symbol in tokens.items()]})


def settings_for(path: Path, **tracking: Any) -> Settings:
    tracked = TrackingSettings(**{"max_tokens": 20, **tracking})
    return Settings(popular_path=path, popular=load_popular(path, 20), tracking=tracked)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "popular.yaml"
    path.write_text(content(FIRST))
    return path


@pytest.fixture(autouse=True)
def every_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "sidecar.service.reload"]


def series(rig: Rig) -> dict[str, str]:
    """Return mint and symbol of the popular tokens' series, which both metrics have."""
    found = [
        {sample.labels["mint"]: sample.labels["symbol"] for sample in family.samples}
        for family in rig.service.registry.collect()
        if family.name in {"mc_sidecar_token_market_cap_usd", "mc_sidecar_token_updated_timestamp_seconds"}
    ]
    assert found[0] == found[1]
    return found[0]


async def look_twice(rig: Rig) -> None:
    """Let the watcher see the same content two times, as it does within two seconds."""
    for _ in range(2):
        await rig.service.popular.look()
    await rig.settle()


def reloaded(rig: Rig) -> tuple[float, float]:
    name = "config_last_reload_success"
    return rig.metric(f"{name}ful"), rig.metric(f"{name}_timestamp_seconds") - UNIX_START


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


BAD = [
    ("tokens: [{mint: nobody, symbol: X}]", "tokens[0].mint: must be a mint (base58 of 32 bytes), not 'nobody'"),
    ("tokens: {", "is not valid YAML: line 1, column 10: expected the node content, but found '<stream end>'"),
    ("", "the file: must be a mapping of keys, not nothing"),
    (
        content({mint: f"T{n}" for n, mint in enumerate(plain_tokens(Market(), 21))}),
        "must be at most tracking.max_tokens (20); line 42, column 3 is one too many",
    ),
]


@pytest.mark.parametrize(("bad", "why"), BAD)
async def test_a_bad_list_keeps_the_old_one_and_says_why_once(
    path: Path, caplog: pytest.LogCaptureFixture, bad: str, why: str
) -> None:
    async with running(settings_for(path)) as rig:
        await rig.warm()
        rig.clock.advance(10)
        path.write_text(bad)
        for _ in range(3):
            await look_twice(rig)
        assert reloaded(rig) == (0.0, 0.0)
        assert rig.service.engine.tracker.popular == (SOL, BONK)
        assert series(rig) == FIRST
        assert told(caplog) == ["popular list refused, the one before stays in force"]
        assert [why in mistake for mistake in caplog.records[-1].__dict__["mistakes"]] == [True]
        path.write_text(content(FIRST))
        await look_twice(rig)
        assert reloaded(rig) == (1.0, 10.0)
        assert told(caplog)[1:] == ["popular list in force"]


async def test_of_many_mistakes_the_first_twenty_are_shown(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(settings_for(path, max_tokens=50)) as rig:
        path.write_text(yaml.safe_dump({"tokens": [{"mint": "x", "symbol": "X"} for _ in range(25)]}))
        assert not await rig.service.reload()
    mistakes = caplog.records[-2].__dict__["mistakes"]
    assert (len(mistakes), mistakes[-1]) == (21, "and 5 more")


async def test_a_list_that_disappears_keeps_the_old_one(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(settings_for(path)) as rig:
        await rig.warm()
        path.unlink()
        await look_twice(rig)
        assert reloaded(rig)[0] == 0.0
        assert rig.service.engine.tracker.popular == (SOL, BONK)
        assert caplog.records[-1].__dict__["mistakes"] == [f"{path}: cannot be read: No such file or directory"]


async def test_a_bug_in_the_reading_is_a_list_refused(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(*_: object) -> None:
        raise ZeroDivisionError

    async with running(settings_for(path)) as rig:
        monkeypatch.setattr(reload, "parse_popular", break_off)
        assert not await rig.service.reload()
        assert rig.service.engine.tracker.popular == (SOL, BONK)
        assert reloaded(rig)[0] == 0.0
    assert told(caplog)[0] == "the popular list could not be read"
    assert caplog.records[-2].__dict__["mistakes"] == [f"{path}: ZeroDivisionError"]


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
            *("loop:popular", "loop:tracked", "loop:trending", "loop:stats", "loop:early", "lag")
        }


@pytest.mark.parametrize("spoil", [os.mkfifo, Path.mkdir])
async def test_a_list_that_becomes_a_pipe_or_a_folder_is_refused_and_can_come_back(
    path: Path, spoil: Callable[[Path], None]
) -> None:
    async with running(settings_for(path)) as rig:
        path.unlink()
        spoil(path)
        await look_twice(rig)
        assert reloaded(rig)[0] == 0.0
        assert rig.service.popular.status()["mistakes"] == [f"{path}: cannot be read: is not a regular file"]
        path.unlink() if path.is_fifo() else path.rmdir()
        path.write_text(content({WIF: "WIF"}))
        assert await rig.service.reload()
        assert reloaded(rig)[0] == 1.0


async def test_a_mount_that_hangs_keeps_the_list_and_a_reload_works_again_when_it_answers(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thawed = threading.Event()
    began: list[Path] = []

    def hang(file: Path, _: int) -> bytes:
        began.append(file)
        thawed.wait(30)
        return b""

    async with running(settings_for(path)) as rig:
        with monkeypatch.context() as frozen:
            frozen.setattr(reload, "read_regular", hang)
            frozen.setattr(reload, "ANSWER_SECONDS", 0.02)
            path.write_text(content({WIF: "WIF"}))
            for _ in range(3):
                assert not await rig.service.reload()
            assert reloaded(rig)[0] == 0.0
            assert began == [path]
            assert "the disk does not answer" in rig.service.popular.status()["mistakes"][0]
            assert rig.service.engine.tracker.popular == (SOL, BONK)
        thawed.set()
        assert await rig.service.reload()
        assert set(rig.service.engine.tracker.popular) == {WIF}


async def test_a_long_list_on_a_slow_processor_is_no_disk_that_hangs(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*given: Any) -> tuple[PopularToken, ...]:
        threading.Event().wait(0.6)
        return parse_popular(*given)

    async with running(settings_for(path)) as rig:
        monkeypatch.setattr(reload, "parse_popular", slowly)
        monkeypatch.setattr(reload, "ANSWER_SECONDS", 0.5)
        path.write_text(content({WIF: "WIF"}))
        assert await rig.service.reload()


def started_on(path: Path, text: str, snapshot: str | None = None) -> Settings:
    """Return the settings that a process would start with."""
    path.write_text(text)
    file = path.with_name("sidecar.yaml")
    file.write_text(yaml.safe_dump({"snapshot": {"path": snapshot}, "tracking": {"max_tokens": 20}}))
    return load_settings(file, environ={})


async def test_a_start_on_a_bad_list_uses_the_built_in_one_and_says_so(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(started_on(path, "tokens: 1")) as rig:
        assert rig.service.engine.tracker.popular == POPULAR_MINTS
        assert reloaded(rig) == (0.0, -UNIX_START)
        mistake = f"{path}: tokens: must be a list of mint and symbol, not 1"
        status = {"in_force": "built in", "tokens": 11, "file": str(path), "mistakes": [mistake]}
        assert rig.service.popular.status() == status
        for _ in range(3):
            await look_twice(rig)
        assert told(caplog) == ["popular list refused, started on another one"]
        (line,) = [record.__dict__ for record in caplog.records if record.levelname == "ERROR"]
        assert (line["in_force"], line["mistakes"]) == ("built in", [mistake])
        path.write_text(content(FIRST))
        await look_twice(rig)
        assert rig.service.engine.tracker.popular == (SOL, BONK)
        assert rig.service.popular.status()["in_force"] == "file"
        assert reloaded(rig)[0] == 1.0


async def test_a_start_on_a_bad_list_uses_the_one_of_the_snapshot(path: Path) -> None:
    snapshot = str(path.with_name("snapshot"))
    async with running(started_on(path, content({JUP: "JP", WIF: "CAT"}), snapshot)) as first:
        await first.warm()
    async with running(started_on(path, "tokens: {", snapshot)) as second:
        assert second.service.engine.tracker.popular == (JUP, WIF)
        assert second.service.engine.symbols == {JUP: "JP", WIF: "CAT"}
        assert second.service.popular.status()["in_force"] == "snapshot"
        await second.warm()
        assert series(second) == {JUP: "JP", WIF: "CAT"}
        assert reloaded(second)[0] == 0.0


async def test_a_good_list_is_not_replaced_by_the_one_of_the_snapshot(path: Path) -> None:
    snapshot = str(path.with_name("snapshot"))
    async with running(started_on(path, content({JUP: "JUP"}), snapshot)) as first:
        await first.warm()
    async with running(started_on(path, content({WIF: "WIF"}), snapshot)) as second:
        assert second.service.engine.tracker.popular == (WIF,)


async def test_before_the_start_there_is_nothing_to_reload_into(path: Path) -> None:
    async with running(settings_for(path), start=False) as rig:
        with pytest.raises(NotRunningError):
            await rig.service.reload()

"""Starts on a bad list."""

# ruff: noqa: ASYNC240 - a test may wait for the disk
from pathlib import Path

import pytest
import yaml

from sidecar.config.file import load_settings
from sidecar.config.settings import Settings
from sidecar.errors import NotRunningError
from tests.clock import UNIX_START
from tests.running import running
from tests.service.reload.lists import FIRST, content, look_twice, reloaded, series, settings_for, told
from tests.service.tokens import BONK, JUP, POPULAR_MINTS, SOL, WIF


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

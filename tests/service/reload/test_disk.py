"""What the disk may do with the list meanwhile."""

# ruff: noqa: ASYNC240 - a test may wait for the disk
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar.config.popular import PopularToken, parse_popular
from sidecar.service import reload
from tests.running import running
from tests.service.reload.lists import content, look_twice, reloaded, settings_for
from tests.service.tokens import BONK, SOL, WIF


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

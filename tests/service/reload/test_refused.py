"""Lists that are refused: the one before stays in force."""

# ruff: noqa: ASYNC240 - a test may wait for the disk
from pathlib import Path

import pytest
import yaml

from sidecar.demo import Market
from sidecar.service import reload
from tests.running import running
from tests.service.reload.lists import FIRST, content, look_twice, reloaded, series, settings_for, told
from tests.service.tokens import BONK, SOL, plain_tokens

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

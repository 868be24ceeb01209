import asyncio
import io
import socket
from collections.abc import AsyncIterator
from typing import Self

import msgspec
import pytest
from rich.console import Console

from sidecar.cache.cache import Entry
from sidecar.config.settings import OpsSettings
from sidecar.models import Mint
from sidecar.top.lines import seconds, usd
from sidecar.top.table import Screen, render
from sidecar.top.view import View, events
from sidecar.top.watch import watch
from tests.web.serving import JUP, SETTINGS, STSOL, Site, serving, until


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving() as running:
        yield running


def ops_of(site: Site) -> OpsSettings:
    return OpsSettings(port=int(site.sidecar.ops_addresses[0].rpartition(":")[2]))


async def view_of(site: Site) -> View:
    view = View()
    async for event in events(ops_of(site)):
        view.take(event)
        break
    return view


async def test_once_prints_everything_highest_market_cap_first(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    code = await watch(ops_of(site), None, once=True)
    lines = capsys.readouterr().out.splitlines()

    tokens = [line.split() for line in lines[6:]]
    assert code == 0
    assert lines[0].startswith("mc-sidecar ")
    assert [line.split()[0] for line in lines[1:5]] == ["jupiter", "dexscreener", "geckoterminal", "solana_rpc"]
    assert lines[5].split()[:3] == ["TOKEN", "MARKET", "CAP"]
    assert (tokens[0][0], tokens[-1][0]) == ("SOL", "stSOL")
    assert len(tokens) == len(site.sidecar.service.engine.tracker.mints)
    assert next(line for line in lines if line.startswith("stSOL")).split()[5:7] == ["no", "price"]


async def test_without_a_terminal_each_change_is_a_line_until_the_sidecar_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    printed = ""

    def has_printed(text: str) -> bool:
        nonlocal printed
        printed += capsys.readouterr().out
        return text in printed

    async with serving() as site:
        watching = asyncio.create_task(watch(ops_of(site), None, once=False))
        await until(lambda: has_printed("stSOL"))
        printed = ""
        engine = site.sidecar.service.engine
        entry = engine.cache.peek(Mint(JUP))
        assert entry is not None
        cap = msgspec.structs.replace(entry.cap, market_cap_usd=7.77e9)
        engine.publisher.publish(Entry(cap, entry.received, entry.explanation))
        await site.rig.run_for(1)
        await until(lambda: has_printed("7.77B"))
    assert await watching == 0
    assert printed.splitlines()[0].split()[:2] == ["JUP", "7.77B"]


@pytest.mark.parametrize("once", [True, False])
async def test_nothing_there_is_told_and_a_failure(once: bool, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: FBT001 - a parameter
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]

    assert await watch(OpsSettings(port=port), None, once=once) == 1
    assert "no answer from the operator's listener" in capsys.readouterr().err


async def test_the_address_may_be_of_either_family(capsys: pytest.CaptureFixture[str]) -> None:
    settings = msgspec.structs.replace(SETTINGS, ops=OpsSettings(host="::1", port=0))
    async with serving(settings) as site:
        ops = msgspec.structs.replace(ops_of(site), host="::1")
        codes = [await watch(one, None, once=True) for one in (ops, ops_of(site))]

    assert codes == [0, 0]
    assert capsys.readouterr().err == ""


async def test_the_table_shows_sources_and_as_many_tokens_as_there_is_room_for(site: Site) -> None:
    site.switch_off("jupiter")
    await site.rig.run_for(100)
    view = await view_of(site)
    console = Console(record=True, width=120, height=30, file=io.StringIO())
    console.print(render(view, "a trouble", width=120, height=30))
    lines = console.export_text().splitlines()

    narrow = Console(record=True, width=80, height=30, file=io.StringIO())
    narrow.print(render(view, "", width=80, height=30))

    assert "TIER" not in narrow.export_text()
    assert "a trouble" in lines[1]
    assert any(line.split()[:1] == ["jupiter"] and "answered 503" in line for line in lines)
    assert [line.split()[0] for line in lines[8:10]] == ["TOKEN", "SOL"]
    assert len(lines) <= 30


async def test_the_screen_goes_on_when_the_sidecar_has_ended() -> None:
    shown: list[str] = []

    class Recording(Screen):
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            return

        def show(self, view: View, trouble: str = "") -> None:
            shown.append(trouble or f"{len(view.tokens)} tokens")

    async with serving() as site:
        watching = asyncio.create_task(watch(ops_of(site), Recording(), once=False))
        await until(lambda: shown)
    await until(lambda: shown[-1] == "the sidecar has ended")
    watching.cancel()

    assert shown[0].endswith(" tokens")
    assert not shown[0].startswith("0 ")


async def test_a_token_that_leaves_is_shown_no_more(site: Site) -> None:
    view, tracker = View(), site.sidecar.service.engine.tracker
    async for event in events(ops_of(site)):
        view.take(event)
        if event.name == "change" and STSOL not in view.tokens:
            break
        tracker.set_popular([mint for mint in tracker.popular if mint != STSOL])
        site.rig.clock.advance(1)

    assert JUP in view.tokens


def test_numbers_are_short() -> None:
    assert [usd(value) for value in (None, 0.5, 1234.5, 1.05376e9, 7e12)] == ["-", "0.5", "1.234K", "1.054B", "7T"]
    assert [seconds(value) for value in (None, 0.4, 59.9, 61, 7322)] == ["-", "0s", "59s", "1m01s", "2h02m"]

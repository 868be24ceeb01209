"""Both clients against a running sidecar: `ask` calls either of them by the name of its method."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from sidecar.client import BatchResult, MarketCap, MarketCaps, SidecarUnreachableError, SyncMarketCaps
from sidecar.errors import (
    InvalidMintError,
    InvalidRequestError,
    McSidecarError,
    NotPricedError,
    UpstreamUnavailableError,
)
from tests.web.serving import BONK, JUP, SOL, STSOL, Site, serving, with_api

Ask = Callable[..., Coroutine[Any, Any, Any]]
NOBODYS = "1" * 43 + "2"


async def client_of(kind: str, base_url: str, **more: Any) -> AsyncIterator[Ask]:
    if kind == "asynchronous":
        async with MarketCaps(base_url, **more) as caps:
            yield lambda name, *arguments, **options: getattr(caps, name)(*arguments, **options)
    else:
        with SyncMarketCaps(base_url, **more) as sync:
            yield lambda name, *arguments, **options: asyncio.to_thread(getattr(sync, name), *arguments, **options)


@pytest.fixture(params=["asynchronous", "synchronous"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving() as running:
        yield running


@pytest.fixture
async def ask(kind: str, site: Site) -> AsyncIterator[Ask]:
    async for one in client_of(kind, site.sidecar.api_addresses[0]):
        yield one


async def test_a_token_is_what_the_service_has(site: Site, ask: Ask) -> None:
    site.rig.clock.advance(2.5)

    cap = await ask("get", JUP)

    assert isinstance(cap, MarketCap)
    assert cap == await site.sidecar.service.get(JUP)
    assert (cap.symbol, cap.age_seconds, cap.cached) == ("JUP", 2.5, True)


async def test_many_tokens_come_with_the_errors_of_the_others(ask: Ask) -> None:
    result = await ask("get_many", [JUP, "bad", SOL, JUP, STSOL])

    assert isinstance(result, BatchResult)
    assert {mint: cap.mint for mint, cap in result.tokens.items()} == {JUP: JUP, SOL: SOL}
    assert {mint: type(error) for mint, error in result.errors.items()} == {
        "bad": InvalidMintError,
        STSOL: NotPricedError,
    }
    assert str(result.errors["bad"]) == str(InvalidMintError("bad"))


async def test_half_a_character_is_an_error_of_its_own(ask: Ask) -> None:
    batch = await ask("get_many", [JUP, "x\ud800"])

    assert list(batch.tokens) == [JUP]
    assert {mint: error.code for mint, error in batch.errors.items()} == {"x\ud800": "invalid_mint"}


async def test_any_number_of_mints_may_be_asked_for(ask: Ask) -> None:
    result = await ask("get_many", (str(number) for number in range(2001)))

    assert len(result.errors) == 2001


async def test_no_mints_are_no_request(ask: Ask) -> None:
    assert await ask("get_many", []) == ({}, {})


async def test_the_warm_sets_come_highest_market_cap_first(site: Site, ask: Ask) -> None:
    popular, tracked, trending = [await ask(name) for name in ("popular", "tracked", "trending")]

    assert [cap.market_cap_usd for cap in tracked] == sorted((cap.market_cap_usd for cap in tracked), reverse=True)
    assert {SOL, JUP, BONK} <= {cap.mint for cap in popular} < {cap.mint for cap in tracked}
    assert {cap.mint for cap in trending} <= set(site.sidecar.service.engine.tracker.tier("trending"))
    assert [cap.mint for cap in await ask("popular", limit=1)] == [popular[0].mint]


async def test_errors_are_raised_by_their_code(site: Site, ask: Ask) -> None:
    with pytest.raises(NotPricedError) as unpriced:
        await ask("get", STSOL)
    with pytest.raises(InvalidMintError):
        await ask("get", f"{JUP}/../{SOL}")
    with pytest.raises(InvalidRequestError, match="limit must be a whole number from 1 to 1000"):
        await ask("popular", limit=0)
    with pytest.raises(NotPricedError) as from_service:
        await site.sidecar.service.get(STSOL)
    assert unpriced.value.detail == from_service.value.detail


async def test_an_error_says_when_to_ask_again(site: Site, ask: Ask) -> None:
    mint = site.unpopular()
    site.switch_off("jupiter", "dexscreener", "geckoterminal")

    with pytest.raises(UpstreamUnavailableError) as unavailable:
        await site.wait_for(ask("get", mint))
    assert unavailable.value.retry_after is not None
    assert unavailable.value.retry_after >= 1


async def test_a_default_takes_the_place_of_every_error_but_that_of_no_mint(kind: str, ask: Ask) -> None:
    assert await ask("get", STSOL, default=None) is None
    assert (await ask("get", JUP, default=None)).mint == JUP
    async for nowhere in client_of(kind, f"http://127.0.0.1:{free_port()}"):
        assert await nowhere("get", JUP, default=0) == 0
        with pytest.raises(InvalidMintError):
            await nowhere("get", "bad", default=0)


async def test_nothing_there_is_unreachable(kind: str, tmp_path: Path) -> None:
    for url in (f"http://127.0.0.1:{free_port()}", f"unix://{tmp_path}/none.sock"):
        async for ask in client_of(kind, url):
            with pytest.raises(SidecarUnreachableError, match="does not answer") as unreachable:
                await ask("get", JUP)
            assert isinstance(unreachable.value, McSidecarError)
            with pytest.raises(SidecarUnreachableError):
                await ask("get_many", [JUP])


async def test_what_does_not_answer_in_time_is_unreachable(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async for ask in client_of(kind, f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.05):
            with pytest.raises(SidecarUnreachableError, match="nothing came in time"):
                await ask("get", JUP)


async def test_what_is_no_sidecar_is_unreachable(kind: str, site: Site) -> None:
    market = site.sidecar.service.settings.sources.jupiter.base_url.removesuffix("/jupiter")
    async for ask in client_of(kind, market):
        with pytest.raises(SidecarUnreachableError, match="no answer of a sidecar"):
            await ask("get", JUP)


async def test_a_unix_socket_is_as_good(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "mc.sock"
    async with serving(with_api(unix_socket=str(path))):
        async for ask in client_of(kind, f"unix://{path}"):
            assert (await ask("get", JUP)).mint == JUP
            assert (await ask("get_many", [SOL])).tokens.keys() == {SOL}


@pytest.mark.parametrize("client", [MarketCaps, SyncMarketCaps])
@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8765",
        "https://127.0.0.1",
        "http://",
        "unix://relative",
        "http://x/mc",
        "http://x?y=1",
        "http://u@x",
    ],
)
def test_a_base_url_of_another_kind_is_refused(client: Any, url: str) -> None:
    with pytest.raises(ValueError, match="must be http://host:port or unix:///path, not"):
        client(url)


async def test_a_connection_that_the_sidecar_has_closed_is_made_again(kind: str, site: Site) -> None:
    async for ask in client_of(kind, site.sidecar.api_addresses[0]):
        await ask("get", JUP)
        for _ in range(2 * 80):
            site.rig.clock.advance(0.5)  # idle connections are closed after 75 s
            await asyncio.sleep(0)
        assert (await ask("get", JUP)).mint == JUP


async def test_a_child_after_a_fork_connects_anew(site: Site) -> None:
    caps = SyncMarketCaps(site.sidecar.api_addresses[0])
    await asyncio.to_thread(caps.get, JUP)
    parents = caps._idle[0]
    parents.process = os.getpid() + 1  # as a child sees it

    assert (await asyncio.to_thread(caps.get, JUP)).mint == JUP
    assert list(caps._idle) != [parents]
    caps.close()


async def test_threads_share_one_client(site: Site) -> None:
    with SyncMarketCaps(site.sidecar.api_addresses[0]) as caps:
        found = await asyncio.gather(*(asyncio.to_thread(caps.get, mint) for mint in [JUP, SOL, BONK] * 10))

        assert {cap.mint for cap in found} == {JUP, SOL, BONK}
        assert len(caps._idle) <= 16


async def test_of_many_look_ups_at_once_some_wait_for_a_connection(
    aiohttp_server: AiohttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.client.asynchronous.MOST_CONNECTIONS", 2)
    release, asked = asyncio.Event(), 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        await release.wait()
        return web.json_response({"tokens": []})

    app = web.Application()
    app.router.add_get("/mc", answer)
    server = await aiohttp_server(app)
    async with MarketCaps(f"http://127.0.0.1:{server.port}") as caps:
        lists = [asyncio.create_task(caps.popular()) for _ in range(5)]
        for _ in range(200):
            await asyncio.sleep(0)
        assert asked == 2
        release.set()
        assert await asyncio.gather(*lists) == [[]] * 5


def test_importing_it_loads_none_of_the_server() -> None:
    code = "import sys, sidecar.client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    loaded = set(done.stdout.split())

    ours = {name.split(".")[1] for name in loaded if name.startswith("sidecar.")}
    assert ours == {"client", "errors", "models", "runtime"}
    assert not loaded & {"aiohttp.web", "prometheus_client", "yaml", "uvloop", "structlog"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])

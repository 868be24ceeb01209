import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from sidecar.cache.cache import Entry
from sidecar.client import Event, Joined, Left, MarketCaps, NotPriced, Snapshot, TokenChanged
from sidecar.client.events import EventParser, RawEvent
from sidecar.client.stream import Waits
from sidecar.errors import InvalidMintError, InvalidRequestError, NotPricedError, TooManyMintsError
from sidecar.models import Mint
from tests.web.following import following
from tests.web.serving import JUP, SOL, STSOL, Site, serving, with_api

SECONDS = 10.0


@pytest.fixture
async def caps(site: Site) -> AsyncIterator[MarketCaps]:
    async with MarketCaps(site.sidecar.api_addresses[0]) as client:
        yield client


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving() as running:
        yield running


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """Let the client come back at once; returns what it was asked to wait each time."""
    asked: list[float | None] = []

    def at_once(_: Waits, asked_for: float | None) -> float:
        asked.append(asked_for)
        return 0.0

    monkeypatch.setattr(Waits, "next", at_once)
    return asked


async def following_event(events: AsyncIterator[Event]) -> Event:
    async with asyncio.timeout(SECONDS):
        return await anext(events)


def publish(site: Site, mint: str, price: float) -> None:
    engine = site.sidecar.service.engine
    entry = engine.cache.peek(Mint(mint))
    assert entry is not None
    cap = msgspec.structs.replace(entry.cap, price_usd=price)
    engine.publisher.publish(Entry(cap, entry.received, entry.explanation))


async def test_mints_are_followed_from_a_snapshot_on(site: Site, caps: MarketCaps) -> None:
    events = caps.stream([JUP, SOL, "bad", STSOL, JUP])

    snapshot = await following_event(events)
    publish(site, JUP, 7.0)
    changed = await following_event(events)
    site.sidecar.service.engine.publisher.publish_unpriced(Mint(JUP), "no source knows it")

    assert isinstance(snapshot, Snapshot)
    assert snapshot.tokens[SOL] == await site.sidecar.service.get(SOL)
    assert {mint: type(error) for mint, error in snapshot.errors.items()} == {
        "bad": InvalidMintError,
        STSOL: NotPricedError,
    }
    assert isinstance(changed, TokenChanged)
    assert (changed.token.mint, changed.token.price_usd) == (JUP, 7.0)
    assert await following_event(events) == NotPriced(JUP, "not_priced", "no source knows it")


async def test_a_set_is_followed_with_what_joins_and_leaves_it(site: Site, caps: MarketCaps) -> None:
    engine = site.sidecar.service.engine
    events = caps.stream(set="popular")

    assert isinstance(await following_event(events), Snapshot)
    popular = engine.tracker.popular
    engine.tracker.set_popular([mint for mint in popular if mint != STSOL])
    engine.tracked_changed()
    assert await following_event(events) == Left(STSOL)
    engine.tracker.set_popular(popular)
    engine.tracked_changed()
    assert await following_event(events) == Joined(STSOL)


async def test_a_broken_connection_is_made_again_and_nothing_is_lost(
    site: Site, caps: MarketCaps, waits: list[float | None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sidecar.client")
    events = caps.stream([JUP, SOL])
    await following_event(events)
    publish(site, SOL, 5.0)
    await following_event(events)

    cut_off(caps)
    publish(site, JUP, 6.0)
    publish(site, JUP, 7.0)
    changed = await following_event(events)

    assert isinstance(changed, TokenChanged)
    assert (changed.token.mint, changed.token.price_usd) == (JUP, 7.0)
    assert waits == [None]
    assert [record.levelname for record in caplog.records if record.name == "sidecar.client"] == ["WARNING"]


async def test_a_refusal_for_now_is_waited_out_as_long_as_it_says(waits: list[float | None]) -> None:
    async with serving(with_api(max_streams=1)) as site, MarketCaps(site.sidecar.api_addresses[0]) as caps:
        async with following(site, f"mints={SOL}") as other:
            await other.next("snapshot")
            first = asyncio.create_task(following_event(caps.stream([JUP])))
            while len(waits) < 2:  # noqa: ASYNC110 - what the client was told is all there is to see
                await asyncio.sleep(0)

        assert isinstance(await first, Snapshot)
    assert waits[:2] == [5, 5]


@pytest.mark.parametrize(
    ("mints", "name", "error"),
    [
        ([str(number) for number in range(101)], None, TooManyMintsError),
        ([], "all", InvalidRequestError),
    ],
)
async def test_what_cannot_get_better_is_raised(caps: MarketCaps, mints: Any, name: Any, error: Any) -> None:
    with pytest.raises(error):
        await following_event(caps.stream(mints, set=name))


async def test_a_stream_takes_either_mints_or_a_set(caps: MarketCaps) -> None:
    with pytest.raises(ValueError, match="either mints or set"):
        caps.stream()
    with pytest.raises(ValueError, match="either mints or set"):
        caps.stream([JUP], set="popular")


async def test_what_is_no_mint_is_an_error_of_its_own_and_changes_no_other(caps: MarketCaps) -> None:
    strange = "a&set=x #é+%"
    snapshot = await following_event(caps.stream([strange, "\ud800", JUP]))
    assert isinstance(snapshot, Snapshot)
    assert (list(snapshot.tokens), list(snapshot.errors)) == ([JUP], [strange, "?"])


async def test_it_ends_when_the_client_is_closed(caps: MarketCaps, waits: list[float | None]) -> None:
    events = caps.stream([JUP])
    await following_event(events)
    rest = asyncio.create_task(following_event(events))
    await asyncio.sleep(0)

    await caps.close()

    with pytest.raises(StopAsyncIteration):
        await rest
    assert not waits


async def test_what_is_no_stream_is_asked_again(aiohttp_server: AiohttpServer, waits: list[float | None]) -> None:
    answers = [
        web.Response(text="<html>", content_type="text/html"),
        web.Response(status=502, text="<html>"),
        web.Response(text='event: snapshot\ndata: {"tok\n\n', content_type="text/event-stream"),
        web.Response(
            text='event: later\ndata: 1\n\nevent: left\ndata: {"mint":"x"}\n\n', content_type="text/event-stream"
        ),
    ]

    async def answer(_: web.Request) -> web.Response:
        return answers.pop(0)

    app = web.Application()
    app.router.add_get("/mc/stream", answer)
    server = await aiohttp_server(app)
    async with MarketCaps(f"http://127.0.0.1:{server.port}") as caps:
        assert await following_event(caps.stream([JUP])) == Left("x")
    assert len(waits) == 3


def test_waits_grow_to_half_a_minute_and_are_never_shorter_than_asked_for() -> None:
    waits = Waits()
    taken = [waits.next(None) for _ in range(7)]

    assert all(base <= wait <= 1.2 * base for base, wait in zip([1, 2, 4, 8, 16, 30, 30], taken, strict=True))
    assert all(30 <= waits.next(None) <= 36 for _ in range(2000))
    waits.failures = 0
    assert 5 <= waits.next(5) <= 6


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_read_however_the_bytes_arrive(size: int) -> None:
    text = (
        b'retry: 5\n\n:\n\nid: a-1\nevent: token\ndata: {"a":\ndata: "\xc3\xa9"}\n\n'
        b":x\n\r\nevent:left\r\ndata\r\n\r\nid: b"
    )
    parser = EventParser()

    events = [event for at in range(0, len(text), size) for event in parser.feed(text[at : at + size])]

    assert events == [
        RawEvent("message", b"", "", "5"),
        RawEvent("token", b'{"a":\n"\xc3\xa9"}', "a-1", ""),
        RawEvent("left", b"", "", ""),
    ]


def cut_off(caps: MarketCaps) -> None:
    """Break the connections of a client, as a network does."""
    assert caps._session is not None
    connector = caps._session.connector
    assert isinstance(connector, aiohttp.TCPConnector)
    for protocol in list(connector._acquired):
        assert protocol.transport is not None
        protocol.transport.abort()

"""The fast path answers and counts exactly as the routes do, whatever a connection is sent."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from typing import Final

import pytest
from yarl import URL

from tests.clock import UNIX_START
from tests.web.serving import BONK, JUP, SOL, STSOL, Site, serving
from tests.web.two_ways import HOST, Ways, get, get_many, two_ways

PLAIN: Final = get()
KINDS: Final = {
    "plain": PLAIN,
    "another token": get(SOL),
    "no token": get("nonsense"),
    "unpriced": get(STSOL),
    "another head": get(fields=b"Accept: */*\r\n"),
    "several tokens": get_many(JUP, SOL, JUP),
    "several, one without a price": get_many(JUP, STSOL),
    "HEAD": get(method=b"HEAD"),
    "a query": get(JUP + "?explain=false"),
    "HTTP/1.0": get(version=b"1.0", fields=b"Connection: keep-alive\r\n"),
    "close": get(fields=b"Connection: close\r\n"),
    "a body": get(fields=b"Content-Length: 4\r\n") + b"abcd",
    "a body like a request": get(fields=b"Content-Length: %d\r\n" % len(PLAIN)) + PLAIN,
    "a post": b"POST /mc HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
    b"Content-Length: 13\r\n\r\n" + b'{"mints": []}',
    "chunks": get(fields=b"Transfer-Encoding: chunked\r\n") + b"2\r\nab\r\n0\r\n\r\n",
    "an upgrade": get(fields=b"Connection: upgrade\r\nUpgrade: h2c\r\n"),
    "a websocket": get(fields=b"Connection: upgrade\r\nUpgrade: websocket\r\n"),
    "an expectation": get(fields=b"Expect: 100-continue\r\n"),
    "a stranger": get(fields=b"Origin: http://evil.example\r\n"),
    "another path": b"GET /nowhere HTTP/1.1\r\n" + HOST + b"\r\n",
    "blank lines": b"\r\n\r\n" + PLAIN,
    "half a head": b"GET /mc HTTP/1.1\r\nX: ",
    "nonsense": b"nonsense\r\n\r\n",
}
CLIENTS: Final = {
    "curl": b"Host: 127.0.0.1:8765\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n",
    "wget": b"Host: 127.0.0.1:8765\r\nUser-Agent: Wget/1.21.3\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
    b"Connection: Keep-Alive\r\n\r\n",
    "requests": b"Host: 127.0.0.1:8765\r\nUser-Agent: python-requests/2.32.3\r\nAccept-Encoding: gzip, deflate\r\n"
    b"Accept: */*\r\nConnection: keep-alive\r\n\r\n",
    "httpx": b"Host: 127.0.0.1:8765\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n"
    b"User-Agent: python-httpx/0.28.1\r\n\r\n",
    "aiohttp": b"Host: 127.0.0.1:8765\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n"
    b"User-Agent: Python/3.11 aiohttp/3.14.5\r\n\r\n",
    "Go": b"Host: 127.0.0.1:8765\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n\r\n",
    "Node": b"host: 127.0.0.1:8765\r\nconnection: keep-alive\r\naccept: */*\r\naccept-language: *\r\n"
    b"sec-fetch-mode: cors\r\nuser-agent: node\r\naccept-encoding: gzip, deflate\r\n\r\n",
    "Java": b"Connection: Upgrade, HTTP2-Settings\r\nHost: 127.0.0.1:8765\r\nHTTP2-Settings: AAEAAEAAAAIAAAAA\r\n"
    b"Upgrade: h2c\r\nUser-Agent: Java-http-client/21.0.1\r\n\r\n",
}
"""What follows the request line, as these clients send it."""


@pytest.fixture
async def ways(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ways]:
    async with two_ways(monkeypatch) as both:
        await both.compare([PLAIN])
        yield both


@pytest.mark.parametrize("client", CLIENTS)
async def test_clients_are_answered_alike_from_the_second_request_on(ways: Ways, client: str) -> None:
    asked = [f"GET /mc/{mint} HTTP/1.1\r\n".encode() + CLIENTS[client] for mint in (JUP, SOL, BONK, JUP, STSOL)]
    answers = await ways.compare(asked)

    assert [answers.count(b"HTTP/1.1 200"), answers.count(b"HTTP/1.1 404")] == [4, 1]
    assert ways.path.given == (0 if client == "Java" else 3)
    ways.compare_counts()


async def test_a_request_is_answered_alike_wherever_it_is_cut(ways: Ways) -> None:
    for stream in (
        PLAIN + get(SOL),
        get_many(SOL, JUP) + PLAIN,
        KINDS["a body like a request"] + PLAIN,
        KINDS["an upgrade"] + PLAIN,
    ):
        for cut in range(1, len(stream)):
            answers = await ways.compare([stream[:cut], stream[cut:]])
            assert answers.count(b"HTTP/1.1 200") == 2
    ways.compare_counts()


async def test_requests_are_answered_alike_whatever_comes_before_or_after_them(ways: Ways) -> None:
    for first, second in itertools.product(KINDS.values(), repeat=2):
        await ways.compare([first + second, PLAIN])
        await ways.compare([first, second, PLAIN])
    assert ways.path.given > 200
    ways.compare_counts()


async def test_streams_made_up_at_random_are_answered_alike(ways: Ways) -> None:
    choose = random.Random(7)
    for _ in range(250):
        stream = b"".join(choose.choices(list(KINDS.values()), k=choose.randint(1, 6)))
        cuts = sorted(choose.sample(range(1, len(stream)), k=min(choose.randint(0, 4), len(stream) - 1)))
        chunks = [stream[start:end] for start, end in itertools.pairwise([0, *cuts, len(stream)])]
        await ways.compare([*chunks, PLAIN], ends=choose.random() < 0.3)
    ways.compare_counts()


async def test_ages_and_requests_are_counted_alike_while_time_passes(ways: Ways) -> None:
    for seconds in (0.0, 0.4, 0.59, 0.01, 1.0, 3.0, 0.0, 7.3, 20.0, 40.0, 90.0, 150.0, 47.7, 0.5, 200.0):
        await ways.pass_without_refreshes(seconds)
        for mint in (JUP, SOL, JUP):
            await ways.compare([get(mint)])
        await ways.compare([get_many(SOL, BONK, JUP)])
    ways.compare_counts()
    assert ways.path.given > 40


async def test_a_stale_token_is_left_to_the_routes(ways: Ways) -> None:
    await ways.pass_without_refreshes(361)
    answer = await ways.compare([PLAIN, PLAIN])

    assert answer.count(b"detail=stale") == 2
    assert ways.path.given == 0


async def test_a_token_that_is_not_tracked_joins_with_its_fifth_request(ways: Ways) -> None:
    mint = ways.fast.unpopular()
    for site in (ways.fast, ways.slow):
        await site.wait_for(site.get(f"/mc/{mint}"))
    for _ in range(3):
        await ways.compare([get(mint)])
    assert mint not in ways.fast.sidecar.service.engine.tracker.mints
    await ways.compare([get(mint)])
    assert mint in ways.fast.sidecar.service.engine.tracker.mints
    assert ways.path.given == 0
    await ways.compare([get(mint)])
    assert ways.path.given == 1
    ways.compare_counts()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Origin", "http://localhost"),
        ("oRIGIN", "null"),
        ("Forwarded", "for=10.0.0.1"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("x-forwarded-anything", ""),
        ("Host", "evil.example"),
    ],
)
async def test_what_gives_a_stranger_away_is_refused_however_often_it_is_sent(
    ways: Ways, name: str, value: str
) -> None:
    stranger = (
        f"GET /mc/{JUP} HTTP/1.1\r\n{'' if name == 'Host' else 'Host: localhost'}\r\n{name}: {value}\r\n\r\n"
    )
    stranger = stranger.replace("HTTP/1.1\r\n\r\n", "HTTP/1.1\r\n")
    answers = await ways.compare([stranger.encode()] * 3)

    assert answers.count(b"HTTP/1.1 403") == 3
    assert ways.path.given == 0


async def test_heads_that_differ_each_time_take_a_bounded_room_and_the_usual_one_comes_back(ways: Ways) -> None:
    for number in range(200):
        await ways.compare([get(fields=b"X-Request-Id: %d\r\n" % number)])
    assert len(ways.path._heads) == 64
    given = ways.path.given
    await ways.compare([PLAIN, PLAIN])
    assert ways.path.given == given + 1


async def test_a_large_head_is_never_learnt(ways: Ways) -> None:
    large = get(fields=b"X: " + b"x" * 5000 + b"\r\n")
    await ways.compare([large, large])
    assert ways.path.given == 0


async def raw(site: Site, request: bytes) -> bytes:
    url = URL(site.sidecar.api_addresses[0])
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(request)
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return answer


async def test_the_date_follows_the_clock() -> None:
    async with serving() as site:
        await raw(site, PLAIN)
        dates = []
        for seconds in (0, 0.5, 61):
            site.rig.clock.advance(seconds)
            head = (await raw(site, PLAIN)).decode()
            dates.append(parsedate_to_datetime(head.partition("Date: ")[2].partition("\r")[0]).timestamp())
        assert dates == [int(UNIX_START), int(UNIX_START + 0.5), int(UNIX_START + 61.5)]


async def test_it_tells_a_client_for_how_long_a_token_is_kept() -> None:
    async with serving() as site:
        for _ in range(2):
            assert b"\r\nCache-Control: max-age=60\r\n" in await raw(site, PLAIN)


async def test_a_client_that_does_not_read_holds_up_its_own_requests_only() -> None:
    async with serving() as site:
        await raw(site, PLAIN)
        url = URL(site.sidecar.api_addresses[0])
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(PLAIN * 30_000)  # their answers are more than all buffers on the way hold
        hot = site.sidecar.service.metrics.hot
        held_up = 0
        while held_up != (held_up := hot.lookups["hit"]):  # noqa: ASYNC110 - the kernel takes its time
            await asyncio.sleep(0.2)

        await raw(site, PLAIN)

        assert hot.lookups["hit"] == held_up + 1 < 30_000
        reader.feed_eof()
        writer.transport.abort()

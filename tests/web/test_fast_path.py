import asyncio
import contextlib
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from sidecar.web.api import create_api
from sidecar.web.fast_path import install_fast_path
from sidecar.web.streams import Streams
from tests.clock import UNIX_START
from tests.running import Rig, running
from tests.web.serving import JUP

UNPRICED = "7dHbWXmci3dT8UFYWYZweBLXgycu7Y3iL6trKn1Y7ARj"


class Way:
    """Requests to a server with the shortcut, and how many of them its routes got to see."""

    def __init__(self, rig: Rig, port: int, session: aiohttp.ClientSession) -> None:
        self.rig = rig
        self.port = port
        self.left_to_routes = 0
        self._base = f"http://127.0.0.1:{port}"
        self._session = session

    async def get(self, target: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
        url = URL(self._base + target, encoded=True)
        async with self._session.request(method, url, headers=headers) as response:
            return response.status, dict(response.headers), await response.text()

    async def learn(self) -> None:
        """Send the first request, which the routes must see."""
        await self.get(f"/mc/{JUP}")
        assert self.left_to_routes == 1
        self.left_to_routes = 0


@pytest.fixture
async def way() -> AsyncIterator[Way]:
    async with running() as rig, aiohttp.ClientSession() as session:
        await rig.warm()
        runner = web.AppRunner(create_api(rig.service, Streams(rig.service), unix_socket=False))
        await runner.setup()
        server = cast("web.Server", runner.server)
        routes: Any = server.request_handler
        listener = web.TCPSite(runner, "127.0.0.1", 0)

        async def counted(request: web.BaseRequest) -> web.StreamResponse:
            client.left_to_routes += 1
            response: web.StreamResponse = await routes(request)
            return response

        server.request_handler = counted
        install_fast_path(runner, rig.service, unix_socket=False)
        await listener.start()
        client = Way(rig, listener.port, session)
        yield client
        await runner.cleanup()


async def test_second_request_for_a_token_in_memory_is_answered_without_the_routes(way: Way) -> None:
    by_routes = await way.get(f"/mc/{JUP}")
    assert way.left_to_routes == 1

    by_shortcut = await way.get(f"/mc/{JUP}")

    assert way.left_to_routes == 1
    by_routes[1]["Date"] = by_shortcut[1]["Date"]  # the one is the machine's, the other the test's clock's
    assert by_shortcut == by_routes


async def test_shortcut_counts_as_the_routes_do(way: Way) -> None:
    await way.learn()

    await way.get(f"/mc/{JUP}")

    assert way.rig.metric("lookups_total", result="hit") == 2
    assert way.rig.metric("http_requests_total", route="/mc/{mint}", status="200") == 2
    assert way.rig.metric("http_request_duration_seconds_count", route="/mc/{mint}") == 2
    assert way.rig.metric("served_age_seconds_count") == 2


async def test_stale_token_by_the_shortcut_has_the_age_and_no_lifetime(way: Way) -> None:
    await way.learn()
    entry = way.rig.service.engine.cache.get(JUP)  # type: ignore[arg-type]  # a literal mint
    assert entry is not None
    entry.received -= 400.0

    _, headers, body = await way.get(f"/mc/{JUP}")

    assert way.left_to_routes == 0
    assert headers["Age"] == "400"
    assert headers["Cache-Control"] == "max-age=0"
    assert headers["Cache-Status"] == "mc-sidecar; hit; detail=stale"
    assert body.endswith('"age_seconds":400.000,"stale":true,"cached":true}')


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Origin", "http://localhost"),
        ("oRIGIN", "null"),
        ("Forwarded", "for=10.0.0.1"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("x-forwarded-anything", ""),
        ("Host", "evil.example"),
        ("host", "evil.example:8765"),
    ],
)
async def test_what_gives_a_stranger_away_is_refused_however_often_it_is_sent(
    way: Way, name: str, value: str
) -> None:
    await way.learn()

    statuses = [(await way.get(f"/mc/{JUP}", **{name: value}))[0] for _ in range(3)]

    assert statuses == [403, 403, 403]
    assert way.left_to_routes == 3


async def test_names_that_are_new_are_learnt_after_the_checks_have_let_them_pass(way: Way) -> None:
    await way.learn()

    for _ in range(3):
        await way.get(f"/mc/{JUP}", traceparent="00-1-2-01")
    await way.get(f"/mc/{JUP}", traceparent="00-3-4-01")

    assert way.left_to_routes == 1


async def test_request_without_a_host_is_not_covered_by_those_that_had_one(way: Way) -> None:
    await way.learn()

    status, _, _ = await way.get(f"/mc/{JUP}", Host="")

    assert status == 403


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("HEAD", f"/mc/{JUP}", 200),
        ("POST", f"/mc/{JUP}", 405),
        ("GET", f"/mc/{JUP}?explain=true", 200),
        ("GET", f"/mc/%4A{JUP[1:]}", 200),
        ("GET", f"/mc/{JUP}/", 404),
        ("GET", f"/mc/0{JUP[1:]}", 400),
        ("GET", f"/mc/{UNPRICED}", 404),
        ("GET", "/mc/", 404),
        ("GET", "/stats", 200),
    ],
)
async def test_whatever_is_not_the_plain_path_of_a_token_in_memory_is_left_to_the_routes(
    way: Way, method: str, target: str, status: int
) -> None:
    await way.learn()

    assert (await way.get(target, method))[0] == status
    assert way.left_to_routes == 1


async def test_headers_that_are_long_in_sum_are_left_to_the_routes(way: Way) -> None:
    await way.learn()

    for _ in range(2):
        assert (await way.get(f"/mc/{JUP}", Cookie="x" * 7000))[0] == 200
    many = {f"X-{number}": "x" * 7000 for number in range(3)}
    assert (await way.get(f"/mc/{JUP}", **many))[0] == 431

    assert way.left_to_routes == 3


async def test_only_so_many_names_and_hosts_are_remembered(way: Way) -> None:
    for number in range(70):
        await way.get(f"/mc/{JUP}", Host=f"localhost:{number}", **{f"X-Number-{number}": ""})

    assert way.left_to_routes == 70
    await way.get(f"/mc/{JUP}", Host="localhost:1", **{"X-Number-1": ""})
    assert way.left_to_routes == 70
    await way.get(f"/mc/{JUP}", Host="localhost:69")
    assert way.left_to_routes == 71


def lines_but_date(answer: bytes) -> list[bytes]:
    return sorted(line for line in answer.splitlines() if not line.startswith(b"Date: "))


async def raw(way: Way, *lines: str) -> bytes:
    """Send a head as written and return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    writer.write("\r\n".join([*lines, "Host: localhost", "", ""]).encode())
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_shortcut_says_and_does_that_it_closes_when_the_client_asks_for_it(way: Way) -> None:
    ask = [f"GET /mc/{JUP} HTTP/1.1", "Connection: close"]
    by_routes = await raw(way, *ask)
    assert way.left_to_routes == 1

    by_shortcut = await raw(way, *ask)

    assert way.left_to_routes == 1
    assert b"\r\nConnection: close\r\n" in by_shortcut
    assert lines_but_date(by_shortcut) == lines_but_date(by_routes)


async def test_http_1_0_is_left_to_the_routes(way: Way) -> None:
    await way.learn()

    for _ in range(2):
        assert (await raw(way, f"GET /mc/{JUP} HTTP/1.0")).startswith(b"HTTP/1.0 200 OK\r\n")

    assert way.left_to_routes == 2


async def test_date_follows_the_clock(way: Way) -> None:
    await way.learn()

    dates = []
    for seconds in (0, 0.5, 61):
        way.rig.clock.advance(seconds)
        _, headers, _ = await way.get(f"/mc/{JUP}")
        dates.append(parsedate_to_datetime(headers["Date"]).timestamp())

    assert dates == [int(UNIX_START), int(UNIX_START + 0.5), int(UNIX_START + 61.5)]


async def test_client_that_does_not_read_holds_up_its_own_requests_only(way: Way) -> None:
    await way.learn()
    stats = way.rig.service.metrics.hot.route("/mc/{mint}").statuses
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    request = f"GET /mc/{JUP} HTTP/1.1\r\nHost: 127.0.0.1:{way.port}\r\n\r\n".encode()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            while True:
                writer.write(request * 100)
                await writer.drain()
    held_up = stats[200]

    await way.get(f"/mc/{JUP}")

    assert stats[200] == held_up + 1
    reader.feed_eof()
    writer.transport.abort()

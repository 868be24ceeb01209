"""Answers that are small to send and large to parse: a bound in bytes, a slice for each turn of the event loop."""

import asyncio
import gc
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import aiohttp
import pytest
import uvloop
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from sidecar.upstreams import connector
from sidecar.upstreams.connector import BoundedConnector

HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
FLOODS: Final = {
    "interim responses": (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "chunk extensions": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"a" * 250 + b"\r\n \r\n"),
    "body": (HEAD + b"Content-Length: 100000000\r\n\r\n", b" " * 1000),
}
MOST_BYTES: Final = 256 * 1024
LOOPS: Final = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def low_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "MOST_RECEIVED_BYTES", MOST_BYTES)


class Outcome(NamedTuple):
    """What came of a request, and what it cost this process."""

    error: Exception | None
    longest_turn: float
    """CPU seconds of the event loop's thread between two turns of another task."""


@contextmanager
def without_older_objects() -> Iterator[None]:
    """Keep the garbage collector from what the tests before left in this process; what comes it still collects."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def flooding(head: bytes, part: bytes) -> Iterator[tuple[str, list[int]]]:
    """Send a part again and again to the first client, from a thread; yield the URL and the bytes it took."""
    taken = [0]
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(65536)
                client.settimeout(5)
                try:
                    client.sendall(head)
                    block = part * (100_000 // len(part))
                    while taken[0] < 100 * MOST_BYTES:
                        taken[0] += client.send(block)
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/", taken
        thread.join()


async def fetch(url: str) -> Outcome:
    """Read an answer while another task has its turns."""
    longest = 0.0
    last = time.thread_time()

    async def count() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0)
            longest, last = max(longest, time.thread_time() - last), time.thread_time()

    counting = asyncio.create_task(count())
    error: Exception | None = None
    async with aiohttp.ClientSession(connector=BoundedConnector(), timeout=aiohttp.ClientTimeout(2)) as session:
        try:
            async with session.get(url) as response:
                async for _ in response.content.iter_chunked(65536):
                    pass
        except (aiohttp.ClientError, TimeoutError) as raised:  # aiohttp stops reading interim responses itself
            error = raised
    counting.cancel()
    return Outcome(error, longest)


@pytest.mark.parametrize("new_loop", LOOPS.values(), ids=LOOPS.keys())
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_ends_the_call_at_the_bound_without_a_standstill_and_without_memory(
    flood: tuple[bytes, bytes], new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with (
        flooding(*flood) as (url, taken),
        asyncio.Runner(loop_factory=new_loop) as runner,
        without_older_objects(),
    ):
        outcome = runner.run(fetch(url))
    assert outcome.error is not None
    assert outcome.longest_turn < 0.05
    assert taken[0] < MOST_BYTES + 10_000_000  # the rest is in the kernel's buffers


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_costs_no_memory(flood: tuple[bytes, bytes]) -> None:
    with flooding(*flood) as (url, _), asyncio.Runner() as runner:
        tracemalloc.start()
        try:
            assert runner.run(fetch(url)).error is not None
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 3_000_000


async def test_each_answer_of_a_connection_is_counted_anew(aiohttp_server: AiohttpServer) -> None:
    large = b" " * (MOST_BYTES // 2)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=large)

    app = web.Application()
    app.router.add_get("/", answer)
    server = await aiohttp_server(app)
    async with aiohttp.ClientSession(connector=BoundedConnector(limit=1)) as session:
        for _ in range(4):
            async with session.get(server.make_url("/")) as response:
                assert await response.read() == large

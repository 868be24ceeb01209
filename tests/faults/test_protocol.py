"""Answers that break HTTP itself: each is one failure of one call, never an exception of another kind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from yarl import URL

from sidecar.errors import UpstreamError
from tests.upstreams.asking import Asked, answering, asking

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: 2\r\n\r\n[]"
BROKEN = {
    "a chunk of no size": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
    "a chunk of negative size": OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n",
    "a chunk beyond size": OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\nabc\r\n",
    "a negative length": OK + b"Content-Length: -5\r\n\r\n",
    "a length beyond size": OK + b"Content-Length: 99999999999999999999999\r\n\r\n[]",
    "two lengths": OK + b"Content-Length: 3\r\n" + LENGTH,
    "brotli that is none": OK + b"Content-Encoding: br\r\n" + LENGTH,
    "zstd that is none": OK + b"Content-Encoding: zstd\r\n" + LENGTH,
    "deflate that is none": OK + b"Content-Encoding: deflate\r\n" + LENGTH,
    "a header without end": OK + b"X: " + b"a" * 200_000 + b"\r\n" + LENGTH,
    "headers without end": OK + b"".join(b"X%d: a\r\n" % number for number in range(5000)) + LENGTH,
    "a NUL": OK + b"X: a\0b\r\n" + LENGTH,
    "status 20": b"HTTP/1.1 20 OK\r\n" + LENGTH,
    "status 999": b"HTTP/1.1 999 x\r\n" + LENGTH,
    "an upgrade": b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "HTTP/9": b"HTTP/9.9 200 OK\r\n" + LENGTH,
    "a redirect to nowhere": b"HTTP/1.1 301 x\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
    "nothing": b"",
    "zeros": bytes(100_000),
    "bytes for a date": b"HTTP/1.1 429 x\r\nRetry-After: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
    "a date beyond time": b"HTTP/1.1 429 x\r\nRetry-After: 31 Dec 9999 23:59 -2359\r\nContent-Length: 0\r\n\r\n",
}
ODD = {
    "interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 1000 + OK + LENGTH,
    "an unknown encoding": OK + b"Content-Encoding: snappy\r\n" + LENGTH,
    "an unknown charset": OK + b"Content-Type: \xff/\xff; charset=\xff\r\n" + LENGTH,
    "a reset beyond time": OK + b"x-ratelimit-remaining: 0\r\nx-ratelimit-reset: 9e999\r\n" + LENGTH,
    "a limit beyond size": OK
    + b"x-ratelimit-remaining: "
    + b"9" * 5000
    + b"\r\nx-ratelimit-reset: 1\r\n"
    + LENGTH,
}


@asynccontextmanager
async def asking_for(answer: bytes) -> AsyncIterator[Asked]:
    """Ask a server that answers every request with these bytes and closes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server, asking(answering(), timeout_seconds=2) as asked:
        asked.upstream._base = URL.build(scheme="http", host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        yield asked


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
async def test_an_answer_that_breaks_the_protocol_is_a_failure_like_any_other(answer: bytes) -> None:
    async with asking_for(answer) as asked:
        with pytest.raises(UpstreamError) as caught:
            await asked.get()
        assert set(asked.outcomes()) == {caught.value.outcome}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD.keys())
async def test_an_answer_that_is_only_odd_is_taken(answer: bytes) -> None:
    async with asking_for(answer) as asked:
        assert await asked.get() == b"[]"
        assert asked.outcomes() == {"ok": 1}


@pytest.mark.parametrize("host", ["nowhere..invalid", "a" * 64 + ".invalid"])
async def test_a_host_that_is_no_name_is_a_failure_to_connect(host: str) -> None:
    async with asking(answering()) as asked:
        asked.upstream._base = URL(f"http://{host}")
        with pytest.raises(UpstreamError) as caught:
            await asked.get()
        assert caught.value.outcome == "connect"

"""What is no Redis, another node of a cluster, and numbers and keys that another program has set."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar.fleet.answers import StoreError
from sidecar.fleet.keys import Keys
from sidecar.fleet.store import Store
from tests.service.tokens import JUP
from tests.system.fleet.redis_server import RedisServer, redis_server

HELLO = b"*2\r\n$7\r\nversion\r\n$5\r\n7.4.0\r\n"
NO_REDIS = {
    "an error without a word": b"-\r\n",
    "a number": b":1\r\n",
    "nothing": b"$-1\r\n",
    "a word": b"+OK\r\n",
    "a version that is a number": b"*2\r\n$7\r\nversion\r\n:7\r\n",
    "a version of many digits": b"*2\r\n$7\r\nversion\r\n$5002\r\n" + b"9" * 5000 + b".1\r\n",
    "a list for a name": b"*2\r\n*0\r\n:1\r\n",
    "a web server": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}
ODD_NUMBERS = ("9223372036854775807", "123456789012345", "-1000000")


@pytest.mark.parametrize("answer", NO_REDIS.values(), ids=NO_REDIS)
async def test_what_answers_in_place_of_redis_is_an_error_of_the_store(answer: bytes) -> None:
    async with node(answer, answer) as port:
        store = Store(f"redis://127.0.0.1:{port}", Keys("fleet-one"))
        with pytest.raises(StoreError):
            await store.open()
        await store.close()


async def test_a_node_that_has_the_keys_is_followed_and_left_again_when_it_is_gone(tmp_path: Path) -> None:
    port = free_port()
    moved = f"-MOVED 1 127.0.0.1:{port}\r\n".encode()
    async with node(HELLO, moved) as first, redis_server(tmp_path, "--port", str(port)) as redis:
        store = Store(f"redis://127.0.0.1:{first}", Keys("fleet-one"))
        await store.open()
        with pytest.raises(StoreError, match="moved"):
            await store.beat("a", 5, 5, rank=False)
        await store.open()
        assert (await store.beat("a", 5, 5, rank=False)).lease == "1:a"
        assert (await store.head()).sequence == 0
        await redis.stop()
        with pytest.raises(StoreError, match="ConnectionError"):
            await store.open()
        await store.open()
        with pytest.raises(StoreError, match="moved"):
            await store.beat("a", 5, 5, rank=False)
        await store.close()


@pytest.mark.parametrize("number", ODD_NUMBERS)
async def test_a_fencing_number_that_cannot_be_counted_on_is_removed(
    store: Store, redis: RedisServer, number: str
) -> None:
    await redis.command("SET", store.keys.fence, number)
    with pytest.raises(StoreError):
        await store.beat("a", 5, 5, rank=False)
    assert store.is_misused
    assert await store.repair() == 1
    assert (await store.beat("a", 5, 5, rank=False)).lease == "1:a"


@pytest.mark.parametrize("number", ODD_NUMBERS)
async def test_a_number_of_changes_that_cannot_be_counted_on_is_removed(
    store: Store, redis: RedisServer, number: str
) -> None:
    await store.beat("a", 5, 5, rank=False)
    await redis.command("SET", store.keys.sequence, number)
    with pytest.raises(StoreError):
        await store.tell("1:a", [(JUP, b"value")], expiry_seconds=60.0, most_values=100)
    assert store.is_misused
    assert await store.repair() == 1
    assert (await store.head()).sequence == 0


async def test_sums_of_demand_that_are_something_else_begin_anew(store: Store, redis: RedisServer) -> None:
    await redis.command("SET", store.keys.demand(7), "garbage")
    await store.want(b"", 7, {JUP: 2}, kept_seconds=60)
    assert (await store.page(store.keys.demand(7), "0"))[2] == [JUP.encode(), b"2"]


@asynccontextmanager
async def node(hello: bytes, rest: bytes) -> AsyncIterator[int]:
    """Answer HELLO with the one and everything else with the other; yields the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while asked := await reader.read(65536):
            writer.write(hello if b"HELLO" in asked else rest)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""What becomes of a stream whose client reads slowly, not at all, or goes. A sweep is half a second."""

import asyncio

from sidecar.web.limits import Limits
from tests.web.listening import HOST, Client, Listener, listening, settle

EVENTS = b"GET /events HTTP/1.1\r\n" + HOST + b"\r\n"


async def deaf(listener: Listener) -> Client:
    """Return a client of /events that has been written as much as all buffers on the way hold."""
    client = await listener.client(receive_buffer=4096)
    await client.send(EVENTS)
    written = -1
    while written != listener.written:
        written = listener.written
        await asyncio.sleep(0.02)
        await settle()
    return client


async def test_no_more_is_written_than_the_client_takes_and_it_is_cut_off_after_a_minute_of_nothing() -> None:
    async with listening() as listener:
        await deaf(listener)
        written = listener.written
        await listener.sweep(120)
        before = listener.ended
        await listener.sweep(2)

        assert listener.written == written < 100
        assert (before, listener.ended) == (False, True)


async def test_a_client_that_reads_slowly_is_let_be() -> None:
    async with listening() as listener:
        client = await deaf(listener)
        written = listener.written
        for _ in range(3):
            await listener.sweep(100)
            await client.skip(1024 * 1024)

        assert not listener.ended
        assert listener.written > written


async def test_it_is_none_of_the_connections_that_are_counted() -> None:
    async with listening(Limits(1)) as listener:
        await deaf(listener)
        other = await listener.client()

        assert (await other.ask(b"GET /small HTTP/1.1\r\n" + HOST + b"\r\n")).body == b"small"
        assert len(listener.connections) == 1


async def test_it_ends_with_its_client() -> None:
    async with listening() as listener:
        client = await listener.client()
        await client.send(EVENTS)
        await client.close()
        await settle()

        assert listener.ended

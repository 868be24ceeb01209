"""Which connections get in, which have to go, and which are cut off for being slow. A sweep is half a second."""

import asyncio
import socket

import pytest

from tests.web.listening import GET, HOST, Client, Listener, listening, settle

WAIT = b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n"
LARGE = b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\n"


async def occupy(listener: Listener, clients: int) -> list[Client]:
    """Let so many clients wait for an answer."""
    waiting = [await listener.client() for _ in range(clients)]
    for client in waiting:
        await client.send(WAIT)
    return waiting


# Too slow


@pytest.mark.parametrize("sent", [b"", b"GET /sm", GET[:-2]])
async def test_a_head_that_is_not_complete_in_five_seconds_ends_the_connection(sent: bytes) -> None:
    async with listening() as listener:
        client = await listener.client()
        await client.send(sent)
        await listener.sweep(10)
        assert len(listener.connections) == 1
        await listener.sweep(1)
        assert await client.is_closed()
        assert len(listener.connections) == 0


async def test_trickling_bytes_gain_no_time() -> None:
    async with listening() as listener:
        client = await listener.client()
        for byte in GET[:11]:
            await client.send(bytes([byte]))
            await listener.sweep(1)
        assert await client.is_closed()


async def test_the_head_of_a_later_request_has_five_seconds_from_its_first_byte() -> None:
    async with listening() as listener:
        client = await listener.client()
        await client.ask(GET)
        await listener.sweep(149)
        await client.send(GET[:5])
        await listener.sweep(10)
        assert (await client.ask(GET[5:])).body == b"small"
        await client.send(GET[:5])
        await listener.sweep(11)
        assert await client.is_closed()


async def test_a_body_that_is_not_complete_in_five_seconds_ends_the_connection_without_a_fuss(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with listening() as listener:
        client = await listener.client()
        await client.send(POST)
        for byte in b"123":
            await client.send(bytes([byte]))
            await listener.sweep(3)
        await listener.sweep(1)
        assert len(listener.connections) == 1
        await listener.sweep(1)
        assert await client.is_closed()
        assert not caplog.records


async def test_a_body_in_time_is_answered() -> None:
    async with listening() as listener:
        client = await listener.client()
        await client.send(POST)
        await listener.sweep(10)
        assert (await client.ask(b"1234")).body == b"1234"


async def test_bodies_that_come_with_their_heads_are_no_unfinished_head() -> None:
    request = b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 4096\r\n\r\n" + b"x" * 4096
    async with listening() as listener:
        client = await listener.client()
        assert [(await client.ask(request)).status for _ in range(40)] == [200] * 40
        await listener.sweep(150)
        [connection] = listener.connections._open
        assert connection.is_quiet
        await client.send(request + GET[:10])
        assert (connection.head_bytes, (await client.reply()).status) == (10, 200)


async def test_an_idle_connection_ends_after_75_seconds() -> None:
    async with listening() as listener:
        client = await listener.client()
        await client.ask(GET)
        await listener.sweep(150)
        assert len(listener.connections) == 1
        await listener.sweep(1)
        assert await client.is_closed()


async def test_a_client_that_does_not_read_is_cut_off_after_ten_seconds() -> None:
    async with listening() as listener:
        client = await listener.client(receive_buffer=4096)
        await client.send(LARGE)
        await listener.sweep(20)
        assert len(listener.connections) == 1
        await listener.sweep(1)
        assert len(listener.connections) == 0


async def test_a_client_that_reads_on_is_not_cut_off() -> None:
    async with listening() as listener:
        client = await listener.client(receive_buffer=4096)
        await client.send(LARGE)
        await listener.sweep(19)
        assert len((await client.reply()).body) == 32 * 1024 * 1024
        await listener.sweep(19)
        assert (await client.ask(GET)).body == b"small"


async def test_a_client_that_reads_one_answer_has_as_long_for_the_next() -> None:
    async with listening() as listener:
        client = await listener.client(receive_buffer=4096)
        await client.send(LARGE + LARGE)
        await listener.sweep(15)
        assert (await client.reply()).status == 200
        await listener.sweep(20)
        assert len(listener.connections) == 1
        await listener.sweep(1)
        assert len(listener.connections) == 0


async def test_a_request_may_take_as_long_as_it_takes() -> None:
    async with listening() as listener:
        (client,) = await occupy(listener, 1)
        await listener.sweep(1000)
        listener.release.set()
        assert (await client.reply()).body == b"done"


async def test_sweeps_are_made_every_half_second_and_a_frozen_process_made_none() -> None:
    async with listening() as listener:
        client = await listener.client()
        listener.clock.advance(3600)
        await settle()
        assert (await client.ask(GET)).body == b"small"
        await client.send(b"GET")
        for _ in range(11):
            await settle()
            listener.clock.advance(0.5)
        assert await client.is_closed()


# A client that closes its half


@pytest.mark.parametrize("request_", [GET, GET + GET, POST + b"1234", WAIT, WAIT + GET])
async def test_what_was_asked_before_the_client_closed_its_half_is_answered(request_: bytes) -> None:
    async with listening() as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(request_)
        writer.write_eof()
        await settle()
        listener.release.set()
        async with asyncio.timeout(5):
            answers = await reader.read()
        assert answers.count(b"HTTP/1.1 200 OK") == request_.count(b"HTTP/1.1")
        assert answers.count(b"Connection: close") <= 1
        assert len(listener.connections) == 0
        writer.close()


@pytest.mark.parametrize("request_", [b"", GET[:-2], POST + b"12"])
async def test_half_a_request_and_no_more_to_come_ends_the_connection(request_: bytes) -> None:
    async with listening() as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(request_)
        writer.write_eof()
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        await settle()
        assert len(listener.connections) == 0
        writer.close()


# How it ends


async def test_at_the_end_each_answer_is_the_last_of_its_connection() -> None:
    async with listening() as listener:
        client = await listener.client()
        assert "connection" not in (await client.ask(GET)).headers
        listener.connections.winding_down = True
        assert (await client.ask(GET)).headers["connection"] == "close"
        assert await client.is_closed()


async def test_what_has_arrived_is_answered_and_idle_connections_are_closed() -> None:
    async with listening() as listener:
        (busy,), idle = await occupy(listener, 1), await listener.client()
        await idle.ask(GET)
        closing = asyncio.create_task(listener.connections.close(10.0))
        assert await idle.is_closed()
        listener.release.set()
        assert (await busy.reply()).body == b"done"
        assert await busy.is_closed()
        await closing


async def test_a_request_that_the_kernel_holds_is_answered_on_an_idle_connection() -> None:
    async with listening() as listener:
        raw = socket.create_connection(("127.0.0.1", listener.port))
        client = Client(*await asyncio.open_connection(sock=raw.dup()))
        await client.ask(GET)
        raw.sendall(GET)
        raw.close()
        await listener.connections.close(10.0)
        assert (await client.reply()).body == b"small"
        await client.close()


async def test_clients_that_the_kernel_has_accepted_for_us_are_served() -> None:
    async with listening() as listener:
        waiting = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(5)]
        closing = asyncio.create_task(listener.connections.close(10.0))
        clients = [Client(*await asyncio.open_connection(sock=one)) for one in waiting]
        assert [(await client.ask(GET)).body for client in clients] == [b"small"] * 5
        await closing
        for client in clients:
            await client.close()


async def test_what_is_not_answered_in_time_is_cut_off() -> None:
    async with listening() as listener:
        (busy,) = await occupy(listener, 1)
        async with asyncio.timeout(2):
            await listener.connections.close(0.2)
        assert await busy.is_closed()
        assert len(listener.connections) == 0

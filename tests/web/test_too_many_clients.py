"""More clients than connections: one too many is refused, and which one makes room."""

import logging

import pytest

from sidecar.web.limits import Limits
from sidecar.web.refusal import MOST_REFUSALS
from tests.web.listening import GET, listening, settle
from tests.web.test_connections import POST, occupy

# Too many


async def test_one_client_too_many_is_refused_at_once_and_the_others_are_served() -> None:
    async with listening(Limits(3)) as listener:
        waiting = await occupy(listener, 3)
        reply = await (await listener.client()).ask(GET)
        assert (reply.status, reply.code, reply.headers["retry-after"]) == (429, "overloaded", "1")
        assert len(listener.connections) == 3
        listener.release.set()
        assert [(await client.reply()).body for client in waiting] == [b"done"] * 3


async def test_an_overload_is_logged_once_until_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    async with listening(Limits(2)) as listener:
        with caplog.at_level(logging.WARNING, "sidecar.web.connections"):
            clients = await occupy(listener, 2)
            for _ in range(3):
                await (await listener.client()).ask(GET)
            assert [record.message for record in caplog.records] == ["clients are refused: too many connections"]
            listener.release.set()
            for client in clients:
                await client.reply()
                await client.close()
            listener.release.clear()
            await settle()
            await listener.sweep(1)
            await occupy(listener, 2)
            await (await listener.client()).ask(GET)
        assert len(caplog.records) == 2


async def test_refusals_are_bounded_and_end_by_themselves() -> None:
    async with listening(Limits(1)) as listener:
        await occupy(listener, 1)
        refused = [await listener.client() for _ in range(MOST_REFUSALS)]
        assert len(listener.connections._refusals) == MOST_REFUSALS
        assert await (await listener.client()).is_closed()
        assert len(listener.connections._refusals) == MOST_REFUSALS
        await listener.sweep(3)
        assert not listener.connections._refusals
        assert await refused[0].is_closed()


async def test_slow_clients_on_every_connection_do_not_keep_a_good_one_out() -> None:
    async with listening(Limits(4)) as listener:
        slow = [await listener.client() for _ in range(4)]
        for client in slow:
            await client.send(b"GET /small HTTP/1.1\r\nX-Slow: ")
        await listener.sweep(2)
        assert (await (await listener.client()).ask(GET)).body == b"small"
        assert await slow[0].is_closed()
        assert len(listener.connections) == 4


async def test_a_client_that_holds_back_a_body_makes_room_too() -> None:
    async with listening(Limits(1)) as listener:
        slow = await listener.client()
        await slow.send(POST + b"123")
        await listener.sweep(2)
        assert (await (await listener.client()).ask(GET)).body == b"small"
        assert await slow.is_closed()


async def test_unfinished_requests_make_room_before_idle_connections_do() -> None:
    async with listening(Limits(2)) as listener:
        idle, slow = await listener.client(), await listener.client()
        await idle.ask(GET)
        await listener.sweep(1)
        await slow.send(b"GET")
        await listener.sweep(2)
        assert (await (await listener.client()).ask(GET)).body == b"small"
        assert await slow.is_closed()
        assert (await idle.ask(GET)).body == b"small"


async def test_a_client_in_conversation_does_not_make_room_at_once() -> None:
    async with listening(Limits(1)) as listener:
        first = await listener.client()
        await first.ask(GET)
        await listener.sweep(1)
        assert (await (await listener.client()).ask(GET)).status == 429
        assert (await first.ask(GET)).body == b"small"


async def test_connections_that_never_say_anything_keep_nothing_out() -> None:
    async with listening(Limits(4)) as listener:
        asking = await listener.client()
        await asking.ask(GET)
        silent = [await listener.client() for _ in range(20)]
        assert (await (await listener.client()).ask(GET)).body == b"small"
        assert (await asking.ask(GET)).body == b"small"
        assert [await client.is_closed() for client in silent[:18]] == [True] * 18
        assert len(listener.connections) == 4


async def test_a_client_that_left_while_it_waited_makes_room_at_once() -> None:
    async with listening(Limits(1)) as listener:
        (client,) = await occupy(listener, 1)
        await client.close()
        await settle()
        assert (await (await listener.client()).ask(GET)).body == b"small"

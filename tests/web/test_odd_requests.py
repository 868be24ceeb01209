"""What is not an ordinary request: answered with what is wrong about it, never with a 500, never in silence."""

import gzip
import logging

import pytest

from tests.web.listening import GET, HOST, listening, settle

POST = b"POST /echo HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SMALL = b"GET /small HTTP/1.1\r\n" + HOST
BOMB = gzip.compress(bytes(20_000_000))


def sized(body: bytes, *fields: bytes) -> bytes:
    return POST + b"".join(fields) + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, "uri_too_long"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, "uri_too_long"),
        (b"GET /" + b"a" * 400_000, 414, "uri_too_long"),
        (SMALL + b"X: " + b"a" * 20_000 + b"\r\n\r\n", 431, "headers_too_large"),
        (SMALL + b"X: " + b"a" * 40_000 + b"\r\n\r\n", 431, "headers_too_large"),
        (SMALL + b"a" * 40_000 + b": X\r\n\r\n", 431, "headers_too_large"),
        (SMALL + b"X: a\r\n" * 200 + b"\r\n", 431, "headers_too_large"),
        (SMALL + (b"X: " + b"a" * 1000 + b"\r\n") * 100, 431, "headers_too_large"),
        (sized(bytes(131_073)), 413, "payload_too_large"),
        (sized(bytes(2_000_000)), 413, "payload_too_large"),
        (sized(BOMB, b"Content-Encoding: gzip\r\n"), 413, "payload_too_large"),
        (sized(b"1234", b"Content-Encoding: gzip\r\n"), 400, "invalid_request"),
        (CHUNKED + b"zz\r\n1234\r\n0\r\n\r\n", 400, "invalid_request"),
        (POST + b"Content-Length: -4\r\n\r\n1234", 400, "invalid_request"),
        (sized(b"4\r\n1234\r\n0\r\n\r\n", b"Transfer-Encoding: chunked\r\n"), 400, "invalid_request"),
        (sized(b"1234", b"Expect: miracles\r\n"), 417, "invalid_request"),
        (SMALL + HOST + b"\r\n", 400, "invalid_request"),
        (b"GET /small HTTP/1.1\r\n\r\n", 400, "invalid_request"),
        (b"GET /small HTTP/9.9\r\n\r\n", 400, "invalid_request"),
        (b"GET http://[::1/small HTTP/1.1\r\n" + HOST + b"\r\n", 400, "invalid_request"),
        (b"GET /\xff\xfe HTTP/1.1\r\n" + HOST + b"\r\n", 400, "invalid_request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "invalid_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "invalid_request"),
        (b"hello\r\n\r\n", 400, "invalid_request"),
        (b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n", 404, "not_found"),
        (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 404, "not_found"),
    ],
)
async def test_a_bad_request_gets_a_problem_and_no_traceback(
    request_: bytes, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening() as listener:
        reply = await (await listener.client()).ask(request_)
        assert (reply.status, reply.code) == (status, code)
        assert b"aaa" not in reply.body
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (b"GET http://localhost/small HTTP/1.1\r\n" + HOST + b"\r\n", b"small"),
        (SMALL + b"Content-Length: 4\r\n\r\n1234", b"small"),
        (b"GET /small HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"small"),
        (b"\r\n\r\n" + GET, b"small"),
        (SMALL + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", b"small"),
        (SMALL + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", b"small"),
        (CHUNKED + b"4\r\n1234\r\n0\r\n\r\n", b"1234"),
        (sized(bytes(131_072)), bytes(131_072)),
    ],
)
async def test_an_unusual_request_is_served_and_the_connection_lives_on(request_: bytes, body: bytes) -> None:
    async with listening() as listener:
        client = await listener.client()
        assert (await client.ask(request_)).body == body
        assert (await client.ask(GET)).body == b"small"


async def test_a_connection_survives_a_body_that_was_too_large() -> None:
    async with listening() as listener:
        client = await listener.client()
        assert (await client.ask(sized(bytes(1_000_000)))).status == 413
        assert (await client.ask(GET)).body == b"small"


async def test_who_announces_a_body_is_told_to_go_on() -> None:
    async with listening() as listener:
        client = await listener.client()
        assert (await client.ask(POST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n")).status == 100
        assert (await client.ask(b"1234")).body == b"1234"


async def test_a_body_that_breaks_off_is_no_bug_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as listener:
        client = await listener.client()
        await client.send(CHUNKED + b"4\r\n12")
        await client.close()
        await settle()
        assert len(listener.connections) == 0
    assert not caplog.records


async def test_a_body_that_turns_out_broken_counts_as_one_that_never_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with listening() as listener:
        client = await listener.client()
        await client.send(CHUNKED + b"4\r\n1234\r\n")
        await client.send(b"zz\r\n")
        await listener.sweep(11)
        assert await client.is_closed()
    assert not caplog.records


async def test_a_thousand_requests_in_a_row_are_answered_in_order() -> None:
    async with listening() as listener:
        client = await listener.client()
        await client.send((sized(b"1") + sized(b"2")) * 500)
        assert [(await client.reply()).body for _ in range(1000)] == [b"1", b"2"] * 500


async def test_an_endless_head_behind_a_request_is_refused_when_its_turn_comes() -> None:
    async with listening() as listener:
        client = await listener.client()
        await client.send(b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n" + SMALL)
        await client.send((b"X: " + b"a" * 1000 + b"\r\n") * 200)
        listener.release.set()
        assert (await client.reply()).body == b"done"
        assert (await client.reply()).code == "headers_too_large"

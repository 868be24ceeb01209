"""What is not an ordinary request: answered with what is wrong about it, never with a 500, never in silence."""

import asyncio
import gzip
import logging

import pytest

from tests.web.listening import GET, HOST, listening, settle

POST = b"POST /echo HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SMALL = b"GET /small HTTP/1.1\r\n" + HOST
BOMB = gzip.compress(bytes(20_000_000), mtime=0)  # the same test in every worker


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
        (CHUNKED + b"zz\r\n1234\r\n0\r\n\r\n", 400, "invalid_request"),
        (POST + b"Content-Length: -4\r\n\r\n1234", 400, "invalid_request"),
        (sized(b"4\r\n1234\r\n0\r\n\r\n", b"Transfer-Encoding: chunked\r\n"), 400, "invalid_request"),
        (b"GET /nowhere HTTP/1.1\r\n" + HOST + b"Expect: miracles\r\n\r\n", 404, "not_found"),
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
        (SMALL + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nab", b"small"),
        (sized(b"1234", b"Expect: miracles\r\n"), b"1234"),
        (sized(BOMB, b"Content-Encoding: gzip\r\n"), BOMB),
        (CHUNKED + b"4\r\n1234\r\n0\r\n\r\n", b"1234"),
        (sized(bytes(131_072)), bytes(131_072)),
    ],
)
async def test_an_unusual_request_is_served_and_the_connection_lives_on(request_: bytes, body: bytes) -> None:
    async with listening() as listener:
        client = await listener.client()
        assert (await client.ask(request_)).body == body
        assert (await client.ask(GET)).body == b"small"


@pytest.mark.parametrize("request_", [b"hello\r\n\r\n", b"GET /" + b"a" * 70_000, b"GET /\xff HTTP/1.1\r\n\r\n"])
async def test_what_is_no_request_is_counted_and_ends_the_connection_as_http_1_1_does(request_: bytes) -> None:
    async with listening() as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(request_)
        async with asyncio.timeout(5):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 4")
        assert b"\r\nConnection: close\r\n" in answer
        status = int(answer.split()[1])
        assert listener.hot.route("unmatched").statuses == {status: 1}
        writer.close()


async def test_several_megabytes_of_a_target_are_read_so_that_their_refusal_is() -> None:
    async with listening() as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        for _ in range(80):
            writer.write(b"GET /" + b"a" * 100_000)
            await writer.drain()
        async with asyncio.timeout(5):
            assert (await reader.read()).startswith(b"HTTP/1.1 414 ")
        assert len(listener.connections) == 1
        await listener.sweep(5)
        assert len(listener.connections) == 0
        writer.close()


@pytest.mark.parametrize("version", [b"2.0", b"0.9", b"1.0"])
async def test_the_status_line_is_in_a_version_that_we_speak(version: bytes) -> None:
    async with listening() as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"GET /small HTTP/" + version + b"\r\n" + HOST + b"Connection: close\r\n\r\n")
        async with asyncio.timeout(5):
            line = await reader.readline()
        assert line.split()[0] == (b"HTTP/1.0" if version == b"1.0" else b"HTTP/1.1")
        writer.transport.abort()


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c", b"TLS/1.0"])
async def test_requests_in_a_row_behind_one_with_an_upgrade_are_answered(protocol: bytes) -> None:
    upgrade = SMALL + b"Connection: upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n"
    for stream in (
        upgrade + GET,
        GET + upgrade + GET + GET,
        upgrade + upgrade + GET,
        upgrade + sized(b"12") + GET,
    ):
        async with listening() as listener:
            client = await listener.client()
            await client.send(stream)
            assert {(await client.reply()).status for _ in range(stream.count(b"HTTP/1.1"))} == {200}
            await client.send(upgrade + GET[:9])
            assert (await client.reply()).body == b"small"
            assert (await client.ask(GET[9:])).body == b"small"


async def test_an_upgrade_with_a_body_whose_end_cannot_be_told_ends_the_connection() -> None:
    upgrade = CHUNKED[:-2] + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    async with listening() as listener:
        client = await listener.client()
        assert (await client.ask(upgrade + GET)).headers["connection"] == "close"
        assert await client.is_closed()


async def test_a_connection_survives_a_body_that_was_too_large() -> None:
    async with listening() as listener:
        client = await listener.client()
        assert (await client.ask(sized(bytes(1_000_000)))).status == 413
        assert (await client.ask(GET)).body == b"small"


async def test_a_client_that_announces_a_body_is_told_to_go_on() -> None:
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


@pytest.mark.parametrize("request_", [GET, sized(b"1"), GET + sized(b"2")])
async def test_requests_in_a_row_that_wait_for_being_parsed_are_no_endless_head(request_: bytes) -> None:
    async with listening() as listener:
        client = await listener.client()
        count = 200_000 // len(request_)
        sending = asyncio.create_task(client.send(request_ * count))
        statuses = [(await client.reply()).status for _ in range(count * request_.count(b"HTTP/1.1"))]
        assert set(statuses) == {200}
        await sending


async def test_an_endless_head_behind_a_request_is_refused_when_its_turn_comes() -> None:
    async with listening() as listener:
        client = await listener.client()
        await client.send(b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n" + SMALL)
        await client.send((b"X: " + b"a" * 1000 + b"\r\n") * 200)
        listener.release.set()
        assert (await client.reply()).body == b"done"
        assert (await client.reply()).code == "headers_too_large"

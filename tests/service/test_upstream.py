"""How an upstream is asked, and what becomes of each kind of answer."""

import asyncio
import gzip
import logging
import tracemalloc
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from aiohttp import ClientConnectionError, web

from sidecar.clock import Instant
from sidecar.demo import faults
from sidecar.errors import NotAskedError, SchemaError, UpstreamError
from sidecar.models import Lane, Parsed
from sidecar.upstream import LARGEST_ANSWER_BYTES
from tests.clock import UNIX_START
from tests.service.asking import Handler, answering, as_it_is, asking

KEY = "sk-live-0123456789abcdef"


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def drop(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"[1, 2")
    assert request.transport is not None
    request.transport.abort()
    return response


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        while True:
            await response.write(b" " * 2**16)
    except ClientConnectionError:
        return response


def unreadable(_: bytes, __: Instant) -> Parsed[bytes]:
    raise SchemaError("a price is not a figure")


# How it is asked


@pytest.mark.parametrize(
    ("base", "target"),
    [
        ("", "/prices?ids=a,b"),
        ("/", "/prices?ids=a,b"),
        ("/paid/endpoint", "/paid/endpoint/prices?ids=a,b"),
        ("/paid/endpoint/", "/paid/endpoint/prices?ids=a,b"),
        ("?token=t0p", "/prices?token=t0p&ids=a,b"),
        ("/v2?token=a%2Fb", "/v2/prices?token=a%2Fb&ids=a,b"),
        ("/a%2Fb", "/a%2Fb/prices?ids=a,b"),
    ],
)
async def test_paths_are_appended_to_the_base_url_and_its_query_is_kept(base: str, target: str) -> None:
    async with asking(answering(), base=base) as asked:
        await asked.get()
        assert [request.target.replace("%2C", ",") for request in asked.received] == [target]


@pytest.mark.parametrize("base", ["/", "/v1/s3cr3t/", "/rpc?api-key=s3cr3t", "/a%2Fb?x=%20y"])
async def test_a_post_goes_exactly_to_the_base_url(base: str) -> None:
    async with asking(answering(body=b"{}"), base=base) as asked:
        await asked.upstream.post({"method": "getHealth"}, as_it_is, Lane.MISS)
        [request] = asked.received
        assert (request.method, request.target, request.body) == ("POST", base, b'{"method":"getHealth"}')
        assert request.headers["Content-Type"] == "application/json"


async def test_the_key_goes_into_its_header() -> None:
    async with asking(answering(), key=KEY) as asked:
        await asked.get()
        assert asked.received[0].headers["x-api-key"] == KEY
        assert asked.received[0].headers["User-Agent"] == "mc-sidecar"


# What becomes of the answer


@pytest.mark.parametrize(
    ("handler", "outcome"),
    [
        (answering(429), "rate_limited"),
        (answering(404), "http_4xx"),
        (answering(403), "http_4xx"),
        (answering(204), "http_4xx"),
        (answering(302, headers={"Location": "/elsewhere"}), "http_4xx"),
        (answering(500), "http_5xx"),
        (answering(503, b"<html>"), "http_5xx"),
        (hang, "timeout"),
        (drop, "connect"),
        (cut, "connect"),
        (endless, "too_large"),
        (answering(body=b" " * (LARGEST_ANSWER_BYTES + 1)), "too_large"),
        (answering(body=b"not gzip", headers={"Content-Encoding": "gzip"}), "connect"),
    ],
)
async def test_each_failure_has_its_outcome_counted_once(handler: Handler, outcome: str) -> None:
    async with asking(handler, timeout_seconds=0.3) as asked:
        with pytest.raises(UpstreamError) as caught:
            await asked.get()
        assert caught.value.outcome == outcome
        assert asked.outcomes() == {outcome: 1}
        assert asked.metric("request_duration_seconds_count") == 1
        assert asked.upstream.last_error == caught.value.detail
        assert not [request for request in asked.received if "elsewhere" in request.target]


async def test_a_good_answer_is_counted_as_ok() -> None:
    async with asking(answering(body=b"[1]")) as asked:
        assert await asked.get() == b"[1]"
        assert asked.outcomes() == {"ok": 1}
        assert (asked.upstream.last_error, asked.upstream.last_success_unix) == (None, UNIX_START)


async def test_an_answer_as_large_as_allowed_is_read() -> None:
    async with asking(answering(body=b" " * LARGEST_ANSWER_BYTES)) as asked:
        assert len(await asked.get()) == LARGEST_ANSWER_BYTES


async def test_a_compressed_answer_is_read() -> None:
    packed = gzip.compress(b"[1, 2]")
    async with asking(answering(body=packed, headers={"Content-Encoding": "gzip"})) as asked:
        assert await asked.get() == b"[1, 2]"


async def test_an_answer_of_another_shape_is_counted_as_schema() -> None:
    async with asking(answering()) as asked:
        with pytest.raises(UpstreamError) as caught:
            await asked.upstream.get("/", {}, unreadable, Lane.MISS)
        assert caught.value.outcome == "schema"
        assert asked.outcomes() == {"schema": 1}


async def test_an_answer_with_some_unreadable_rows_is_used_and_counted_as_schema() -> None:
    async with asking(answering()) as asked:
        parsed = await asked.upstream.get("/", {}, lambda body, _: Parsed(body, unreadable=2), Lane.MISS)
        assert parsed.value == b"[]"
        assert asked.outcomes() == {"schema": 1}
        assert asked.upstream.last_error == "2 rows of an unexpected shape"


async def test_nobody_listening_is_a_failure_to_connect() -> None:
    async with asking(answering()) as asked:
        asked.upstream._base = asked.upstream._base.with_port(1)
        with pytest.raises(UpstreamError) as caught:
            await asked.get()
        assert caught.value.outcome == "connect"


@pytest.mark.parametrize("kind", ["gzip_bomb", "endless"])
async def test_a_body_without_end_takes_little_memory(kind: str) -> None:
    bomb = answering(body=faults._bomb(), headers={"Content-Encoding": "gzip"})
    handler: Handler = bomb if kind == "gzip_bomb" else endless
    async with asking(handler) as asked:
        tracemalloc.start()
        try:
            with pytest.raises(UpstreamError) as caught:
                await asked.get()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert caught.value.outcome == "too_large"
        assert peak < 5 * LARGEST_ANSWER_BYTES


# Budget and circuit


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "40"}, 40),
        ({"Retry-After": format_datetime(datetime.fromtimestamp(UNIX_START + 50, UTC), usegmt=True)}, 50),
        ({"Retry-After": "999999999"}, 300),
        ({"Retry-After": "9" * 400}, 300),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(UNIX_START) + 30)}, 30),
    ],
)
async def test_after_a_429_nothing_is_asked_for_as_long_as_the_upstream_says(
    headers: Mapping[str, str], seconds: float
) -> None:
    async with asking(answering(429, headers=headers)) as asked:
        with pytest.raises(UpstreamError):
            await asked.get()
        assert asked.upstream.retry_in(Lane.MISS) == pytest.approx(seconds, abs=1)
        with pytest.raises(NotAskedError) as refused:
            await asked.get()
        assert refused.value.reason == "budget"
        assert refused.value.retry_after == pytest.approx(seconds, abs=1)
        asked.clock.advance(seconds + 1)
        with pytest.raises(UpstreamError):
            await asked.get()
        assert (len(asked.received), asked.outcomes()) == (2, {"rate_limited": 2})
        assert asked.metric("circuit_open") == 0


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0"}, {"Retry-After": "-1"}, {"Retry-After": "soon"}])
async def test_a_429_that_does_not_say_for_how_long_doubles_the_pause(
    headers: Mapping[str, str],
) -> None:
    async with asking(answering(429, headers=headers)) as asked:
        for pause in (2, 4, 8, 16, 32, 60, 60):
            with pytest.raises(UpstreamError):
                await asked.get()
            wait = asked.upstream.retry_in(Lane.MISS)
            assert pause <= wait <= pause * 1.25
            asked.clock.advance(wait)
        assert asked.outcomes() == {"rate_limited": 7}


async def test_background_work_waits_for_its_turn_and_says_for_how_long() -> None:
    async with asking(answering(), rpm=6) as asked:
        await asked.get()
        waiting = asyncio.create_task(asked.get(Lane.POPULAR))
        await asyncio.sleep(0)
        asked.clock.advance(10.2)
        await waiting
        assert asked.metric("budget_wait_seconds_total") == pytest.approx(10.2)


async def test_three_failures_open_the_circuit_and_a_good_probe_closes_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    status = 500

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=b"[]")

    async with asking(handle) as asked:
        with caplog.at_level(logging.INFO):
            for _ in range(3):
                with pytest.raises(UpstreamError):
                    await asked.get()
            assert asked.metric("circuit_open") == 1
            with pytest.raises(NotAskedError) as refused:
                await asked.get()
            assert (refused.value.reason, len(asked.received)) == ("circuit", 3)
            asked.clock.advance(10)
            with pytest.raises(UpstreamError):
                await asked.get()
            assert 19 <= asked.upstream.retry_in(Lane.MISS) <= 20
            status = 200
            asked.clock.advance(20)
            await asked.get()
        assert (asked.metric("circuit_open"), asked.outcomes()) == (0, {"http_5xx": 4, "ok": 1})
        assert [record.message for record in caplog.records] == [
            "upstream failing",
            "circuit changed",
            "circuit changed",
            "upstream recovered",
        ]


async def test_while_the_probe_is_under_way_nobody_else_asks() -> None:
    gate = asyncio.Event()
    gate.set()

    async def handle(_: web.Request) -> web.StreamResponse:
        await gate.wait()
        return web.Response(status=500)

    async with asking(handle) as asked:
        for _ in range(3):
            with pytest.raises(UpstreamError):
                await asked.get()
        asked.clock.advance(10)
        gate.clear()
        probe = asyncio.create_task(asked.get())
        while len(asked.received) < 4:  # noqa: ASYNC110 - the server has no event of ours
            await asyncio.sleep(0)
        with pytest.raises(NotAskedError):
            await asked.get()
        gate.set()
        with pytest.raises(UpstreamError):
            await probe
        assert len(asked.received) == 4


# Secrets


@pytest.mark.parametrize("handler", [answering(500), answering(302), drop, cut, hang, answering(429)])
async def test_no_error_holds_a_key(handler: Handler, caplog: pytest.LogCaptureFixture) -> None:
    base = "/v1/p4th-s3cr3t-0123456789?api-key=qu3ry-s3cr3t"
    async with asking(handler, base=base, key=KEY, timeout_seconds=0.2) as asked:
        with caplog.at_level(logging.DEBUG), pytest.raises(UpstreamError) as caught:
            await asked.get()
        said = f"{caught.value!s} {caught.value!r} {asked.upstream.last_error} {caplog.text}"
        assert not [secret for secret in (KEY, "p4th-s3cr3t", "qu3ry-s3cr3t") if secret in said]


async def test_a_server_that_repeats_the_url_in_a_broken_answer_reveals_nothing() -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(f"HTTP/1.1 200 {request.raw_path}\r\nbroken header {KEY}\r\n\r\n".encode())
        request.transport.close()
        return web.Response()

    base = "/v1/p4th-s3cr3t-0123456789?api-key=qu3ry-s3cr3t"
    async with asking(echo, base=base, key=KEY) as asked:
        with pytest.raises(UpstreamError) as caught:
            await asked.get()
        assert caught.value.outcome == "connect"
        assert not [secret for secret in (KEY, "p4th-s3cr3t", "qu3ry-s3cr3t") if secret in str(caught.value)]

"""How an upstream is asked, and what becomes of each kind of answer."""

import asyncio
import gzip
import logging
import tracemalloc

import pytest
from aiohttp import ClientConnectionError, web

from sidecar.demo import faults
from sidecar.errors import SchemaError, UpstreamError
from sidecar.models import Parsed, Priority
from sidecar.runtime.clock import Instant
from sidecar.upstreams.exchange import LARGEST_ANSWER_BYTES
from tests.clock import UNIX_START
from tests.upstreams.asking import Handler, answering, as_it_is, asking

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
        await asked.upstream.post({"method": "getHealth"}, as_it_is, Priority.MISS)
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
async def test_each_call_that_fails_has_its_outcome_counted_once(handler: Handler, outcome: str) -> None:
    async with asking(handler, timeout_seconds=0.3) as asked:
        with pytest.raises(UpstreamError) as caught:
            await asked.get()
        assert caught.value.outcome == outcome
        assert asked.outcomes() == {outcome: len(asked.received)}
        assert asked.metric("request_duration_seconds_count") == 1
        assert asked.upstream.outcomes.last_error == caught.value.detail
        assert not [request for request in asked.received if "elsewhere" in request.target]


async def test_a_good_answer_is_counted_as_ok() -> None:
    async with asking(answering(body=b"[1]")) as asked:
        assert await asked.get() == b"[1]"
        assert asked.outcomes() == {"ok": 1}
        outcomes = asked.upstream.outcomes
        assert (outcomes.last_error, outcomes.last_success_unix) == (None, UNIX_START)


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
            await asked.upstream.get("/", {}, unreadable, Priority.MISS)
        assert caught.value.outcome == "schema"
        assert asked.outcomes() == {"schema": 1}


async def test_an_answer_with_some_unreadable_rows_is_used_and_counted_as_schema() -> None:
    async with asking(answering()) as asked:
        parsed = await asked.upstream.get("/", {}, lambda body, _: Parsed(body, unreadable=2), Priority.MISS)
        assert parsed.value == b"[]"
        assert asked.outcomes() == {"schema": 1}
        assert asked.upstream.outcomes.last_error == "2 rows of an unexpected shape"


async def test_no_listener_is_a_failure_to_connect() -> None:
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


async def test_a_call_repeated_because_its_connection_was_lost_counts_twice_and_a_probe_is_not_repeated() -> None:
    async with asking(drop, rpm=600) as asked:
        for calls in (2, 4, 6):
            with pytest.raises(UpstreamError):
                await asked.get()
            assert (len(asked.received), len(asked.upstream.budget._begun)) == (calls, calls)
        asked.clock.advance(10)
        with pytest.raises(UpstreamError):
            await asked.get()
        assert (len(asked.received), asked.outcomes()) == (7, {"connect": 7})


async def test_a_lost_connection_is_not_tried_again_beyond_the_budget() -> None:
    async with asking(drop, rpm=6) as asked:
        with pytest.raises(UpstreamError):
            await asked.get()
        assert (len(asked.received), asked.outcomes()) == (1, {"connect": 1})


# Secrets


@pytest.mark.parametrize("handler", [answering(500), answering(302), drop, cut, hang, answering(429)])
async def test_no_error_holds_a_key(handler: Handler, caplog: pytest.LogCaptureFixture) -> None:
    base = "/v1/p4th-s3cr3t-0123456789?api-key=qu3ry-s3cr3t"
    async with asking(handler, base=base, key=KEY, timeout_seconds=0.2) as asked:
        with caplog.at_level(logging.DEBUG), pytest.raises(UpstreamError) as caught:
            await asked.get()
        said = f"{caught.value!s} {caught.value!r} {asked.upstream.outcomes.last_error} {caplog.text}"
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

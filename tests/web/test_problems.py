import asyncio
import gzip
import logging
import zlib
from urllib.parse import urlsplit

import pytest

from sidecar.config.settings import Settings
from sidecar.demo import Fault
from tests.web.contract import Answer
from tests.web.serving import JUP, SOL, Site, serving, until, with_api


def problem(answer: Answer) -> tuple[int, str, str]:
    """Return status, code and title of an answer that is a problem in every respect."""
    body = answer.json
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert body["type"] == f"urn:mc-sidecar:problem:{body['code']}"
    assert body["status"] == answer.status
    assert set(body) - {"mint"} == {"type", "title", "status", "detail", "code"}
    return answer.status, body["code"], body["title"]


async def test_unknown_routes_are_not_found(site: Site) -> None:
    for target in ("/", "/mc/", "//mc", f"/mc/{SOL}/", f"/mc/{SOL}/x", "/MC", "/metrics", "/livez", "/status"):
        assert problem(await site.get(target)) == (404, "not_found", "No such route"), target


@pytest.mark.parametrize(
    ("target", "allow"),
    [("/mc", "GET,HEAD,POST"), (f"/mc/{SOL}", "GET,HEAD"), ("/stats", "GET,HEAD"), ("/openapi.json", "GET,HEAD")],
)
async def test_other_methods_are_refused_with_those_that_are_allowed(site: Site, target: str, allow: str) -> None:
    for method in {"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - set(allow.split(",")):
        answer = await site.ask(method, target)
        assert problem(answer) == (405, "method_not_allowed", "Method not allowed")
        assert (answer.headers["Allow"], answer.json["detail"]) == (allow, f"this route takes {allow}")


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", None]
)
async def test_post_takes_json_alone(site: Site, media_type: str | None) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}
    answer = await site.ask("POST", "/mc", data=b'{"mints": []}', headers=headers)
    assert problem(answer) == (415, "unsupported_media_type", "Unsupported media type")


async def test_json_may_name_its_charset_and_hold_fields_of_a_later_version(site: Site) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    answer = await site.ask("POST", "/mc", data=b'{"later": 1, "mints": ["x"]}', headers=headers)
    assert list(answer.json["errors"]) == ["x"]


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b"{}", b'{"mints": "a"}', b'{"mints": null}', b'{"mints": [1]}'),
        *(b'{"mints": ["\xff"]}', b'{"mints": ["\\ud800"]}', b'{"mints": []} x', b'{"mints":' + b"[" * 50_000),
    ],
)
async def test_a_body_of_another_shape_is_an_invalid_request(site: Site, body: bytes) -> None:
    answer = await site.ask("POST", "/mc", data=body, headers={"Content-Type": "application/json"})
    assert problem(answer) == (400, "invalid_request", "Invalid request")


async def test_a_body_may_have_128_kib_also_when_unpacked(site: Site) -> None:
    for size, more in ((131_072, {}), (131_073, {}), (131_073, {"compress": "deflate"})):
        body = b'{"mints": []}'.ljust(size)
        answer = await site.ask("POST", "/mc", data=body, headers={"Content-Type": "application/json"}, **more)
        if size == 131_072:
            assert answer.status == 200
        else:
            assert problem(answer) == (413, "payload_too_large", "Request body too large")


@pytest.mark.parametrize("coding", ["br", "zstd", "bogus", "gzip, gzip"])
async def test_a_body_in_a_coding_that_we_do_not_read_is_an_unsupported_media_type(
    site: Site, coding: str
) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    answer = await site.ask("POST", "/mc", data=b'{"mints": []}', headers=headers)
    assert problem(answer) == (415, "unsupported_media_type", "Unsupported media type")


async def test_a_body_may_come_in_gzip_deflate_or_as_it_is(site: Site) -> None:
    body = b'{"mints": []}'
    for coding, sent in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body)), ("Identity", body)):
        headers = {"Content-Type": "application/json", "Content-Encoding": coding}
        assert (await site.ask("POST", "/mc", data=sent, headers=headers)).status == 200
        if coding != "Identity":
            for wrong in (body, sent[:-3]):
                assert (await site.ask("POST", "/mc", data=wrong, headers=headers)).status == 400


async def test_an_expectation_of_an_unknown_route_does_not_hide_that_it_is_unknown(site: Site) -> None:
    answer = await raw(
        site, b"GET /nope HTTP/1.1\r\nHost: localhost\r\nExpect: miracles\r\nConnection: close\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 404 ")


async def test_a_limit_beside_mints_has_to_be_a_good_one(site: Site) -> None:
    for limit, status in (("abc", 400), ("0", 400), ("1001", 400), ("", 400), ("5", 200)):
        assert (await site.get(f"/mc?mints={SOL}&limit={limit}")).status == status, limit


async def test_too_many_batches_at_once_are_refused_and_those_under_way_are_answered(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.web.batch_limit.MOST_MINTS_UNDER_WAY", 1500)
    mint, lookups = site.unpopular(), site.sidecar.service.lookups
    for source in ("jupiter", "dexscreener", "geckoterminal"):
        site.rig.market.faults[source] = Fault(kind="hang")
    waiting = asyncio.create_task(site.post([mint] * 501))
    await until(lambda: site.sidecar.service.engine.misses._waiting)

    refused = await site.post([SOL])
    small = await site.get(f"/mc?mints={SOL}")
    await site.rig.run_for(lookups._deadline_seconds)

    assert problem(refused) == (429, "overloaded", "Overloaded")
    assert refused.headers["Retry-After"] == "1"
    assert list(small.json["tokens"]) == [SOL]
    assert (await waiting).json["errors"][mint]["code"] == "deadline_exceeded"
    assert (await site.post([SOL])).status == 200


async def test_a_batch_under_way_counts_as_many_mints_as_it_has(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.web.batch_limit.MOST_MINTS_UNDER_WAY", 1500)
    mint = site.unpopular()
    for source in ("jupiter", "dexscreener", "geckoterminal"):
        site.rig.market.faults[source] = Fault(kind="hang")
    waiting = [asyncio.create_task(site.post([mint])) for _ in range(2)]
    await until(lambda: site.sidecar.service.engine.misses._waiting)

    assert (await site.post([SOL])).status == 200
    await site.rig.run_for(site.sidecar.service.lookups._deadline_seconds)
    assert [(await one).status for one in waiting] == [200, 200]


async def test_a_target_may_have_8_kib(site: Site) -> None:
    longest = "/mc?limit=1&x=".ljust(8192, "x")

    assert (await site.get(longest)).status == 200
    assert problem(await site.get(longest + "x")) == (414, "uri_too_long", "Request target too long")


async def test_headers_may_have_16_kib(site: Site) -> None:
    assert (await site.get("/mc", headers={"X": "x" * 16_000})).status == 200
    answer = await site.get("/mc", headers={"X": "x" * 16_384})
    assert problem(answer) == (431, "headers_too_large", "Request headers too large")


async def test_upstreams_that_fail_are_unavailable_with_a_time_to_ask_again() -> None:
    async with serving(prepare=id) as site:
        mint = site.unpopular()
        site.switch_off("jupiter", "dexscreener", "geckoterminal")
        answer = await site.wait_for(site.get(f"/mc/{mint}"))

    assert problem(answer) == (503, "upstream_unavailable", "Upstream unavailable")
    assert (answer.json["mint"], int(answer.headers["Retry-After"]) >= 1) == (mint, True)
    assert "jupiter" in answer.json["detail"]


async def test_a_bug_is_an_internal_error_that_tells_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down() -> None:
        raise KeyError("the inside")

    monkeypatch.setattr(site.sidecar.service, "get_stats", break_down)
    with caplog.at_level(logging.ERROR, "sidecar.web.middleware"):
        answer = await site.get("/stats")

    assert problem(answer) == (500, "internal", "Internal error")
    assert "the inside" not in answer.body.decode()
    assert [record.message for record in caplog.records] == ["a request failed"]


async def raw(site: Site, request: bytes, *, cut: bool = False) -> bytes:
    """Send bytes, perhaps close, and return everything that comes back."""
    port = urlsplit(site.sidecar.api_addresses[0]).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        if cut:
            writer.close()
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()


def post(body: bytes, *headers: bytes) -> bytes:
    lines = (b"POST /mc HTTP/1.1", b"Host: localhost", b"Connection: close", b"Content-Type: application/json")
    return b"\r\n".join((*lines, b"Content-Length: %d" % len(body), *headers, b"", body))


async def test_a_body_that_cannot_be_unpacked_is_an_invalid_request(site: Site) -> None:
    answer = await raw(site, post(b"this is no gzip", b"Content-Encoding: gzip"))

    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"code":"invalid_request"' in answer


async def test_a_client_that_leaves_in_the_middle_is_no_bug(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    await raw(site, post(b'{"mints": []}')[:-5], cut=True)
    await site.rig.settle()

    assert site.rig.service.metrics.hot.routes["/mc"].statuses == {200: 0}
    assert caplog.records == []


@pytest.mark.parametrize(("expectation", "encouraged"), [(b"100-continue", True), (b"miracles", False)])
async def test_an_expectation_is_met_or_ignored(site: Site, expectation: bytes, *, encouraged: bool) -> None:
    answer = await raw(site, post(b'{"mints": []}', b"Expect: " + expectation))

    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200" if encouraged else b"HTTP/1.1 200")


async def test_a_unix_socket_speaks_the_same_contract(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("s") / "api.sock"
    settings: Settings = with_api(unix_socket=str(path))
    async with serving(settings) as site:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(f"GET /mc/{JUP} HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()

        assert site.sidecar.api_addresses == [f"unix:{path}"]
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"Cache-Status: mc-sidecar; hit" in answer

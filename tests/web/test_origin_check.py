import asyncio

import pytest
from yarl import URL

from tests.web.serving import SOL, Site, serving, with_api


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost:1", "127.0.0.1", "127.0.0.1:8765", "127.255.3.4:80"),
        *("[::1]", "[::1]:8765", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:127.9.9.9]:80"),
        *("localhost.", "localhost.:8765", "127.0.0.1.", "127.0.0.1.:80"),
    ],
)
async def test_a_loopback_host_may_ask(site: Site, host: str) -> None:
    assert (await site.get(f"/mc/{SOL}", headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "localhost.evil.example", "evil.example:8765", "127.0.0.1.evil.example", "10.0.0.1"),
        *(
            "[::ffff:10.0.0.1]",
            "evil.example.",
            "localhost..",
            ".",
            "[::2]",
            "[fe80::1]:8765",
            "1.0.0.127",
            "localhost:evil",
            "localhost@evil.example",
            "",
            "2130706433",
        ),
    ],
)
async def test_any_other_host_is_forbidden(site: Site, host: str) -> None:
    for target in (f"/mc/{SOL}", "/mc", "/stats", "/openapi.json", "/nowhere"):
        answer = await site.get(target, headers={"Host": host})
        assert (answer.status, answer.json["code"]) == (403, "forbidden")
        assert "the header Host" in answer.json["detail"]


async def test_allowed_hosts_are_allowed_with_any_port_and_in_any_case() -> None:
    async with serving(with_api(allowed_hosts=("sidecar.internal:80", "FD00::1"))) as site:
        for host, status in (
            *(("sidecar.internal", 200), ("Sidecar.Internal:99", 200), ("localhost", 200)),
            *(("x.sidecar.internal", 403), ("sidecar.internal.evil.example", 403)),
            *(("[fd00::1]:8765", 200), ("[fd00::2]:8765", 403), ("[::1]evil", 403)),
        ):
            assert (await site.get(f"/mc/{SOL}", headers={"Host": host})).status == status, host


@pytest.mark.parametrize(
    ("header", "value"),
    [
        *(("Origin", "http://evil.example"), ("origin", "null"), ("Origin", "http://localhost:8765")),
        *(("Forwarded", "for=1.2.3.4"), ("X-Forwarded-For", "127.0.0.1"), ("x-forwarded-host", "localhost")),
        *(("X-Forwarded-Proto", "https"), ("X-FORWARDED-ANYTHING", "")),
    ],
)
async def test_what_a_browser_or_a_proxy_sends_along_is_forbidden(site: Site, header: str, value: str) -> None:
    for method, target in (("GET", f"/mc/{SOL}"), ("HEAD", "/mc"), ("POST", "/mc"), ("DELETE", "/mc")):
        more = {"json": {"mints": [SOL]}} if method == "POST" else {}
        answer = await site._ask(site.sidecar.api_addresses[0], method, target, headers={header: value}, **more)
        assert answer.status == 403
        assert method == "HEAD" or f"the header {header.lower()} " in answer.json["detail"].lower()


async def test_similar_headers_are_none_of_those(site: Site) -> None:
    headers = {"X-Forwarded": "x", "X-Original-Host": "evil.example", "Referer": "http://evil.example"}
    assert (await site.get(f"/mc/{SOL}", headers=headers)).status == 200


async def test_a_forbidden_request_counts_no_lookup(site: Site) -> None:
    await site.get(f"/mc/{SOL}", headers={"Host": "evil.example"})
    assert not any(site.sidecar.service.metrics.hot.lookups.values())


async def test_the_authority_of_an_absolute_target_beats_the_host(site: Site) -> None:
    for authority, status in (("evil.example", 403), ("localhost:8765", 200), ("localhost@evil.example", 403)):
        target = f"http://{authority}/mc/{SOL}"
        assert await raw_status(site, f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n") == status, target


async def raw_status(site: Site, request: str) -> int:
    """Send a request as it is and return the status of the answer."""
    address = URL(site.sidecar.api_addresses[0])
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(request.encode())
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])

"""A scrape is what the library would write, and holds no request up (`/metrics`)."""

import asyncio
import gzip
import io
from collections.abc import Iterator
from typing import Self

import pytest
from prometheus_client.exposition import choose_encoder

from sidecar.metrics.hot import LABELS_A_TURN
from tests.web.serving import Site

TEXT = "text/plain"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
OF_THE_SCRAPE_ITSELF = (b"process_", b"python_gc_", b'mc_sidecar_http_requests_total{route="/metrics"')


def lasting(body: bytes) -> list[bytes]:
    """Return the lines that do not change with the scrape."""
    lines = body.splitlines()
    return [line for line in lines if not line.startswith((*OF_THE_SCRAPE_ITSELF, b"mc_sidecar_http_request_dur"))]


@pytest.mark.parametrize("accept", [TEXT, OPENMETRICS])
async def test_it_is_what_the_library_writes_in_one_go(site: Site, accept: str) -> None:
    encode, content_type = choose_encoder(accept)
    answer = await site.ops("/metrics", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == content_type
    assert lasting(answer.body) == lasting(encode(site.sidecar.service.registry))
    assert answer.body.count(b"# EOF") == (accept == OPENMETRICS)


@pytest.mark.parametrize(("accept", "nothing"), [(TEXT, b""), (OPENMETRICS, b"# EOF\n")])
async def test_of_a_name_that_is_none_there_is_nothing(site: Site, accept: str, nothing: bytes) -> None:
    answer = await site.ops("/metrics?name[]=nonsense", headers={"Accept": accept})
    assert (answer.status, answer.body) == (200, nothing)


async def test_it_is_compressed_for_those_who_accept_that(site: Site) -> None:
    host, port = site.sidecar.ops_addresses[0].removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert b"content-encoding: gzip" in head.lower()
    assert b"mc_sidecar_build_info" in gzip.GzipFile(fileobj=io.BytesIO(body)).read()


class Turns:
    """Counts the turns of the event loop."""

    def __init__(self) -> None:
        self.count = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(0)
            self.count += 1


async def test_others_have_their_turn_after_each_family(site: Site) -> None:
    families = len(list(site.sidecar.service.registry.collect()))
    async with Turns() as turns:
        await site.ops("/metrics")
    assert turns.count > families


async def test_others_have_their_turn_while_look_ups_are_folded_and_confidences_counted(site: Site) -> None:
    metrics = site.sidecar.service.metrics
    seen: list[int] = []

    def fold() -> Iterator[None]:
        for _ in range(10):
            seen.append(turns.count)
            yield

    def labels() -> Iterator[str]:
        for _ in range(10):
            seen.append(turns.count)
            yield from ["high"] * LABELS_A_TURN

    metrics.hot.before_reading("test", fold)
    metrics.tokens_by_confidence.labels_seen = labels
    async with Turns() as turns:
        await site.ops("/metrics")
    assert len(set(seen[:10])) == 10
    assert len(set(seen[10:20])) == 10

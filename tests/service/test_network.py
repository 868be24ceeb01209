"""The network below HTTP."""

import asyncio
import socket
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from yarl import URL

from sidecar.demo.tokens import SOURCES
from sidecar.errors import UpstreamUnavailableError
from tests.faults.warm import QUIET, recovers, run_warm, stand_still
from tests.running import Rig, running
from tests.service.tokens import PRICED, plain_tokens

PRICE_SOURCES = SOURCES[:3]


@pytest.fixture(autouse=True)
def _no_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let names end at once: a resolver that cannot be reached takes its time to say so, and ours is real time."""
    resolve: Any = socket.getaddrinfo

    def look_up(host: str, *more: Any, **options: Any) -> Any:
        if str(host).endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def point_at(rig: Rig, sources: Iterable[str], url: str) -> dict[str, URL]:
    """Let sources be somewhere else; return where they were."""
    upstreams = rig.service.engine.upstreams
    before = {source: upstreams[source]._base for source in sources}
    for source in before:
        upstreams[source]._base = URL(url)
    return before


def put_back(rig: Rig, before: Mapping[str, URL]) -> None:
    for source, base in before.items():
        rig.service.engine.upstreams[source]._base = base


async def test_a_name_that_does_not_resolve_is_a_failure_to_connect_and_passes() -> None:
    async with running(QUIET, prepare=stand_still) as rig:
        await rig.run_for(65)
        before = point_at(rig, SOURCES, "http://nowhere.invalid")
        await run_warm(rig, 180)
        cold = await rig.outcome(plain_tokens(rig.market, 1)[0])
        assert isinstance(cold, UpstreamUnavailableError)
        for source in PRICE_SOURCES:
            assert rig.metric("upstream_requests_total", source=source, outcome="connect") >= 3
            assert "nowhere.invalid" in str(rig.service.engine.upstreams[source].outcomes.last_error)
        put_back(rig, before)
        await recovers(rig)


@pytest.mark.parametrize("lost", PRICE_SOURCES)
async def test_one_name_that_does_not_resolve_leaves_the_others_to_answer(lost: str) -> None:
    async with running(QUIET, prepare=stand_still) as rig:
        await rig.run_for(65)
        point_at(rig, [lost], "http://nowhere.invalid")
        cap = await rig.finish(rig.service.get(plain_tokens(rig.market, 1)[0]))
        assert cap.source != lost
        await run_warm(rig, 120)
        assert max(map(rig.age, PRICED)) <= 60


async def test_a_server_that_accepts_and_closes_or_speaks_something_else_is_a_failure() -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n" * accepted.count(True))
        accepted.append(True)
        writer.close()

    accepted: list[bool] = []
    server = await asyncio.start_server(speak, "127.0.0.1", 0, family=socket.AF_INET)
    port = server.sockets[0].getsockname()[1]
    async with server, running(QUIET, prepare=stand_still) as rig:
        await rig.run_for(65)
        before = point_at(rig, SOURCES, f"http://127.0.0.1:{port}")
        await run_warm(rig, 180)
        assert accepted
        for source in PRICE_SOURCES:
            assert rig.metric("upstream_requests_total", source=source, outcome="connect") >= 3
        put_back(rig, before)
        await recovers(rig)

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest

from sidecar.cache.cache import Entry
from sidecar.client.events import EventParser, RawEvent
from sidecar.config.source_settings import KeyedSourceSettings, SourcesSettings
from sidecar.models import Mint
from sidecar.web.board import Viewer
from tests.web.serving import JUP, SETTINGS, SOL, STSOL, TIMEOUT_SECONDS, Site, serving


class Seen:
    """An open `/status/stream`."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self._parser = EventParser()
        self._events: list[RawEvent] = []

    async def next(self, name: str) -> Any:
        """Return what the next event of this name says, which comes without any time passing."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not self._events:
                data = await self.answer.content.readany()
                assert data, "the stream has ended"
                self._events += [event for event in self._parser.feed(data) if event.data]
        event = self._events.pop(0)
        assert event.name == name
        return json.loads(event.data)


@asynccontextmanager
async def seeing(site: Site) -> AsyncIterator[Seen]:
    async with site.session.get(site.sidecar.ops_addresses[0] + "/status/stream") as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
        yield Seen(answer)


def publish(site: Site, mint: str, **changes: Any) -> None:
    engine = site.sidecar.service.engine
    entry = engine.cache.peek(Mint(mint))
    assert entry is not None
    engine.publisher.publish(
        Entry(msgspec.structs.replace(entry.cap, **changes), entry.received, entry.explanation)
    )


async def test_it_begins_with_everything(site: Site) -> None:
    async with seeing(site) as seen:
        everything = await seen.next("status")

    cap, tokens = site.rig.cap(JUP), everything["tokens"]
    assert cap is not None
    assert tokens.keys() == site.sidecar.service.engine.tracker.mints
    assert tokens[JUP]["market_cap_usd"] == cap.market_cap_usd
    assert (tokens[JUP]["tier"], tokens[JUP]["requests"], tokens[JUP]["interval_seconds"]) == ("popular", 0, 60.0)
    assert tokens[STSOL]["market_cap_usd"] is None
    assert tokens[STSOL]["reason"] == site.sidecar.service.engine.cache.unpriced_reason(Mint(STSOL))
    assert everything["sources"].keys() == {"jupiter", "dexscreener", "geckoterminal", "solana_rpc"}
    assert {"popular", "tracked"} <= everything["loops"].keys()
    assert everything["history"]["series"]["hit_ratio"] == [None]


async def test_then_it_says_only_what_has_changed_at_most_once_a_second(site: Site) -> None:
    async with seeing(site) as seen:
        await seen.next("status")
        publish(site, JUP, price_usd=1.0)
        publish(site, JUP, price_usd=7.0)
        await site.rig.run_for(1)
        change = await seen.next("change")

    assert change.keys() <= {"now", "tokens", "loops"}
    assert change["tokens"] == {JUP: {"price_usd": 7.0}}


async def test_a_token_that_is_tracked_no_more_is_null(site: Site) -> None:
    tracker = site.sidecar.service.engine.tracker
    async with seeing(site) as seen:
        await seen.next("status")
        tracker.set_popular([mint for mint in tracker.popular if mint != JUP])
        tracker.set_trending([])
        await site.rig.run_for(1)
        change = await seen.next("change")

    assert change["tokens"][JUP] is None


async def test_requests_are_counted_anew_every_five_seconds(site: Site) -> None:
    async with seeing(site) as seen:
        await seen.next("status")
        await site.get(f"/mc/{SOL}")
        changes: list[dict[str, Any]] = []
        for _ in range(5):
            await site.rig.run_for(1)
        while not (changes and SOL in changes[-1].get("tokens", {})):
            changes.append(await seen.next("change"))

    assert changes[-1]["tokens"][SOL]["requests"] == 1


async def test_the_history_is_of_the_last_ten_minutes(site: Site) -> None:
    for _ in range(13):
        for _ in range(10):
            await site.get(f"/mc/{SOL}")
        await site.rig.run_for(5)
    async with seeing(site) as seen:
        series = (await seen.next("status"))["history"]["series"]

    assert series["hit_ratio"][0] is None
    assert set(series["hit_ratio"][1:]) == {1.0}
    assert series["lookups_per_second"][-1] == 2.0
    assert {len(values) for values in series.values()} == {14}
    assert 0 <= series["served_age_seconds"][-1] < 65
    assert series["upstream_calls_per_hour"][-1] > 0


async def test_one_client_too_many_is_overloaded_and_they_use_up_no_connections(site: Site) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(16):
            await stack.enter_async_context(seeing(site))
        refused = await site.ops("/status/stream")

    assert (refused.status, refused.json["code"]) == (429, "overloaded")


async def test_a_slow_client_is_shown_the_whole_again() -> None:
    viewer = Viewer()
    viewer.lags = False
    viewer.show(b"one")
    assert (viewer.text, viewer.lags) == (b"one", False)
    viewer.show(b"two")
    assert viewer.lags


async def test_it_ends_at_shutdown() -> None:
    stack = AsyncExitStack()
    site = await stack.enter_async_context(serving())
    async with seeing(site) as seen:
        await seen.next("status")
        stopping = asyncio.create_task(stack.aclose())
        rest = await seen.answer.content.read()
    await stopping

    assert b"event: status" not in rest


async def test_status_holds_the_tracked_tokens_and_the_settings(site: Site) -> None:
    status = (await site.ops("/status")).json

    assert status["tokens"].keys() == site.sidecar.service.engine.tracker.mints
    assert status["settings"]["tracking"]["max_tokens"] == 100


async def test_a_token_is_explained_out_of_memory_and_counts_as_no_look_up(site: Site) -> None:
    answer = await site.ops(f"/status/tokens/{JUP}")
    unpriced = await site.ops(f"/status/tokens/{STSOL}")
    unknown, bad = await site.ops(f"/status/tokens/{site.unpopular()}"), await site.ops("/status/tokens/x")

    assert answer.json["mint"] == JUP
    assert [quote["source"] for quote in answer.json["quotes"] if quote["taken"]] == ["jupiter"]
    assert (unpriced.status, unpriced.json["market_cap_usd"]) == (200, None)
    assert unpriced.json["reason"] == site.sidecar.service.engine.cache.unpriced_reason(Mint(STSOL))
    assert {"quotes", "supplies"} <= unpriced.json.keys()
    assert (unknown.status, unknown.json["code"]) == (404, "not_priced")
    assert (bad.status, bad.json["code"]) == (400, "invalid_mint")
    assert site.sidecar.service.get_stats()["total_requests"] == 0


@pytest.mark.parametrize("path", ["/", "/status/stream"])
async def test_head_opens_nothing(site: Site, path: str) -> None:
    answer = await site.ops(path, "HEAD")

    assert (answer.status, answer.body) == (200, b"")


async def test_nothing_shown_is_secret() -> None:
    sources = SourcesSettings(
        jupiter=KeyedSourceSettings(base_url="https://api.jup.ag", api_key="s3cr3t-0123456789")
    )
    async with serving(msgspec.structs.replace(SETTINGS, sources=sources)) as site:
        bodies = [(await site.ops(path)).body for path in ("/", "/status")]
        async with seeing(site) as seen:
            bodies.append(json.dumps(await seen.next("status")).encode())

    assert not any(b"s3cr3t" in body for body in bodies)

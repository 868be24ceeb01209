"""What a client that follows tokens is told."""

import asyncio
from typing import Any

import msgspec

from sidecar.config.settings import CacheSettings
from sidecar.errors import DeadlineExceededError
from sidecar.models import Mint
from sidecar.web.streams import Streams
from tests.web.following import following, publish
from tests.web.serving import BONK, JUP, SETTINGS, SOL, STSOL, Site, serving, until


async def test_it_begins_with_a_snapshot_and_goes_on_with_each_change(site: Site) -> None:
    async with following(site, f"mints={SOL},{JUP},bad,{STSOL}") as follower:
        snapshot = await follower.next("snapshot")
        publish(site, BONK, 1.0)
        publish(site, JUP, 7.0)
        token = await follower.next("token")

    assert snapshot["tokens"].keys() == {SOL, JUP}
    assert {mint: error["code"] for mint, error in snapshot["errors"].items()} == {
        "bad": "invalid_mint",
        STSOL: "not_priced",
    }
    assert follower.answer.headers["Content-Type"] == "text/event-stream"
    assert follower.answer.headers["Cache-Control"] == "no-store"
    assert (token["mint"], token["price_usd"]) == (JUP, 7.0)


async def test_a_token_is_the_one_that_a_look_up_gives(site: Site) -> None:
    async with following(site, f"mints={JUP}") as follower:
        await follower.next("snapshot")
        site.rig.clock.advance(3.5)
        publish(site, JUP, 7.0)

        assert await follower.next("token") == (await site.get(f"/mc/{JUP}")).json


async def test_a_refresh_reaches_those_who_follow(site: Site) -> None:
    async with following(site, f"mints={SOL}") as follower:
        before = (await follower.next("snapshot"))["tokens"][SOL]
        await site.rig.next_refresh()

        assert (await follower.next("token"))["timestamp"] > before["timestamp"] + 50


async def test_a_mint_that_is_not_in_memory_is_fetched_for_the_snapshot(site: Site) -> None:
    mint = site.unpopular()
    lookups = dict(site.sidecar.service.metrics.hot.lookups)

    async def first() -> Any:
        async with following(site, f"mints={mint}") as follower:
            return await follower.next("snapshot")

    assert (await site.rig.finish(first(), 5))["tokens"].keys() == {mint}
    assert site.sidecar.service.metrics.hot.lookups == lookups


async def test_a_mint_that_gets_its_price_while_another_is_fetched_is_no_error(site: Site) -> None:
    engine, mint = site.sidecar.service.engine, site.unpopular()
    entry = engine.cache.peek(Mint(JUP))
    assert entry is not None
    engine.publisher.publish_unpriced(Mint(JUP), "no source knows it")

    async def first() -> Any:
        async with following(site, f"mints={JUP},{mint}") as follower:
            return await follower.next("snapshot")

    snapshot = asyncio.create_task(first())
    await until(lambda: engine.misses._waiting)
    engine.publisher.publish(entry)
    both = await site.rig.finish(asyncio.wait_for(snapshot, None), 5)

    assert (both["tokens"].keys(), both["errors"]) == ({JUP, mint}, {})


async def test_a_mint_that_loses_its_price_while_another_is_fetched_is_an_error(site: Site) -> None:
    engine, mint = site.sidecar.service.engine, site.unpopular()

    async def first() -> Any:
        async with following(site, f"mints={JUP},{mint}") as follower:
            return await follower.next("snapshot")

    snapshot = asyncio.create_task(first())
    await until(lambda: engine.misses._waiting)
    engine.publisher.publish_unpriced(Mint(JUP), "no source knows it")
    both = await site.rig.finish(asyncio.wait_for(snapshot, None), 5)

    assert both["tokens"].keys() == {mint}
    assert both["errors"] == {JUP: {"code": "not_priced", "detail": "no source knows it"}}


async def test_a_value_that_is_gone_is_not_priced(site: Site) -> None:
    async with following(site, f"mints={JUP}") as follower:
        await follower.next("snapshot")
        site.sidecar.service.engine.publisher.publish_unpriced(Mint(JUP), "no source knows it")

        gone = await follower.next("not_priced")

    assert gone == {"mint": JUP, "code": "not_priced", "detail": "no source knows it"}


async def test_what_has_no_price_is_told_once(site: Site) -> None:
    publisher, entry = site.sidecar.service.engine.publisher, site.sidecar.service.engine.cache.peek(Mint(JUP))
    assert entry is not None
    async with following(site, f"mints={JUP},{SOL}") as follower:
        await follower.next("snapshot")
        for _ in range(3):
            publisher.publish_unpriced(Mint(JUP), "no source knows it")
        assert (await follower.next("not_priced"))["mint"] == JUP
        publisher.publish_unpriced(Mint(JUP), "no source knows it")
        await site.rig.finish(follower.comment(), 20)
        publisher.publish(entry)
        assert (await follower.next("token"))["mint"] == JUP
        publisher.publish_unpriced(Mint(JUP), "no source knows it")
        assert (await follower.next("not_priced"))["mint"] == JUP


async def test_a_value_that_was_not_replaced_until_it_was_too_old_is_gone() -> None:
    settings = msgspec.structs.replace(SETTINGS, cache=CacheSettings(max_stale_seconds=400))
    async with serving(settings) as site, following(site, f"mints={JUP}") as follower:
        await follower.next("snapshot")
        site.switch_off("jupiter", "dexscreener", "geckoterminal")

        assert (await site.rig.finish(follower.next("not_priced"), 420))["code"] == "upstream_unavailable"
        site.sidecar.service.engine.publisher.publish_unpriced(Mint(JUP), "no source knows it")
        assert (await follower.next("not_priced"))["code"] == "not_priced"


async def test_that_there_is_no_price_is_news_to_a_stream_that_began_before_an_answer_came(site: Site) -> None:
    publisher, streams = site.sidecar.service.engine.publisher, Streams(site.sidecar.service)
    streams.open(frozenset({Mint(JUP)}), None)
    publisher.publish_unpriced(Mint(JUP), "no source knows it")
    stream = streams.open(frozenset({Mint(JUP)}), None)
    await streams.snapshot(stream, {}, {JUP: DeadlineExceededError("no upstream answered")})
    publisher.publish_unpriced(Mint(JUP), "no source knows it")
    assert stream.is_behind


async def test_a_set_says_which_mints_join_and_leave(site: Site) -> None:
    tracker = site.sidecar.service.engine.tracker
    async with following(site, "set=popular") as follower:
        snapshot = await follower.next("snapshot")
        tracker.set_popular([mint for mint in tracker.popular if mint != JUP])
        site.sidecar.service.engine.tracked_changed()
        left = await follower.next("left")
        publish(site, JUP, 7.0)
        tracker.set_popular([*tracker.popular, Mint(JUP)])
        site.sidecar.service.engine.tracked_changed()

        assert left == await follower.next("joined") == {"mint": JUP}
        assert (await follower.next("token"))["price_usd"] == 7.0
    assert JUP in snapshot["tokens"]
    assert STSOL not in snapshot["tokens"]
    assert snapshot["errors"] == {}

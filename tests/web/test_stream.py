import asyncio
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest

from sidecar.cache.cache import Entry
from sidecar.config.settings import CacheSettings
from sidecar.models import Mint
from sidecar.web.streams import Streams
from tests.web.following import following
from tests.web.serving import BONK, JUP, SETTINGS, SOL, STSOL, Site, serving, until, with_api


def publish(site: Site, mint: str, price: float) -> None:
    """Publish a token's value with another price, as old as the one before."""
    engine = site.sidecar.service.engine
    entry = engine.cache.peek(Mint(mint))
    assert entry is not None
    engine.publisher.publish(
        Entry(msgspec.structs.replace(entry.cap, price_usd=price), entry.received, entry.explanation)
    )


def requests(site: Site, mint: str) -> int:
    return site.sidecar.service.engine.tracker.requests(Mint(mint))


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


async def test_a_value_that_is_gone_is_not_priced(site: Site) -> None:
    async with following(site, f"mints={JUP}") as follower:
        await follower.next("snapshot")
        site.sidecar.service.engine.publisher.publish_unpriced(Mint(JUP), "no source knows it")

        gone = await follower.next("not_priced")

    assert gone == {"mint": JUP, "code": "not_priced", "detail": "no source knows it"}


async def test_a_value_that_was_not_replaced_until_it_was_too_old_is_gone() -> None:
    settings = msgspec.structs.replace(SETTINGS, cache=CacheSettings(max_stale_seconds=400))
    async with serving(settings) as site, following(site, f"mints={JUP}") as follower:
        await follower.next("snapshot")
        site.switch_off("jupiter", "dexscreener", "geckoterminal")

        assert (await site.rig.finish(follower.next("not_priced"), 420))["code"] == "upstream_unavailable"


async def test_a_value_that_has_grown_too_old_while_the_client_was_away_is_gone() -> None:
    settings = msgspec.structs.replace(SETTINGS, cache=CacheSettings(max_stale_seconds=400))
    async with serving(settings) as site:
        async with following(site, f"mints={JUP}") as follower:
            await follower.next("snapshot")
            site.switch_off("jupiter", "dexscreener", "geckoterminal")
        await site.rig.run_for(420)

        async with following(site, f"mints={JUP}", follower.last_id) as again:
            assert (await site.rig.finish(again.next("not_priced"), 20))["code"] == "upstream_unavailable"


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


async def test_a_client_that_comes_back_gets_what_has_changed_since_and_only_that(site: Site) -> None:
    query = f"mints={SOL},{JUP},{BONK}"
    async with following(site, query) as follower:
        await follower.next("snapshot")
        publish(site, SOL, 5.0)
        await follower.next("token")
    publish(site, JUP, 6.0)
    publish(site, BONK, 7.0)
    publish(site, JUP, 8.0)

    async with following(site, query, follower.last_id) as again:
        changed = [await again.next("token"), await again.next("token")]
        publish(site, SOL, 9.0)
        changed.append(await again.next("token"))

    assert [one["price_usd"] for one in changed] == [7.0, 8.0, 9.0]


async def test_what_has_changed_is_sent_at_once_and_not_with_the_next_change(site: Site) -> None:
    streams = Streams(site.sidecar.service)
    stream = streams.open(frozenset({Mint(JUP)}), None)
    streams.leave(stream)
    publish(site, JUP, 7.0)
    again = streams.open(frozenset({Mint(JUP)}), None)
    was_told = streams.resume(again, f"{stream.prefix.decode()}0")

    async with asyncio.timeout(1):
        assert b"event: token\n" in await anext(again.texts(b""))
    assert was_told


@pytest.mark.parametrize("last_id", ["", "x", "1", "00000000-00000000-1", "é", "-" * 4000])
async def test_an_id_of_another_process_or_of_none_begins_with_a_snapshot(site: Site, last_id: str) -> None:
    async with following(site, f"mints={JUP}", last_id) as follower:
        assert JUP in (await follower.next("snapshot"))["tokens"]


async def test_an_id_is_good_for_the_same_mints_only(site: Site) -> None:
    async with following(site, f"mints={JUP}") as follower:
        await follower.next("snapshot")

    async with following(site, f"mints={JUP},{SOL}", follower.last_id) as other:
        assert (await other.next("snapshot"))["tokens"].keys() == {JUP, SOL}


async def test_a_set_that_has_changed_meanwhile_begins_with_a_snapshot(site: Site) -> None:
    tracker = site.sidecar.service.engine.tracker
    async with following(site, "set=popular") as follower:
        await follower.next("snapshot")
    tracker.set_popular([mint for mint in tracker.popular if mint != JUP])
    site.sidecar.service.engine.tracked_changed()

    async with following(site, "set=popular", follower.last_id) as again:
        assert JUP not in (await again.next("snapshot"))["tokens"]


async def test_a_comment_comes_every_15_s(site: Site) -> None:
    async with following(site, f"mints={JUP}") as follower:
        await follower.next("snapshot")
        for _ in range(3):
            site.rig.clock.advance(15)
            await follower.comment()


async def test_the_mints_count_as_one_request_at_the_start_and_every_minute(site: Site) -> None:
    before = requests(site, JUP)
    async with following(site, f"mints={JUP}") as follower:
        await follower.next("snapshot")
        counted = [requests(site, JUP) - before]
        for _ in range(8):
            site.rig.clock.advance(15)
            await site.rig.settle()
            counted.append(requests(site, JUP) - before)

    assert counted == [1, 1, 1, 1, 2, 2, 2, 2, 3]


async def test_trending_tokens_are_not_kept_together_by_a_client_that_follows_them(site: Site) -> None:
    trending = site.sidecar.service.engine.tracker.tier("trending")
    async with following(site, "set=trending") as follower:
        tokens = (await follower.next("snapshot"))["tokens"]

    assert trending
    assert tokens.keys() <= set(trending)
    assert all(requests(site, mint) == 0 for mint in trending)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "invalid_request"),
        ("mints=", "invalid_request"),
        ("set=all", "invalid_request"),
        (f"set=popular&mints={JUP}", "invalid_request"),
        ("mints=" + ",".join(str(number) for number in range(101)), "too_many_mints"),
    ],
)
async def test_a_bad_request_is_refused_and_costs_nothing(site: Site, query: str, code: str) -> None:
    answer = await site.get(f"/mc/stream?{query}")

    assert (answer.status, answer.json["code"]) == (400, code)
    assert site.rig.metric("stream_clients") == 0


async def test_head_says_what_get_would_and_opens_nothing(site: Site) -> None:
    answer = await site.ask("HEAD", "/mc/stream?set=popular")

    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
    assert site.rig.metric("stream_clients") == 0


async def test_one_stream_too_many_is_overloaded_until_one_has_gone() -> None:
    async with serving(with_api(max_streams=1)) as site:
        async with following(site, f"mints={JUP}") as follower:
            await follower.next("snapshot")
            assert site.rig.metric("stream_clients") == 1
            refused = await site.get("/mc/stream?set=popular")
        await until(lambda: site.rig.metric("stream_clients") == 0)
        async with following(site, "set=popular") as next_one:
            await next_one.next("snapshot")

    assert (refused.status, refused.json["code"], refused.headers["Retry-After"]) == (429, "overloaded", "5")
    assert "api.max_streams" in refused.json["detail"]


async def test_streams_use_up_no_connections() -> None:
    async with (
        serving(with_api(max_connections=1)) as site,
        following(site, f"mints={JUP}") as one,
        following(site, f"mints={SOL}") as other,
    ):
        await one.next("snapshot")
        await other.next("snapshot")
        answers = [await site.get(f"/mc/{JUP}") for _ in range(2)]
        publish(site, JUP, 7.0)
        await one.next("token")

    assert [answer.status for answer in answers] == [200, 200]


async def test_a_client_that_reads_slowly_gets_the_newest_value_of_each_token() -> None:
    async with serving() as site, following(site, f"mints={SOL},{JUP}") as follower:
        await follower.next("snapshot")
        for price in range(1, 1001):
            publish(site, SOL, float(price))
            publish(site, JUP, float(price))
        prices = [(await follower.next("token"))["price_usd"] for _ in range(2)]
        publish(site, SOL, 5.0)
        prices.append((await follower.next("token"))["price_usd"])

    assert prices == [1000.0, 1000.0, 5.0]


async def test_streams_end_at_shutdown() -> None:
    stack = AsyncExitStack()
    site = await stack.enter_async_context(serving())
    async with following(site, f"mints={JUP}") as follower:
        await follower.next("snapshot")
        stopping = asyncio.create_task(stack.aclose())

        assert await follower.ended()
    await stopping

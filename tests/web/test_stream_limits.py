"""What a stream costs: requests counted, comments, how many there may be, slow readers, the end."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from sidecar.models import Mint
from tests.web.following import following, publish
from tests.web.serving import JUP, SOL, Site, serving, until, with_api


def requests(site: Site, mint: str) -> int:
    return site.sidecar.service.engine.tracker.requests(Mint(mint))


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

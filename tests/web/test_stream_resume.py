"""A client that comes back to a stream: what it missed, or a snapshot."""

import asyncio

import msgspec
import pytest

from sidecar.config.settings import CacheSettings
from sidecar.models import Mint
from sidecar.web.streams import Streams
from tests.web.following import following, publish
from tests.web.serving import BONK, JUP, SETTINGS, SOL, Site, serving


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


async def test_a_value_that_has_grown_too_old_while_the_client_was_away_is_gone() -> None:
    settings = msgspec.structs.replace(SETTINGS, cache=CacheSettings(max_stale_seconds=400))
    async with serving(settings) as site:
        async with following(site, f"mints={JUP}") as follower:
            await follower.next("snapshot")
            site.switch_off("jupiter", "dexscreener", "geckoterminal")
        await site.rig.run_for(420)

        async with following(site, f"mints={JUP}", follower.last_id) as again:
            assert (await site.rig.finish(again.next("not_priced"), 20))["code"] == "upstream_unavailable"


async def test_a_client_that_comes_back_is_not_told_again_that_a_token_has_no_price(site: Site) -> None:
    async with following(site, f"mints={JUP}") as follower:
        await follower.next("snapshot")
        site.sidecar.service.engine.publisher.publish_unpriced(Mint(JUP), "no source knows it")
        await follower.next("not_priced")

        async with following(site, f"mints={JUP}", follower.last_id) as again:
            await site.rig.finish(again.comment(), 1)
            await site.rig.finish(again.comment(), 20)
        await follower.comment()


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

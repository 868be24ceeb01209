import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp import web

from sidecar.demo import Fault
from sidecar.models import Mint
from sidecar.refresh.misses import Misses
from sidecar.service import lookups
from sidecar.service.lookups import Lookups
from sidecar.web import batch_body
from tests.running import WatchedMarket
from tests.service.tokens import nobodys
from tests.web.serving import BONK, JUP, SOL, STSOL, Site, serving


async def test_a_batch_answers_each_mint_in_tokens_or_in_errors(site: Site) -> None:
    for answer in (
        await site.get(f"/mc?mints={SOL},abc,{STSOL},{JUP}"),
        await site.post([SOL, "abc", STSOL, JUP]),
    ):
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
        assert answer.headers["Content-Type"] == "application/json"
        assert not {"Age", "Cache-Status"} & set(answer.headers)
        assert list(answer.json) == ["tokens", "errors"]
        assert list(answer.json["tokens"]) == [SOL, JUP]
        assert answer.json["errors"] == {
            "abc": {"code": "invalid_mint", "detail": "'abc' is not a mint: base58 of 32 bytes is needed"},
            STSOL: {"code": "not_priced", "detail": "no source has a trustworthy price"},
        }


async def test_a_token_of_a_batch_is_what_the_token_route_answers(site: Site) -> None:
    batch = (await site.post([SOL])).json
    assert batch == {"tokens": {SOL: (await site.get(f"/mc/{SOL}")).json}, "errors": {}}


async def test_a_tracked_token_of_a_batch_says_how_uncertain_it_is_as_the_token_route_does(site: Site) -> None:
    await site.rig.run_for(400)
    one = await site.get(f"/mc/{SOL}")
    for batch in (await site.get(f"/mc?mints={SOL},{JUP}"), await site.get(f"/mc?mints={SOL},{JUP}")):
        assert one.json["uncertainty"] > 0
        assert batch.body.startswith(b'{"tokens":{"%b":%b,"%b":' % (SOL.encode(), one.body, JUP.encode()))


async def test_duplicates_are_answered_and_counted_once(site: Site) -> None:
    answer = await site.get(f"/mc?mints={SOL},{SOL},x,x,{SOL}")

    assert (list(answer.json["tokens"]), list(answer.json["errors"])) == ([SOL], ["x"])
    assert (
        site.rig.metric("lookups_total", result="hit"),
        site.rig.metric("lookups_total", result="invalid"),
    ) == (
        1,
        1,
    )


async def test_mints_may_be_given_in_several_parameters(site: Site) -> None:
    answer = await site.get(f"/mc?mints={SOL}&mints={JUP}")
    assert list(answer.json["tokens"]) == [SOL, JUP]


async def test_mints_may_be_percent_encoded(site: Site) -> None:
    answer = await site.get(f"/mc?mints=%53{SOL[1:]}%2C{JUP}")
    assert list(answer.json["tokens"]) == [SOL, JUP]


async def test_get_takes_a_hundred_mints_and_post_a_thousand(site: Site) -> None:
    mints = [f"{n:03}" for n in range(1001)]

    assert len((await site.get(f"/mc?mints={','.join(mints[:100])}")).json["errors"]) == 100
    assert len((await site.post(mints[:1000])).json["errors"]) == 1000
    too_many = [await site.get(f"/mc?mints={','.join(mints[:101])}"), await site.post(mints)]
    assert [(one.status, one.json["code"], one.json["detail"]) for one in too_many] == [
        (400, "too_many_mints", "101 mints; this route takes at most 100"),
        (400, "too_many_mints", "1001 mints; this route takes at most 1000"),
    ]


async def test_a_batch_counts_duplicates_towards_its_limit(site: Site) -> None:
    assert (await site.post([SOL] * 1001)).json["code"] == "too_many_mints"


async def test_no_mints_are_a_mistake_in_a_query_and_an_empty_batch_in_a_body(site: Site) -> None:
    assert (await site.get("/mc?mints=")).json["code"] == "invalid_request"
    assert (await site.post([])).json == {"tokens": {}, "errors": {}}


async def test_misses_of_a_batch_come_with_one_call_and_say_that_they_were_waited_for(site: Site) -> None:
    cold = [token for token in list(site.rig.market.tokens)[100:120] if site.rig.cap(token) is None]
    before = site.rig.calls("jupiter")
    answer = await site.wait_for(site.post([SOL, *cold]))

    assert site.rig.calls("jupiter") - before == 1
    assert set(answer.json["tokens"]) | set(answer.json["errors"]) == {SOL, *cold}
    cached = {mint: token["cached"] for mint, token in answer.json["tokens"].items()}
    assert cached == {mint: mint == SOL for mint in cached}
    assert len(cached) > 5


async def test_failing_sources_are_errors_of_their_mints_alone(site: Site) -> None:
    mint = site.unpopular()
    site.switch_off("jupiter", "dexscreener", "geckoterminal")
    answer = await site.wait_for(site.get(f"/mc?mints={mint},{BONK}"))

    assert (answer.status, list(answer.json["tokens"])) == (200, [BONK])
    assert {name: error["code"] for name, error in answer.json["errors"].items()} == {mint: "upstream_unavailable"}


async def test_what_does_not_come_in_time_is_an_error_of_its_own(site: Site) -> None:
    mint = site.unpopular()
    for source in ("jupiter", "dexscreener", "geckoterminal"):
        site.rig.market.faults[source] = Fault(kind="hang")
    misses = site.sidecar.service.engine.misses
    task = await site.later(f"/mc?mints={BONK},{mint}", lambda: misses._waiting)
    await site.rig.run_for(2.0)
    async with asyncio.timeout(5):
        answer = await task

    assert {name: error["code"] for name, error in answer.json["errors"].items()} == {mint: "deadline_exceeded"}
    assert list(answer.json["tokens"]) == [BONK]


async def test_what_the_budget_cannot_serve_is_overloaded() -> None:
    def prepare(market: WatchedMarket) -> None:
        for source in ("jupiter", "dexscreener", "geckoterminal"):
            market.faults[source] = Fault(kind="status", status=429, headers={"Retry-After": "30"})

    async with serving(prepare=prepare, warm=False) as site:
        await site.rig.settle()
        batch = await site.wait_for(site.get(f"/mc?mints={SOL}"))
        one = await site.wait_for(site.get(f"/mc/{SOL}"))

    assert batch.json["errors"][SOL]["code"] == "overloaded"
    assert (one.status, one.json["code"], one.json["mint"]) == (429, "overloaded", SOL)
    assert int(one.headers["Retry-After"]) >= 30


@contextmanager
def calls_per_turn(
    monkeypatch: pytest.MonkeyPatch, *names: tuple[object, str]
) -> Iterator[Counter[tuple[str, int]]]:
    """Count the calls of these functions by their name and the turn of the event loop."""
    loop, turn = asyncio.get_running_loop(), 0
    counts: Counter[tuple[str, int]] = Counter()
    handle: asyncio.Handle

    def next_turn() -> None:
        nonlocal turn, handle
        turn += 1
        handle = loop.call_soon(next_turn)

    def counted(name: str, whole: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            counts[name, turn] += 1
            return whole(*arguments)

        return call

    handle = loop.call_soon(next_turn)
    for owner, name in names:
        monkeypatch.setattr(owner, name, counted(name, getattr(owner, name)))
    yield counts
    handle.cancel()


async def test_others_have_their_turn_while_a_flood_of_misses_is_refused_for_one_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    each = [(Lookups, "find"), (lookups, "is_mint"), (Lookups, "_count_failure"), (batch_body, "_failure")]
    async with serving() as site:
        monkeypatch.setattr(Misses, "_capacity", lambda _: 0)
        with calls_per_turn(monkeypatch, *each, (Misses, "_refusal")) as counts:
            answer = await site.post(nobodys(1000))

    assert {error["code"] for error in answer.json["errors"].values()} == {"overloaded"}
    for _, name in each:
        assert [counts[one] for one in counts if one[0] == name] == [100] * 10, name
    assert [counts[one] for one in counts if one[0] == "_refusal"] == [1]


async def test_others_have_their_turn_while_many_tracked_tokens_are_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving() as site:
        entry = site.sidecar.service.engine.cache.peek(Mint(SOL))
        assert entry is not None
        entry.prepare()
        monkeypatch.setattr(Lookups, "tracked", lambda _, mints, __: [entry for _ in mints])
        with calls_per_turn(monkeypatch, (batch_body._Members, "add")) as counts:
            answer = await site.post(nobodys(1000))

    assert answer.body.count(b'"mint":') == 1000
    assert list(counts.values()) == [1] * 10


async def test_others_have_their_turn_while_a_large_answer_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as site:
        found = site.sidecar.service.lookups.peek(Mint(SOL))
        monkeypatch.setattr(Lookups, "find_tracked", lambda *_: found)
        with calls_per_turn(monkeypatch, (batch_body, "token_body")) as counts:
            answer = await site.post(nobodys(1000))

    assert answer.body.count(b'"mint":') == 1000
    assert list(counts.values()) == [100] * 10


async def test_an_idle_connection_keeps_neither_its_last_answer_nor_what_it_asked_for(site: Site) -> None:
    answer = await site.post([SOL, "no mint"])
    kept = [one.body for one in gc.get_objects() if isinstance(one, web.Response)]
    kept += [one._read_bytes for one in gc.get_objects() if isinstance(one, web.BaseRequest)]

    assert b"no mint" in answer.body
    assert len(kept) > 1
    assert not [one for one in kept if isinstance(one, bytes) and b"no mint" in one]

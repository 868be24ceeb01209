import asyncio
import json
import zlib
from collections.abc import Callable

import aiohttp
import pytest
from pytest_aiohttp import AiohttpServer

from sidecar.demo import Fault, Market, create_app
from sidecar.demo.faults import BOMB_BYTES
from tests.clock import FakeClock
from tests.demo.upstreams import JUP, SOL, UNKNOWN, USDC, Upstreams

SEARCH = f"/tokens/v2/search?query={SOL}"


async def until(happened: Callable[[], bool]) -> None:
    """Let the server run, on the same loop, until something has happened."""
    async with asyncio.timeout(5):
        while not happened():  # noqa: ASYNC110 - the server under test sets no event of ours
            await asyncio.sleep(0)


async def test_a_status_comes_with_any_header_and_body(market: Market, upstreams: Upstreams) -> None:
    date = "Wed, 21 Oct 2026 07:28:00 GMT"
    market.faults["dexscreener"] = Fault(
        kind="status", status=429, headers={"Retry-After": date}, body="slow down"
    )
    answer = await upstreams.get("dexscreener", "/token-boosts/top/v1")
    assert (answer.status, answer.headers["Retry-After"], answer.body) == (429, date, "slow down")


@pytest.mark.parametrize("status", [429, 403, 500, 503])
async def test_a_status_comes_without_retry_after_unless_given(
    market: Market, upstreams: Upstreams, status: int
) -> None:
    market.faults["jupiter"] = Fault(kind="status", status=status)
    answer = await upstreams.get("jupiter", SEARCH)
    assert (answer.status, "Retry-After" in answer.headers) == (status, False)


async def test_one_source_fails_while_the_others_answer_and_none_clears(
    market: Market, upstreams: Upstreams
) -> None:
    market.faults["jupiter"] = Fault(kind="status", status=503)
    assert (await upstreams.get("jupiter", SEARCH)).status == 503
    assert (await upstreams.get("dexscreener", "/token-boosts/top/v1")).status == 200
    market.faults["jupiter"] = None
    assert (await upstreams.get("jupiter", SEARCH)).status == 200
    assert market.calls["jupiter"] == 2


async def test_latency_is_of_the_markets_clock(market: Market, clock: FakeClock, upstreams: Upstreams) -> None:
    market.faults["jupiter"] = Fault(kind="latency", latency_seconds=3.0)
    asking = asyncio.create_task(upstreams.get("jupiter", SEARCH))
    await until(lambda: clock.next_wake is not None)
    assert clock.next_wake == clock.monotonic() + 3.0
    clock.advance(3.0)
    assert (await asking).body[0]["id"] == SOL


async def test_latency_of_the_whole_market_comes_before_every_answer(
    market: Market, clock: FakeClock, upstreams: Upstreams
) -> None:
    market.latency_seconds = 0.05
    asking = asyncio.create_task(upstreams.rpc("getSupply"))
    await until(lambda: clock.next_wake is not None)
    assert clock.next_wake == clock.monotonic() + 0.05
    clock.advance(0.05)
    assert (await asking)["result"]["value"]["total"] > 0


async def test_a_json_rpc_error_keeps_the_id(market: Market, upstreams: Upstreams) -> None:
    market.faults["solana_rpc"] = Fault(kind="rpc_error", code=-32016)
    answer = await upstreams.rpc("getSupply")
    assert (answer["error"]["code"], answer["id"]) == (-32016, 5)


async def test_a_json_rpc_error_of_another_source_has_no_id(market: Market, upstreams: Upstreams) -> None:
    market.faults["jupiter"] = Fault(kind="rpc_error")
    assert (await upstreams.get("jupiter", "/tokens/v2/search")).body["id"] is None


async def body_of(upstreams: Upstreams) -> tuple[str, bytes]:
    async with upstreams.session.get(upstreams.urls["jupiter"] + SEARCH) as response:
        assert response.status == 200
        return response.content_type, await response.read()


async def test_garbage_claims_to_be_json(market: Market, upstreams: Upstreams) -> None:
    market.faults["jupiter"] = Fault(kind="garbage")
    content_type, body = await body_of(upstreams)
    assert content_type == "application/json"
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(body)


async def test_half_json_is_the_first_half_of_the_answer(market: Market, upstreams: Upstreams) -> None:
    _, whole = await body_of(upstreams)
    market.faults["jupiter"] = Fault(kind="half_json")
    _, body = await body_of(upstreams)
    assert body == whole[: len(whole) // 2]


async def test_a_challenge_is_a_page_with_status_200(market: Market, upstreams: Upstreams) -> None:
    market.faults["jupiter"] = Fault(kind="challenge")
    content_type, body = await body_of(upstreams)
    assert content_type == "text/html"
    assert body.startswith(b"<!DOCTYPE html>")


async def test_a_dropped_connection_gives_no_answer(market: Market, upstreams: Upstreams) -> None:
    market.faults["solana_rpc"] = Fault(kind="drop")
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await upstreams.rpc("getSupply")


async def test_a_reset_comes_in_the_middle_of_the_body(market: Market, upstreams: Upstreams) -> None:
    market.faults["jupiter"] = Fault(kind="reset")
    with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientOSError)):
        await body_of(upstreams)


async def test_an_endless_body_goes_on_until_the_client_leaves(market: Market, upstreams: Upstreams) -> None:
    market.faults["jupiter"] = Fault(kind="endless")
    async with upstreams.session.get(upstreams.urls["jupiter"] + SEARCH) as response:
        for _ in range(64):
            assert await response.content.readexactly(2**16) == b" " * 2**16
    market.faults["jupiter"] = None
    assert (await upstreams.get("jupiter", SEARCH)).body[0]["id"] == SOL


async def test_a_gzip_bomb_is_small_on_the_wire_and_64_mib_of_json_when_unpacked(
    market: Market, upstreams: Upstreams
) -> None:
    market.faults["jupiter"] = Fault(kind="gzip_bomb")
    url = upstreams.urls["jupiter"] + SEARCH
    async with aiohttp.ClientSession(auto_decompress=False) as session, session.get(url) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        packed = await response.read()
    assert len(packed) < 2**17
    unpacker = zlib.decompressobj(wbits=31)
    size, rest = 0, packed
    while rest:
        size += len(unpacker.decompress(rest, 2**20))
        rest = unpacker.unconsumed_tail
    assert (unpacker.eof, size) == (True, BOMB_BYTES + 2)


@pytest.mark.parametrize("fault", [Fault(kind="hang"), Fault(kind="endless")], ids=lambda fault: fault.kind)
async def test_stopping_the_server_ends_what_would_last_for_ever(
    market: Market, aiohttp_server: AiohttpServer, fault: Fault
) -> None:
    market.faults["jupiter"] = fault
    server = await aiohttp_server(create_app(market))
    async with aiohttp.ClientSession() as session:
        asking = asyncio.create_task(read_all(session, str(server.make_url("/jupiter" + SEARCH))))
        await until(lambda: market.calls["jupiter"] == 1)
        async with asyncio.timeout(5):
            await server.close()
            with pytest.raises(aiohttp.ClientError):
                await asking


async def read_all(session: aiohttp.ClientSession, url: str) -> None:
    async with session.get(url) as response:
        async for _ in response.content.iter_any():
            pass


async def test_a_hang_lasts_longer_than_the_client_waits(market: Market, upstreams: Upstreams) -> None:
    market.faults["jupiter"] = Fault(kind="hang")
    with pytest.raises(TimeoutError):
        await upstreams.session.get(upstreams.urls["jupiter"] + SEARCH, timeout=aiohttp.ClientTimeout(total=0.05))
    assert market.calls["jupiter"] == 1


async def test_named_mints_are_left_out(market: Market, upstreams: Upstreams) -> None:
    market.faults["jupiter"] = Fault(kind="omit", mints=frozenset({SOL, UNKNOWN}))
    assert [row["id"] for row in await upstreams.search([SOL, JUP])] == [JUP]


async def test_all_mints_are_left_out_when_none_is_named(market: Market, upstreams: Upstreams) -> None:
    market.faults["solana_rpc"] = Fault(kind="omit")
    assert (await upstreams.rpc("getMultipleAccounts", [SOL, USDC]))["result"]["value"] == [None, None]


async def test_a_fault_strikes_with_its_probability_the_same_way_for_the_same_seed(clock: FakeClock) -> None:
    markets = [Market(seed, 20, clock) for seed in (1, 1, 2)]
    struck = []
    for market in markets:
        market.faults["jupiter"] = Fault(kind="garbage", probability=0.25)
        struck.append([market.draw_fault("jupiter") is not None for _ in range(400)])
    assert struck[0] == struck[1] != struck[2]
    assert 70 <= sum(struck[0]) <= 130

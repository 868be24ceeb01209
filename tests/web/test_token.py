import asyncio
from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.config.settings import CacheSettings, RefreshSettings
from sidecar.demo import Fault
from tests.clock import UNIX_START
from tests.running import WatchedMarket
from tests.web.serving import JUP, SOL, STSOL, Site, serving, with_api

FIELDS: Final = [
    *("mint", "symbol", "price_usd", "market_cap_usd", "basis", "fdv_usd", "circulating_supply", "total_supply"),
    *("liquidity_usd", "confidence", "source", "supply_source", "circulating_source", "timestamp"),
    *("confidence_reasons", "sources_agreeing", "price_spread", "price_slot", "supply_slot"),
    *("volume_24h_usd", "price_change_24h", "verified", "volatility", "uncertainty"),
    *("age_seconds", "stale", "cached"),
]


def fix_jup(market: WatchedMarket) -> None:
    market.set_price(JUP, 0.25)


async def test_a_token_has_every_field_of_the_contract_with_the_figures_of_the_market() -> None:
    async with serving(prepare=fix_jup) as site:
        truth, slot = site.rig.market.tokens[JUP], site.rig.market.slot
        token = (await site.get(f"/mc/{JUP}")).json

    assert list(token) == FIELDS
    assert truth.circulating_supply is not None
    assert truth.liquidity_usd is not None
    assert token["volume_24h_usd"] > 0
    assert -0.2 < token["price_change_24h"] < 0.2
    assert token == {
        "mint": JUP,
        "symbol": "JUP",
        "price_usd": 0.25,
        "market_cap_usd": pytest.approx(0.25 * float(truth.circulating_supply), rel=1e-9),
        "basis": "circulating",
        "fdv_usd": pytest.approx(0.25 * float(truth.total_supply), rel=1e-9),
        "circulating_supply": float(truth.circulating_supply),
        "total_supply": float(truth.total_supply),
        "liquidity_usd": token["liquidity_usd"],
        "confidence": "high",
        "source": "jupiter",
        "supply_source": "solana_rpc",
        "circulating_source": "jupiter",
        "timestamp": UNIX_START,
        "confidence_reasons": [],
        "sources_agreeing": 2,
        "price_spread": 0.0,
        "price_slot": slot,
        "supply_slot": slot,
        "volume_24h_usd": token["volume_24h_usd"],
        "price_change_24h": token["price_change_24h"],
        "verified": True,
        "volatility": None,
        "uncertainty": None,
        "age_seconds": 0.0,
        "stale": False,
        "cached": True,
    }


async def test_every_market_cap_is_price_times_the_supply_that_the_basis_names(site: Site) -> None:
    tokens = (await site.get("/mc?set=tracked")).json["tokens"]

    assert {token["basis"] for token in tokens} == {"circulating", "total"}
    for token in tokens:
        supply = token[f"{token['basis']}_supply"]
        assert token["market_cap_usd"] == pytest.approx(token["price_usd"] * supply, rel=1e-9, abs=0)
        assert token["fdv_usd"] == pytest.approx(token["price_usd"] * token["total_supply"], rel=1e-9, abs=0)
        assert (token["circulating_supply"] is None) == (token["basis"] == "total")
        assert (token["circulating_source"] is None) == (token["basis"] == "total")


@pytest.mark.parametrize(
    ("seconds", "age", "cache_control", "cache_status", "stale"),
    [
        (0.0, "0", "max-age=60", "mc-sidecar; hit", False),
        (12.999, "12", "max-age=60", "mc-sidecar; hit", False),
        (360.0, "360", "max-age=60", "mc-sidecar; hit", False),
        (360.5, "360", "max-age=0", "mc-sidecar; hit; detail=stale", True),
        (3600.0, "3600", "max-age=0", "mc-sidecar; hit; detail=stale", True),
    ],
)
async def test_the_headers_say_how_old_a_token_is_and_how_it_was_found(
    site: Site, seconds: float, age: str, cache_control: str, cache_status: str, *, stale: bool
) -> None:
    site.switch_off("jupiter", "dexscreener", "geckoterminal")
    site.rig.clock.advance(seconds)
    answer = await site.get(f"/mc/{SOL}")

    headers = {name: answer.headers[name] for name in ("Age", "Cache-Control", "Cache-Status")}
    assert headers == {"Age": age, "Cache-Control": cache_control, "Cache-Status": cache_status}
    assert (answer.json["age_seconds"], answer.json["stale"]) == (pytest.approx(seconds), stale)
    assert (answer.json["cached"], answer.json["timestamp"]) == (True, UNIX_START)


async def test_max_age_is_the_interval_of_a_tracked_token_and_the_freshness_of_another() -> None:
    settings = replace(
        with_api(), cache=CacheSettings(fresh_seconds=512.7), refresh=RefreshSettings(popular_seconds=30.5)
    )
    async with serving(settings) as site:
        other = site.unpopular()
        await site.wait_for(site.get(f"/mc/{other}"))
        ages = [(await site.get(f"/mc/{mint}")).headers["Cache-Control"] for mint in (SOL, other, SOL)]
        for _ in range(4):
            await site.get(f"/mc/{other}")
        ages.append((await site.get(f"/mc/{other}")).headers["Cache-Control"])
        assert ages == ["max-age=30", "max-age=512", "max-age=30", "max-age=300"]


async def test_a_token_that_had_to_be_fetched_says_so_once(site: Site) -> None:
    mint = site.unpopular()
    first = await site.wait_for(site.get(f"/mc/{mint}"))
    second = await site.get(f"/mc/{mint}")

    assert (first.headers["Cache-Status"], first.json["cached"]) == ("mc-sidecar; fwd=miss", False)
    assert (second.headers["Cache-Status"], second.json["cached"]) == ("mc-sidecar; hit", True)
    assert first.headers["Cache-Control"] == "max-age=360"


async def test_head_answers_as_get_without_a_body(site: Site) -> None:
    head, get = await site.ask("HEAD", f"/mc/{SOL}"), await site.get(f"/mc/{SOL}")

    dated = {"Date"}
    assert {name: text for name, text in head.headers.items() if name not in dated} == {
        name: text for name, text in get.headers.items() if name not in dated
    }


async def test_a_mint_is_base58_of_32_bytes(site: Site) -> None:
    wrong = [
        "abc",
        SOL[:-1],
        SOL + "2",
        SOL.replace("S", "0"),
        "1" * 44,
        "%7Ba%7D",
        "a%2Fb",
        "%00",
        "%ff",
    ]
    answers = [await site.get(f"/mc/{text}") for text in wrong]

    assert {(answer.status, answer.json["code"]) for answer in answers} == {(400, "invalid_mint")}
    assert [answer.json["mint"] for answer in answers[-4:]] == ["{a}", "a/b", "\0", "%ff"]


@pytest.mark.parametrize(
    "blank",
    ["%20", "%0A", "%0D", "%09", "%0B", "%0C", "%1C", "%C2%85", "%C2%A0", "%E2%80%A8", "%E3%80%80", "%00", "+"],
)
async def test_a_mint_with_a_blank_behind_it_is_refused_and_never_asked_for(site: Site, blank: str) -> None:
    calls = site.rig.calls()
    answers = [await site.get(f"/mc/{JUP}{blank}") for _ in range(6)]
    batch = await site.get(f"/mc?mints={JUP}{blank},{SOL}")

    assert {(answer.status, answer.json["code"]) for answer in answers} == {(400, "invalid_mint")}
    assert (list(batch.json["tokens"]), [one["code"] for one in batch.json["errors"].values()]) == (
        [SOL],
        ["invalid_mint"],
    )
    assert site.rig.calls() == calls
    assert all(len(mint) == len(mint.strip()) for mint in site.sidecar.service.engine.tracker.mints)


async def test_a_token_that_no_source_prices_is_not_found_and_says_why(site: Site) -> None:
    for _ in range(2):
        answer = await site.get(f"/mc/{STSOL}")
        assert (answer.status, answer.json["code"], answer.json["mint"]) == (404, "not_priced", STSOL)
        assert answer.json["detail"] == "no source has a trustworthy price"


async def test_a_miss_on_a_hanging_market_ends_at_the_deadline() -> None:
    async with serving() as site:
        market, mint = site.rig.market, site.unpopular()
        for source in ("jupiter", "dexscreener", "geckoterminal"):
            market.faults[source] = Fault(kind="hang")
        task = await site.later(f"/mc/{mint}", lambda: site.sidecar.service.engine.misses._waiting)
        await site.rig.run_for(1.99)
        assert (task.done(), market.hung) == (False, 3)
        site.rig.clock.advance(0.01)
        async with asyncio.timeout(5):
            answer = await task

    assert (answer.status, answer.json["code"]) == (504, "deadline_exceeded")
    assert answer.headers["Retry-After"] == "1"

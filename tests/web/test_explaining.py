"""`?explain=true`."""

from typing import Any, Final

import pytest

from sidecar.demo.tokens import address_of
from tests.running import WatchedMarket
from tests.web.serving import BONK, JUP, SOL, Site, serving

UNKNOWN: Final = address_of("a mint that no source knows")


async def test_explain_shows_every_quote_taken_or_why_refused() -> None:
    def prepare(market: WatchedMarket) -> None:
        market.set_source_price("jupiter", BONK, 2e-5)
        market.set_source_price("dexscreener", BONK, 4e-5)
        market.set_source_price("geckoterminal", BONK, 2.02e-5)

    async with serving(prepare=prepare) as site:
        site.rig.clock.advance(7)
        plain, explained = await site.get(f"/mc/{BONK}"), await site.get(f"/mc/{BONK}?explain=true")

    quotes: list[dict[str, Any]] = explained.json["quotes"]
    assert explained.json == {**plain.json, "quotes": quotes, "supplies": explained.json["supplies"]}
    assert all(quote.pop("liquidity_usd") > 0 and quote.pop("age_seconds") == 7.0 for quote in quotes)
    assert all(quote.pop("claimed_liquidity_usd") > 0 for quote in quotes)
    assert [pytest.approx(quote.pop("distance")) for quote in quotes] == [0.0, 1.0, 0.01]
    assert quotes == [
        {"source": "jupiter", "price_usd": 2e-5, "taken": True, "reason": None},
        {"source": "dexscreener", "price_usd": 4e-5, "taken": False, "reason": "disagreement"},
        {"source": "geckoterminal", "price_usd": 2.02e-5, "taken": False, "reason": "agrees"},
    ]


async def test_explain_shows_every_supply_in_use_or_why_not() -> None:
    async with serving() as site:
        truth, slot = site.rig.market.tokens[JUP], site.rig.market.slot
        site.rig.clock.advance(7)
        explained = await site.get(f"/mc/{JUP}?explain=true")

    assert truth.circulating_supply is not None
    total, circulating = float(truth.total_supply), float(truth.circulating_supply)
    rpc = {"slot": slot, "multiplier": 1.0, "age_seconds": 7.0}
    said = {"slot": None, "multiplier": None, "age_seconds": 7.0, "source": "jupiter"}
    assert explained.json["supplies"] == [
        {"kind": "total", "tokens": total, "source": "solana_rpc", "taken": True, "reason": None, **rpc},
        {"kind": "total", "tokens": total, "taken": False, "reason": "the chain was taken", **said},
        {"kind": "circulating", "tokens": circulating, "taken": True, "reason": None, **said},
    ]


async def test_explain_tells_of_a_mint_without_a_price_what_each_source_said_for_as_long_as_it_is_known() -> None:
    def prepare(market: WatchedMarket) -> None:
        market.set_liquidity(BONK, 5.0)
        market.forget("geckoterminal", BONK)

    async with serving(prepare=prepare) as site:
        plain, explained = await site.get(f"/mc/{BONK}"), await site.get(f"/mc/{BONK}?explain=true")
    assert (plain.status, explained.status) == (404, 404)
    assert explained.json == {
        **plain.json,
        "quotes": explained.json["quotes"],
        "supplies": explained.json["supplies"],
    }
    assert [(quote["source"], quote["taken"], quote["reason"]) for quote in explained.json["quotes"]] == [
        ("jupiter", False, "dead_pool"),
        ("dexscreener", False, "dead_pool"),
        ("geckoterminal", False, "left out"),
    ]
    assert {quote["distance"] for quote in explained.json["quotes"]} == {None}


async def test_explain_tells_the_same_of_a_mint_that_was_never_asked_for_before() -> None:
    async with serving() as site:
        answer = await site.rig.finish(site.get(f"/mc/{UNKNOWN}?explain=true"))
    assert (answer.status, answer.json["code"], answer.json["mint"]) == (404, "not_priced", UNKNOWN)
    assert {quote["reason"] for quote in answer.json["quotes"]} == {"left out"}
    assert answer.json["supplies"] == []


async def test_explain_may_be_said_to_be_false_and_nothing_else(site: Site) -> None:
    assert "quotes" not in (await site.get(f"/mc/{SOL}?explain=false")).json
    before = dict(site.sidecar.service.metrics.hot.lookups)
    for value in ("", "1", "TRUE", "yes"):
        assert (await site.get(f"/mc/{SOL}?explain={value}")).json["code"] == "invalid_request"
    assert site.sidecar.service.metrics.hot.lookups == before

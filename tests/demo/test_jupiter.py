from decimal import Decimal

from sidecar.demo import Market
from tests.demo.upstreams import BONK, JUP, SOL, STSOL, UNKNOWN, Upstreams


async def test_search_rows_hold_numbers_and_leave_out_what_is_unknown(
    market: Market, upstreams: Upstreams
) -> None:
    market.set_price(JUP, 0.5)
    market.set_supply(JUP, total=Decimal("6000000000.5"), circulating=Decimal(3_000_000_000))
    [row] = await upstreams.search([JUP])
    expected = {"id": JUP, "usdPrice": 0.5, "totalSupply": 6000000000.5, "circSupply": 3e9, "mcap": 1.5e9}
    assert expected.items() <= row.items()
    assert row["fdv"] == 3000000000.25
    assert row["decimals"] == 6
    assert row["isVerified"] is True
    assert set(row["stats5m"]) >= {"priceChange", "numBuys"}
    assert None not in row.values()
    assert "launchpad" not in row


async def test_an_unknown_circulating_supply_takes_the_market_cap_along(
    market: Market, upstreams: Upstreams
) -> None:
    market.set_supply(JUP, circulating=None)
    [row] = await upstreams.search([JUP])
    assert not {"circSupply", "mcap"} & set(row)


async def test_sol_is_the_native_token(upstreams: Upstreams) -> None:
    [row] = await upstreams.search([SOL])
    assert (row["totalSupply"], row["circSupply"]) == (631122767.3182045, 583094795.1204479)


async def test_a_bonding_curve_has_no_liquidity_key(market: Market, upstreams: Upstreams) -> None:
    curve = next(token for token in market.tokens.values() if token.launchpad is not None)
    [row] = await upstreams.search([curve.mint])
    assert "liquidity" not in row
    assert (row["launchpad"], row["totalSupply"]) == ("pump.fun", 1e9)
    assert row["id"].endswith("pump")


async def test_unknown_mints_are_left_out_and_the_order_is_not_the_order_asked(upstreams: Upstreams) -> None:
    rows = await upstreams.search([SOL, UNKNOWN, JUP, STSOL, BONK, BONK])
    assert [row["id"] for row in rows] == [BONK, JUP, SOL]


async def test_the_101st_mint_is_dropped_silently(upstreams: Upstreams) -> None:
    assert await upstreams.search([*[UNKNOWN] * 100, SOL]) == []
    assert len(await upstreams.search([*[UNKNOWN] * 99, SOL])) == 1


async def test_text_is_matched_loosely(upstreams: Upstreams) -> None:
    assert JUP in [row["id"] for row in await upstreams.search(["jup"])]


async def test_an_empty_query_gives_a_default_list(upstreams: Upstreams) -> None:
    assert len(await upstreams.search([])) > 10


async def test_trending_gives_so_many_rows_with_sol_among_them(upstreams: Upstreams) -> None:
    rows = (await upstreams.get("jupiter", "/tokens/v2/toptrending/1h?limit=7")).body
    assert len(rows) == 7
    assert rows[0]["id"] == SOL


async def test_a_bad_interval_or_limit_is_400(upstreams: Upstreams) -> None:
    for path in ("toptrending/2h", "toptrending/1h?limit=0", "toptrending/1h?limit=101", "toptrending/1h?limit=x"):
        answer = await upstreams.get("jupiter", f"/tokens/v2/{path}")
        assert (answer.status, answer.body) == (400, {"error": "Invalid interval or limit"})


async def test_only_a_wrong_key_is_refused(market: Market, upstreams: Upstreams) -> None:
    market.jupiter_keys = frozenset({"right"})
    path = f"/tokens/v2/search?query={SOL}"
    statuses = [
        (await upstreams.get("jupiter", path, headers)).status
        for headers in ({"x-api-key": "wrong"}, {"x-api-key": "right"}, {})
    ]
    assert statuses == [401, 200, 200]


async def test_a_key_is_not_looked_at_unless_some_are_set(upstreams: Upstreams) -> None:
    assert (await upstreams.get("jupiter", f"/tokens/v2/search?query={SOL}", {"x-api-key": "any"})).status == 200


async def test_calls_are_counted_and_logged(market: Market, upstreams: Upstreams) -> None:
    await upstreams.search([SOL, JUP])
    assert market.calls == {"jupiter": 1, "dexscreener": 0, "geckoterminal": 0, "solana_rpc": 0}
    assert list(market.log) == [("jupiter", "/tokens/v2/search", (SOL, JUP))]

from decimal import Decimal

import pytest

from sidecar.demo import Market
from tests.demo.upstreams import BONK, JUP, SOL, STSOL, UNKNOWN, USDT, Upstreams


async def test_every_figure_is_a_string(market: Market, upstreams: Upstreams) -> None:
    market.set_price(JUP, 0.25)
    market.set_liquidity(JUP, 5e6)
    market.set_supply(JUP, total=Decimal("6000000000.5"), circulating=Decimal(3_000_000_000))
    [row] = (await upstreams.listed([JUP]))["data"]
    assert (row["id"], row["type"]) == (f"solana_{JUP}", "token")
    expected = {
        "address": JUP,
        "symbol": "JUP",
        "decimals": 6,
        "total_supply": "6000000000500000.0",
        "normalized_total_supply": "6000000000.5",
        "price_usd": "0.25",
        "fdv_usd": "1500000000.125",
        "market_cap_usd": "750000000.0",
        "total_reserve_in_usd": "5000000.0",
    }
    assert expected.items() <= row["attributes"].items()


async def test_numbers_are_never_in_exponent_form(market: Market, upstreams: Upstreams) -> None:
    market.set_price(BONK, 1.5e-9)
    [row] = (await upstreams.listed([BONK]))["data"]
    assert row["attributes"]["price_usd"] == "0.0000000015"


async def test_most_tokens_have_no_market_cap_and_one_listed_says_zero(
    market: Market, upstreams: Upstreams
) -> None:
    unlisted = next(token for token in market.tokens.values() if token.coingecko_id is None)
    unverified = next(t for t in market.tokens.values() if t.coingecko_id and t.circulating_supply is None)
    for token, cap in ((unlisted, None), (unverified, "0.0")):
        [row] = (await upstreams.listed([token.mint]))["data"]
        assert row["attributes"]["market_cap_usd"] == cap


async def test_usdts_market_cap_is_of_all_chains(market: Market, upstreams: Upstreams) -> None:
    market.set_price(USDT, 1.0)
    [row] = (await upstreams.listed([USDT]))["data"]
    assert row["attributes"]["market_cap_usd"] == "183971220405.5"
    assert row["attributes"]["fdv_usd"] == "2040188305.771902"


async def test_sol_is_the_wrapped_token(market: Market, upstreams: Upstreams) -> None:
    market.set_price(SOL, 100.0)
    [row] = (await upstreams.listed([SOL]))["data"]
    assert row["attributes"]["normalized_total_supply"] == "12162044.118203377"
    assert float(row["attributes"]["market_cap_usd"]) == pytest.approx(1216204411.8203377)


async def test_a_dead_token_has_no_price_and_a_curve_no_reserve(market: Market, upstreams: Upstreams) -> None:
    curve = next(token for token in market.tokens.values() if token.launchpad is not None)
    market.set_liquidity(JUP, 0.4)
    rows = {
        row["attributes"]["address"]: row["attributes"]
        for row in (await upstreams.listed([JUP, curve.mint]))["data"]
    }
    assert (rows[JUP]["price_usd"], rows[JUP]["fdv_usd"]) == (None, None)
    assert rows[curve.mint]["total_reserve_in_usd"] is None
    assert rows[curve.mint]["launchpad_details"]["completed"] is False


async def test_unknown_mints_are_left_out_and_pools_come_only_when_asked_for(upstreams: Upstreams) -> None:
    body = await upstreams.listed([SOL, UNKNOWN, STSOL, JUP])
    assert [row["attributes"]["symbol"] for row in body["data"]] == ["JUP", "SOL"]
    assert "included" not in body


async def test_top_pools_say_which_token_is_base_and_which_quote(market: Market, upstreams: Upstreams) -> None:
    turned = next(token for token in market.tokens.values() if token.quote_side_of is not None)
    junk = next(token for token in market.tokens.values() if token.quote not in market.tokens)
    body = await upstreams.listed([SOL, turned.mint, junk.mint], "?include=top_pools")
    pools = {pool["id"]: pool for pool in body["included"]}
    sides = {}
    for row in body["data"]:
        [top] = row["relationships"]["top_pools"]["data"]
        related = pools[top["id"]]["relationships"]
        sides[row["attributes"]["address"]] = tuple(
            related[f"{side}_token"]["data"]["id"] for side in ("base", "quote")
        )
    assert sides == {
        SOL: (f"solana_{SOL}", "solana_EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"),
        turned.mint: (f"solana_{JUP}", f"solana_{turned.mint}"),
        junk.mint: (f"solana_{junk.mint}", f"solana_{junk.quote}"),
    }


async def test_more_than_thirty_mints_are_refused(market: Market, upstreams: Upstreams) -> None:
    mints = list(market.tokens)[:31]
    assert len((await upstreams.listed(mints[:30]))["data"]) > 20
    assert (await upstreams.get("geckoterminal", f"/networks/solana/tokens/multi/{','.join(mints)}")).status == 400


async def test_trending_pools_come_in_pages_of_twenty_with_repetitions(upstreams: Upstreams) -> None:
    path = "/networks/solana/trending_pools?duration=1h&page="
    pages = [(await upstreams.get("geckoterminal", f"{path}{page}")).body["data"] for page in (1, 2, 10)]
    assert [len(page) for page in pages] == [20, 20, 0]
    base = [pool["relationships"]["base_token"]["data"]["id"] for pool in pages[0]]
    assert base[:2] == [f"solana_{SOL}"] * 2
    assert {pool["type"] for pool in pages[0]} == {"pool"}
    assert pages[0][2:] != pages[1][2:]


async def test_a_bad_duration_or_page_is_400(upstreams: Upstreams) -> None:
    for query in ("duration=2h", "page=0", "page=11", "page=x"):
        assert (await upstreams.get("geckoterminal", f"/networks/solana/trending_pools?{query}")).status == 400


async def test_pools_can_be_withheld(market: Market, upstreams: Upstreams) -> None:
    market.pools_withheld = True
    assert "included" not in await upstreams.listed([SOL], "?include=top_pools")

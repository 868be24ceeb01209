from decimal import Decimal

import pytest

from sidecar.demo import Market
from tests.demo.upstreams import BONK, JUP, SOL, STSOL, UNKNOWN, USDC, Upstreams


async def test_a_pair_has_prices_as_strings_and_money_as_numbers(market: Market, upstreams: Upstreams) -> None:
    market.set_price(BONK, 0.0000123)
    market.set_liquidity(BONK, 1234567.891)
    market.set_supply(BONK, total=Decimal(10**12), circulating=Decimal(10**12))
    [pair] = await upstreams.pairs([BONK])
    assert pair["baseToken"] == {"address": BONK, "name": "Bonk", "symbol": "Bonk"}
    assert pair["priceUsd"] == "0.0000123"
    assert isinstance(pair["priceNative"], str)
    assert pair["liquidity"]["usd"] == 1234567.89
    assert (pair["fdv"], pair["marketCap"]) == (12_300_000, 12_300_000)
    assert pair["url"] == f"https://dexscreener.com/solana/{pair['pairAddress'].lower()}"


async def test_a_small_cap_is_not_rounded_to_whole_dollars(market: Market, upstreams: Upstreams) -> None:
    market.set_price(BONK, 0.769073)
    market.set_supply(BONK, total=Decimal(10_000), circulating=None)
    [pair] = await upstreams.pairs([BONK])
    assert (pair["fdv"], pair["marketCap"]) == (7690.73, 7690.73)


async def test_sols_pair_has_neither_fdv_nor_market_cap(upstreams: Upstreams) -> None:
    [pair] = await upstreams.pairs([SOL])
    assert "priceUsd" in pair
    assert not {"fdv", "marketCap"} & set(pair)


async def test_the_market_cap_of_a_bridged_stablecoin_is_global(market: Market, upstreams: Upstreams) -> None:
    market.set_price(USDC, 1.0)
    [pair] = await upstreams.pairs([USDC])
    assert (pair["fdv"], pair["marketCap"]) == (9_312_044_871, 75_102_338_114)


async def test_a_price_of_zero_is_said_like_any_other(market: Market, upstreams: Upstreams) -> None:
    market.set_liquidity(BONK, 9000.0)
    market.set_price(SOL, 150.0)
    market.set_source_price("dexscreener", BONK, 0)
    [pair] = await upstreams.pairs([BONK])
    assert float(pair["priceUsd"]) == 0
    assert pair["liquidity"] == {"usd": 9000.0, "base": 0, "quote": 30.0}


async def test_unknown_mints_are_left_out_and_the_order_is_not_the_order_asked(upstreams: Upstreams) -> None:
    pairs = await upstreams.pairs([SOL, UNKNOWN, JUP, STSOL, JUP])
    assert [pair["baseToken"]["address"] for pair in pairs] == [JUP, SOL]
    assert await upstreams.pairs([UNKNOWN]) == []


async def test_a_curve_has_no_liquidity_object(market: Market, upstreams: Upstreams) -> None:
    curve = next(token for token in market.tokens.values() if token.launchpad is not None)
    [pair] = await upstreams.pairs([curve.mint])
    assert pair["dexId"] == "pumpfun"
    assert "liquidity" not in pair
    assert pair["fdv"] == pytest.approx(market.price(curve.mint) * 1e9, abs=0.5)


async def test_the_wanted_mint_can_be_the_quote_token(market: Market, upstreams: Upstreams) -> None:
    token = next(token for token in market.tokens.values() if token.quote_side_of is not None)
    [pair] = await upstreams.pairs([token.mint])
    assert (pair["baseToken"]["address"], pair["quoteToken"]["address"]) == (JUP, token.mint)
    assert float(pair["priceUsd"]) == market.price(JUP)


async def test_a_pool_quoted_in_junk_looks_deep_and_may_have_no_price(
    market: Market, upstreams: Upstreams
) -> None:
    junk = [token for token in market.tokens.values() if token.quote not in market.tokens]
    pairs = [(await upstreams.pairs([token.mint]))[0] for token in junk]
    assert {pair["liquidity"]["usd"] for pair in pairs} == {2.2e9}
    assert ["priceUsd" in pair for pair in pairs] == [token.usd_quoted for token in junk]
    assert ["marketCap" in pair for pair in pairs] == [token.usd_quoted for token in junk]
    assert {token.usd_quoted for token in junk} == {True, False}


async def test_a_dead_pool_keeps_its_last_figures(market: Market, upstreams: Upstreams) -> None:
    dead = [t for t in market.tokens.values() if t.liquidity_usd is not None and t.liquidity_usd < 1]
    pairs = await upstreams.pairs([token.mint for token in dead])
    assert len(pairs) == len(dead) - 1  # stSOL is left out
    assert all(pair["liquidity"]["usd"] < 1 for pair in pairs)
    assert all(pair["marketCap"] > 9e8 for pair in pairs)


async def test_more_than_thirty_mints_are_refused(market: Market, upstreams: Upstreams) -> None:
    mints = list(market.tokens)[:31]
    assert len(await upstreams.pairs(mints[:30])) > 20
    assert (await upstreams.get("dexscreener", f"/tokens/v1/solana/{','.join(mints)}")).status == 400


async def test_boosts_mix_chains(upstreams: Upstreams) -> None:
    top = (await upstreams.get("dexscreener", "/token-boosts/top/v1")).body
    assert len(top) == 30
    assert {row["chainId"] for row in top} == {"solana", "base"}
    assert not any("amount" in row for row in top)
    assert SOL not in {row["tokenAddress"] for row in top}
    assert any("type" not in link for link in top[0]["links"])


async def test_a_pool_can_claim_more_than_its_quote_side_holds(market: Market, upstreams: Upstreams) -> None:
    market.set_price(SOL, 150.0)
    market.set_view("dexscreener", BONK, liquidity_usd=2.1e9, quote_reserve_usd=15.0)
    [pair] = await upstreams.pairs([BONK])
    assert (pair["liquidity"]["usd"], pair["liquidity"]["quote"]) == (2.1e9, 0.1)

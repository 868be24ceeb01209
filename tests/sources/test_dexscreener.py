from decimal import Decimal
from typing import Any

import pytest

from sidecar.errors import SchemaError
from sidecar.models import TRUSTED_QUOTE_MINTS, USDC, WRAPPED_SOL, Parsed, Priority, Quote
from sidecar.sources.dexscreener import DexScreener, parse_boosts, parse_quotes
from tests.sources.helpers import ALPHA, BETA, DEEP, GAMMA, JUNK, RECEIVED, FakeUpstream, encode

WANTED = frozenset({ALPHA, BETA})


def pair(
    base: str | None = ALPHA, quote: str | None = USDC, price: object = "0.5", usd: object = 2500.5, **changes: Any
) -> dict[str, Any]:
    """Make a pair as `/tokens/v1` sends it: prices are strings, liquidity is numbers."""
    return {
        "chainId": "solana",
        "dexId": "orca",
        "pairAddress": "pool",
        "labels": ["wp"],
        "baseToken": {"address": base, "name": "Alpha", "symbol": "ALF"},
        "quoteToken": {"address": quote, "name": "Other", "symbol": "OTH"},
        "priceNative": "0.004",
        "priceUsd": price,
        "priceChange": {"h24": -2.5},
        "volume": {"h24": 508326.67, "h6": 1},
        "liquidity": {"usd": usd, "base": 3000, "quote": 1100},
        "fdv": 77,
        "marketCap": 7700,
        "pairCreatedAt": 1750000000000,
    } | changes


def without(key: str, source: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in source.items() if name != key}


def parse(*pairs: object) -> Parsed[dict[Any, Quote]]:
    return parse_quotes(WANTED, encode(pairs), RECEIVED)


def test_a_pair_becomes_a_quote_of_its_base_token() -> None:
    parsed = parse(pair())
    quote = Quote(
        source="dexscreener",
        mint=ALPHA,
        received=RECEIVED,
        price_usd=Decimal("0.5"),
        liquidity_usd=Decimal("2500.5"),
        claimed_liquidity_usd=Decimal("2500.5"),
        unit="unknown",
        symbol="ALF",
        volume_24h_usd=Decimal("508326.67"),
        price_change_24h=Decimal("-0.025"),
    )
    assert (parsed.value, parsed.unreadable) == ({ALPHA: quote}, 0)


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        ({"usd": 2_156_806_791, "base": 2_156_811_170, "quote": 11.38}, "22.76"),
        ({"usd": 9000, "base": 1, "quote": 4000}, "8000"),
        ({"usd": 9000, "base": 1, "quote": "6000"}, "9000"),
        ({"usd": 9000, "quote": 0}, "0"),
        ({"usd": 9000, "quote": None}, "9000"),
        ({"usd": 9000}, "9000"),
        ({"usd": None, "quote": 50}, None),
        ({"usd": 9000, "quote": -1}, "9000"),
    ],
)
def test_liquidity_is_what_the_quote_side_is_worth_twice_and_no_more_than_the_pair_says(
    said: dict[str, Any], counted: str | None
) -> None:
    quote = parse(pair(price="1.0", priceNative="1.0", liquidity=said)).value[ALPHA]
    assert quote.liquidity_usd == (None if counted is None else Decimal(counted))


def test_the_quote_side_is_priced_by_the_pair_itself() -> None:
    quote = parse(pair(price="0.5", priceNative="0.004", liquidity={"usd": 9000, "quote": 10})).value[ALPHA]
    assert quote.liquidity_usd == 2 * 10 * Decimal(125)


@pytest.mark.parametrize("native", [None, "0", "-1", "NaN", "1e-60", "abc", {}])
def test_without_a_native_price_the_quote_side_counts_for_nothing_and_the_pairs_own_figure_stands(
    native: object,
) -> None:
    assert parse(pair(priceNative=native, usd=9000)).value[ALPHA].liquidity_usd == Decimal(9000)


@pytest.mark.parametrize("odd", [None, [], "x", {"h24": "much"}, {"h24": None}, {}])
def test_an_odd_volume_or_change_is_unknown_and_spoils_nothing(odd: object) -> None:
    quote = parse(pair(volume=odd, priceChange=odd)).value[ALPHA]
    assert (quote.price_usd, quote.volume_24h_usd, quote.price_change_24h) == (Decimal("0.5"), None, None)


def test_the_legacy_object_is_read_like_the_bare_list() -> None:
    body = encode({"schemaVersion": "1.0.0", "pairs": [pair()]})
    assert parse_quotes(WANTED, body, RECEIVED) == parse(pair())


@pytest.mark.parametrize("body", [b"[]", b'{"schemaVersion":"1.0.0","pairs":null}', b'{"pairs":[]}'])
def test_no_match_is_an_answer(body: bytes) -> None:
    assert parse_quotes(WANTED, body, RECEIVED) == Parsed({}, 0)


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"pairs":7}', b'{"error":"x"}', b"<html>", DEEP])
def test_another_shape_is_a_schema_error(body: bytes) -> None:
    with pytest.raises(SchemaError):
        parse_quotes(WANTED, body, RECEIVED)


def test_a_mint_that_is_only_the_quote_token_gets_a_mark_and_no_figures() -> None:
    parsed = parse(pair(base=JUNK, quote=ALPHA))
    mark = Quote(
        source="dexscreener", mint=ALPHA, received=RECEIVED, price_usd=None, liquidity_usd=None, quote_side=True
    )
    assert (parsed.value, parsed.unreadable) == ({ALPHA: mark}, 0)


def test_a_pair_of_its_own_beats_the_quote_side_in_any_order() -> None:
    own, other = pair(price="3", usd=1), pair(base=JUNK, quote=ALPHA, usd=9_000_000)
    for pairs in ((own, other), (other, own)):
        assert parse(*pairs).value[ALPHA].price_usd == 3


def test_a_pair_of_its_own_without_any_figure_still_beats_the_quote_side() -> None:
    own = pair(quote=JUNK, price=None, usd=None)
    assert not parse(pair(base=JUNK, quote=ALPHA), own).value[ALPHA].quote_side


def test_one_pair_serves_both_of_its_wanted_tokens() -> None:
    parsed = parse(pair(base=ALPHA, quote=BETA))
    assert {mint: quote.quote_side for mint, quote in parsed.value.items()} == {ALPHA: False, BETA: True}


def test_the_deepest_pool_wins() -> None:
    parsed = parse(pair(price="1", usd=500), pair(price="2", usd="500000.5"), pair(price="3", usd=None))
    assert parsed.value[ALPHA].price_usd == 2


def test_the_first_of_equally_deep_pools_wins() -> None:
    assert parse(pair(price="1"), pair(price="2")).value[ALPHA].price_usd == 1


def test_a_pool_against_a_trusted_token_beats_a_deeper_one_against_junk() -> None:
    quote = parse(pair(quote=JUNK, price="9", usd=80_000_000), pair(price="2", usd=400)).value[ALPHA]
    assert (quote.price_usd, quote.trusted) == (Decimal(2), True)


@pytest.mark.parametrize(("usd", "price"), [(0, 9), (99.99, 9), (100, 2), (None, 2)])
def test_a_trusted_pool_known_to_be_dead_loses_to_a_live_one(usd: object, price: int) -> None:
    parsed = parse(pair(price="2", usd=usd), pair(quote=JUNK, price="9", usd=50_000))
    assert parsed.value[ALPHA].price_usd == price


def test_a_dead_pool_loses_to_one_of_unknown_depth() -> None:
    parsed = parse(pair(price="2", usd=99), pair(price="9", usd=None))
    assert parsed.value[ALPHA].price_usd == 9


def test_a_pool_with_a_price_beats_a_deeper_one_without() -> None:
    parsed = parse(pair(price=None, usd=9_000_000), pair(quote=JUNK, price="4", usd=1))
    assert parsed.value[ALPHA].price_usd == 4


@pytest.mark.parametrize("quote_mint", sorted(TRUSTED_QUOTE_MINTS))
def test_sol_and_the_known_dollars_are_trusted(quote_mint: str) -> None:
    assert parse(pair(quote=quote_mint)).value[ALPHA].trusted


@pytest.mark.parametrize("quote_mint", [JUNK, WRAPPED_SOL.lower(), None])
def test_any_other_quote_token_is_not_trusted_and_its_figure_is_kept(quote_mint: str | None) -> None:
    quote = parse(pair(quote=quote_mint, usd=0.59)).value[ALPHA]
    assert (quote.trusted, quote.liquidity_usd) == (False, Decimal("0.59"))


def test_a_pair_without_a_quote_token_is_not_trusted() -> None:
    assert not parse(without("quoteToken", pair())).value[ALPHA].trusted


@pytest.mark.parametrize(
    "curve", [without("liquidity", pair()), pair(liquidity=None), pair(liquidity={}), pair(usd=None), pair(usd=-5)]
)
def test_a_bonding_curve_has_a_price_and_an_unknown_liquidity(curve: object) -> None:
    quote = parse(curve).value[ALPHA]
    assert (quote.price_usd, quote.liquidity_usd) == (Decimal("0.5"), None)


def test_a_drained_pool_is_known_to_be_empty() -> None:
    assert parse(pair(usd=0)).value[ALPHA].liquidity_usd == 0


def test_a_pair_without_a_dollar_price_knows_the_token() -> None:
    assert parse(without("priceUsd", pair())).value[ALPHA].price_usd is None


def test_other_chains_and_other_tokens_are_left_out() -> None:
    parsed = parse(pair(chainId="ethereum"), pair(base=JUNK), pair(base=ALPHA.lower()))
    assert (parsed.value, parsed.unreadable) == ({}, 0)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        {},
        without("chainId", pair()),
        without("baseToken", pair()),
        pair(base=None),
        pair(price="abc"),
        pair(price="NaN"),
        pair(price=False),
        pair(usd="deep"),
        pair(liquidity=5),
        pair(quoteToken="USDC"),
    ],
)
def test_an_unreadable_pair_is_counted_and_the_others_are_used(bad: object) -> None:
    parsed = parse(bad, pair(base=BETA))
    assert (set(parsed.value), parsed.unreadable) == ({BETA}, 1)


def test_boosts_of_solana_come_in_order_and_once() -> None:
    rows = [
        {"chainId": "solana", "tokenAddress": GAMMA, "totalAmount": 500},
        {"chainId": "base", "tokenAddress": "0xabc"},
        {"chainId": "solana", "tokenAddress": ALPHA, "links": [{"url": "x"}]},
        {"chainId": "solana", "tokenAddress": GAMMA},
        {"chainId": "solana", "tokenAddress": "0xabc"},
        {"chainId": "solana"},
    ]
    parsed = parse_boosts(encode(rows), RECEIVED)
    assert (parsed.value, parsed.unreadable) == ([GAMMA, ALPHA], 2)


def test_boosts_that_are_no_list_are_a_schema_error() -> None:
    with pytest.raises(SchemaError):
        parse_boosts(b'{"pairs":null}', RECEIVED)


async def test_a_batch_is_one_call_with_the_mints_in_the_path() -> None:
    upstream = FakeUpstream([pair()])
    parsed = await DexScreener(upstream.as_upstream()).quotes([ALPHA, BETA], Priority.MISS)
    assert set(parsed.value) == {ALPHA}
    assert [(asked.path, asked.params, asked.priority) for asked in upstream.asked] == [
        (f"/tokens/v1/solana/{ALPHA},{BETA}", {}, Priority.MISS)
    ]


async def test_trending_is_the_top_boosts() -> None:
    upstream = FakeUpstream([{"chainId": "solana", "tokenAddress": BETA}])
    parsed = await DexScreener(upstream.as_upstream()).trending(Priority.TRACKED)
    assert parsed.value == [BETA]
    assert [(asked.path, asked.params) for asked in upstream.asked] == [("/token-boosts/top/v1", {})]

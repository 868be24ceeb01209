from decimal import Decimal
from typing import Any

import pytest

from sidecar.errors import SchemaError
from sidecar.models import USDC, WRAPPED_SOL, Priority, Quote
from sidecar.sources.geckoterminal import GeckoTerminal, parse_quotes, parse_trending
from tests.sources.helpers import ALPHA, BETA, DEEP, GAMMA, JUNK, RECEIVED, FakeUpstream, encode

WANTED = frozenset({ALPHA, BETA, WRAPPED_SOL})
ACCEPT = {"Accept": "application/json;version=20230302"}


def token(mint: str = ALPHA, pools: list[str] | None = None, **changes: Any) -> dict[str, Any]:
    """Make a row of tokens/multi: every figure is a string."""
    attributes = {
        "address": mint,
        "name": "Alpha",
        "symbol": "ALF",
        "decimals": 6,
        "coingecko_coin_id": None,
        "total_supply": "1000500000.0",
        "normalized_total_supply": "1000.5",
        "price_usd": "0.25",
        "fdv_usd": "250.125",
        "total_reserve_in_usd": "41000.125",
        "market_cap_usd": "99999.0",
        "volume_usd": {"h24": "1.0"},
    }
    refs = [{"id": pool, "type": "pool"} for pool in pools or []]
    return {
        "id": f"solana_{mint}",
        "type": "token",
        "attributes": attributes | changes,
        "relationships": {"top_pools": {"data": refs}},
    }


def pool(name: str, base: str, quote: str, reserve: object = None) -> dict[str, Any]:
    sides = {"base_token": base, "quote_token": quote}
    return {
        "id": name,
        "type": "pool",
        "attributes": {"reserve_in_usd": reserve},
        "relationships": {
            side: {"data": {"id": f"solana_{mint}", "type": "token"}} for side, mint in sides.items()
        },
    }


def quote_of(*tokens: object, included: list[object] | None = None) -> Quote:
    parsed = parse_quotes(WANTED, encode({"data": tokens, "included": included}), RECEIVED)
    assert parsed.unreadable == 0
    return parsed.value[ALPHA]


def test_a_row_becomes_a_quote_and_its_market_cap_is_not_read() -> None:
    assert quote_of(token()) == Quote(
        source="geckoterminal",
        mint=ALPHA,
        received=RECEIVED,
        price_usd=Decimal("0.25"),
        liquidity_usd=Decimal("41000.125"),
        claimed_liquidity_usd=Decimal("41000.125"),
        unit="raw",
        symbol="ALF",
        decimals=6,
        total_supply=Decimal("1000.5"),
        trusted=False,
        volume_24h_usd=Decimal("1.0"),
    )


@pytest.mark.parametrize("odd", [None, [], "x", {"h24": "much"}, {}])
def test_odd_decimals_or_volume_are_unknown_and_spoil_nothing(odd: object) -> None:
    quote = quote_of(token(decimals=odd, volume_usd=odd))
    assert (quote.price_usd, quote.decimals, quote.volume_24h_usd) == (Decimal("0.25"), None, None)


def test_strings_of_many_digits_stay_exact() -> None:
    text = "17.0" + "123456789" * 14
    quote = quote_of(token(total_reserve_in_usd=text, price_usd="0.0" + "3" * 70))
    assert (str(quote.liquidity_usd), str(quote.price_usd)) == (text, "0.0" + "3" * 70)


def test_null_figures_are_unknown() -> None:
    figures = ("price_usd", "total_reserve_in_usd", "normalized_total_supply", "symbol", "decimals", "volume_usd")
    unknown: dict[str, Any] = dict.fromkeys(figures)
    quote = quote_of(token(**unknown))
    assert quote == Quote(
        source="geckoterminal",
        mint=ALPHA,
        received=RECEIVED,
        price_usd=None,
        liquidity_usd=None,
        unit="raw",
        trusted=False,
    )


def test_what_is_wrapped_is_not_the_supply_of_sol() -> None:
    parsed = parse_quotes(WANTED, encode({"data": [token(WRAPPED_SOL)]}), RECEIVED)
    assert (parsed.value[WRAPPED_SOL].price_usd, parsed.value[WRAPPED_SOL].total_supply) == (Decimal("0.25"), None)


@pytest.mark.parametrize(
    ("pools", "trusted"),
    [
        ([pool("p", ALPHA, USDC)], True),
        ([pool("p", WRAPPED_SOL, ALPHA)], True),
        ([pool("p", ALPHA, JUNK)], False),
        ([pool("p", JUNK, ALPHA)], False),
        ([pool("p", ALPHA, JUNK), pool("q", ALPHA, WRAPPED_SOL)], True),
        ([pool("p", ALPHA, JUNK), pool("q", JUNK, ALPHA)], False),
        ([pool("another token's", ALPHA, USDC)], False),
        ([], False),
        (None, False),
    ],
)
def test_liquidity_is_trusted_where_a_known_top_pool_is_against_a_trusted_token(
    pools: list[object] | None, *, trusted: bool
) -> None:
    assert quote_of(token(pools=["p", "q"]), included=pools).trusted is trusted


@pytest.mark.parametrize(
    ("pools", "liquidity"),
    [
        ([pool("p", ALPHA, JUNK, "2200000000"), pool("q", ALPHA, WRAPPED_SOL, "10.25")], "10.25"),
        ([pool("p", ALPHA, USDC, "30000.5"), pool("q", WRAPPED_SOL, ALPHA, 1200)], "31200.5"),
        ([pool("p", ALPHA, USDC, "30000.5"), pool("q", ALPHA, WRAPPED_SOL, None)], "30000.5"),
        ([pool("p", ALPHA, USDC, "0.0"), pool("q", ALPHA, JUNK, "7000")], "0"),
        ([pool("p", ALPHA, USDC, None), pool("q", ALPHA, JUNK, "7000")], None),
        ([pool("p", ALPHA, USDC, "-3"), pool("q", ALPHA, JUNK, "7000")], None),
        ([pool("p", ALPHA, USDC) | {"attributes": None}], None),
        ([pool("p", ALPHA, JUNK, "7000")], "41000.125"),
        ([pool("another token's", ALPHA, USDC, "7000")], "41000.125"),
    ],
)
def test_next_to_a_trusted_pool_only_the_reserves_of_trusted_pools_count(
    pools: list[object], liquidity: str | None
) -> None:
    quote = quote_of(token(pools=["p", "q"]), included=pools)
    assert quote.liquidity_usd == (None if liquidity is None else Decimal(liquidity))


def test_a_pool_that_is_named_twice_counts_once() -> None:
    quote = quote_of(token(pools=["p", "p"]), included=[pool("p", ALPHA, USDC, "9000")])
    assert (quote.liquidity_usd, quote.trusted) == (Decimal(9000), True)


def test_rows_that_were_not_asked_for_are_left_out() -> None:
    parsed = parse_quotes(WANTED, encode({"data": [token(JUNK), token(ALPHA.lower())]}), RECEIVED)
    assert (parsed.value, parsed.unreadable) == ({}, 0)


def test_no_match_is_an_answer() -> None:
    assert parse_quotes(WANTED, b'{"data":[]}', RECEIVED).value == {}


@pytest.mark.parametrize(
    "bad",
    [
        None,
        {},
        {"attributes": None},
        {"attributes": {}},
        token(price_usd="abc"),
        token(price_usd="NaN"),
        token(price_usd=True),
        token(total_reserve_in_usd="-"),
        token(normalized_total_supply={}),
        token() | {"relationships": {"top_pools": {"data": "none"}}},
    ],
)
def test_an_unreadable_row_is_counted_and_the_others_are_used(bad: object) -> None:
    parsed = parse_quotes(WANTED, encode({"data": [bad, token(BETA)]}), RECEIVED)
    assert (set(parsed.value), parsed.unreadable) == ({BETA}, 1)


def test_an_unreadable_pool_is_counted_and_the_quotes_are_used() -> None:
    body = {"data": [token(pools=["p"])], "included": [{"id": "p", "relationships": {}}]}
    parsed = parse_quotes(WANTED, encode(body), RECEIVED)
    assert (parsed.value[ALPHA].price_usd, parsed.unreadable) == (Decimal("0.25"), 1)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{}", b'{"data":null}', b'{"status":{"error_code":429}}', b'{"data":' + DEEP]
)
def test_another_shape_is_a_schema_error(body: bytes) -> None:
    with pytest.raises(SchemaError):
        parse_quotes(WANTED, body, RECEIVED)
    with pytest.raises(SchemaError):
        parse_trending(body, RECEIVED)


def test_trending_is_the_base_tokens_of_the_pools_in_order_and_once() -> None:
    pools = [
        pool("1", GAMMA, USDC),
        pool("2", ALPHA, WRAPPED_SOL),
        pool("3", GAMMA, WRAPPED_SOL),
        pool("4", "0xabc", WRAPPED_SOL),
        {"id": "5"},
    ]
    parsed = parse_trending(encode({"data": pools}), RECEIVED)
    assert (parsed.value, parsed.unreadable) == ([GAMMA, ALPHA], 2)


async def test_a_batch_is_one_call_with_its_top_pools() -> None:
    upstream = FakeUpstream({"data": [token(BETA)]})
    parsed = await GeckoTerminal(upstream.as_upstream()).quotes([ALPHA, BETA], Priority.TRACKED)
    assert set(parsed.value) == {BETA}
    assert [(asked.path, asked.params, asked.headers, asked.priority) for asked in upstream.asked] == [
        (f"/networks/solana/tokens/multi/{ALPHA},{BETA}", {"include": "top_pools"}, ACCEPT, Priority.TRACKED)
    ]


async def test_trending_is_the_first_page_of_the_last_hour() -> None:
    upstream = FakeUpstream({"data": [pool("1", BETA, USDC)]})
    parsed = await GeckoTerminal(upstream.as_upstream()).trending(Priority.TRACKED)
    assert parsed.value == [BETA]
    assert [(asked.path, asked.params, asked.headers) for asked in upstream.asked] == [
        ("/networks/solana/trending_pools", {"duration": "1h", "page": "1"}, ACCEPT)
    ]

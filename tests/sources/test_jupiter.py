from decimal import Decimal
from typing import Any

import pytest

from sidecar.errors import SchemaError
from sidecar.models import Parsed, Priority, Quote
from sidecar.sources.jupiter import Jupiter, parse_quotes, parse_trending
from tests.sources.helpers import ALPHA, BETA, DEEP, GAMMA, JUNK, RECEIVED, FakeUpstream, encode

WANTED = frozenset({ALPHA, BETA})


def row(mint: str = ALPHA, **changes: Any) -> dict[str, Any]:
    """Make a MintInformation with what a verified token has, and fields we do not read."""
    return {
        "id": mint,
        "name": "Alpha",
        "symbol": "ALF",
        "decimals": 6,
        "circSupply": 600.5,
        "totalSupply": 1000.25,
        "mcap": 1.0,
        "fdv": 2.0,
        "usdPrice": 0.25,
        "priceBlockId": 448000000,
        "isVerified": True,
        "stats24h": {"priceChange": 4.5, "buyVolume": 1000.25, "sellVolume": 500, "numBuys": 3},
        "liquidity": 52000.75,
        "organicScore": 71.5,
        "audit": {"mintAuthorityDisabled": True},
        "tags": ["verified"],
    } | changes


def test_a_row_becomes_a_quote() -> None:
    parsed = parse_quotes(WANTED, encode([row()]), RECEIVED)
    quote = Quote(
        source="jupiter",
        mint=ALPHA,
        received=RECEIVED,
        price_usd=Decimal("0.25"),
        liquidity_usd=Decimal("52000.75"),
        price_slot=448000000,
        symbol="ALF",
        decimals=6,
        total_supply=Decimal("1000.25"),
        circulating_supply=Decimal("600.5"),
        volume_24h_usd=Decimal("1500.25"),
        price_change_24h=Decimal("0.045"),
        verified=True,
    )
    assert parsed == Parsed({ALPHA: quote}, 0, slot=448000000)


def test_the_slot_of_an_answer_is_the_newest_of_the_wanted_rows() -> None:
    rows = [row(), row(BETA, priceBlockId=448000900), row(JUNK, priceBlockId=2**60)]
    assert parse_quotes(WANTED, encode(rows), RECEIVED).slot == 448000900


@pytest.mark.parametrize("odd", [None, [], "x", -1, 2**70, 1.5, {"priceChange": "much"}])
def test_odd_extras_are_unknown_and_spoil_nothing(odd: object) -> None:
    extras: dict[str, Any] = dict.fromkeys(("decimals", "priceBlockId", "isVerified", "stats24h"), odd)
    parsed = parse_quotes(WANTED, encode([row(**extras)]), RECEIVED)
    quote = parsed.value[ALPHA]
    assert (parsed.unreadable, parsed.slot, quote.price_usd) == (0, None, Decimal("0.25"))
    assert (quote.decimals, quote.price_slot, quote.volume_24h_usd, quote.price_change_24h) == (None,) * 4
    assert quote.verified is False


def test_figures_keep_every_digit_of_the_answer() -> None:
    body = f'[{{"id":"{ALPHA}","usdPrice":2.9000000000000000000001e-06,"circSupply":"123456789012345678901.5"}}]'
    quote = parse_quotes(WANTED, body.encode(), RECEIVED).value[ALPHA]
    assert str(quote.price_usd) == "0.0000029000000000000000000001"
    assert str(quote.circulating_supply) == "123456789012345678901.5"


def test_what_a_row_does_not_say_is_unknown() -> None:
    quote = parse_quotes(WANTED, encode([{"id": ALPHA}]), RECEIVED).value[ALPHA]
    assert quote == Quote(
        source="jupiter", mint=ALPHA, received=RECEIVED, price_usd=None, liquidity_usd=None, verified=False
    )


def test_null_is_what_absent_is() -> None:
    figures = ("symbol", "usdPrice", "liquidity", "circSupply", "totalSupply")
    extras = ("decimals", "priceBlockId", "isVerified", "stats24h")
    nulls = dict.fromkeys((*figures, *extras))
    parsed = parse_quotes(WANTED, encode([row() | nulls]), RECEIVED)
    assert parsed == parse_quotes(WANTED, encode([{"id": ALPHA}]), RECEIVED)


def test_rows_that_were_not_asked_for_are_left_out() -> None:
    rows = [row(JUNK), row(ALPHA.lower()), row(BETA, usdPrice="7")]
    parsed = parse_quotes(WANTED, encode(rows), RECEIVED)
    assert ({mint: quote.price_usd for mint, quote in parsed.value.items()}, parsed.unreadable) == (
        {BETA: Decimal(7)},
        0,
    )


def test_of_two_rows_of_a_mint_the_first_counts() -> None:
    parsed = parse_quotes(WANTED, encode([row(usdPrice=1), row(usdPrice=2)]), RECEIVED)
    assert parsed.value[ALPHA].price_usd == 1


@pytest.mark.parametrize("price", [0, -1, "-0.5", "0.0"])
def test_a_price_of_zero_or_less_is_left_for_valuation_to_refuse(price: object) -> None:
    parsed = parse_quotes(WANTED, encode([row(usdPrice=price)]), RECEIVED)
    assert parsed.value[ALPHA].price_usd == Decimal(str(price))


def test_optional_figures_without_sense_are_unknown_and_the_price_stays() -> None:
    senseless = row(liquidity=-1, totalSupply="NaN", circSupply="1e70")
    quote = parse_quotes(WANTED, encode([senseless]), RECEIVED).value[ALPHA]
    assert (quote.price_usd, quote.liquidity_usd, quote.total_supply, quote.circulating_supply) == (
        Decimal("0.25"),
        None,
        None,
        None,
    )


def test_a_circulating_supply_of_zero_is_left_for_valuation_to_count() -> None:
    assert parse_quotes(WANTED, encode([row(circSupply=0)]), RECEIVED).value[ALPHA].circulating_supply == 0


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        "text",
        {},
        row(usdPrice="abc"),
        row(usdPrice=True),
        row(usdPrice="NaN"),
        row(usdPrice="Infinity"),
        row(usdPrice="1e41"),
        row(usdPrice={}),
        row(liquidity="deep"),
        row(totalSupply=[]),
        row(symbol=7),
        row() | {"id": 7},
        row() | {"id": None},
    ],
)
def test_an_unreadable_row_is_counted_and_the_others_are_used(bad: object) -> None:
    parsed = parse_quotes(WANTED, encode([bad, row(BETA, usdPrice=3)]), RECEIVED)
    assert ({mint: quote.price_usd for mint, quote in parsed.value.items()}, parsed.unreadable) == (
        {BETA: Decimal(3)},
        1,
    )


def test_bad_utf_8_loses_only_its_row() -> None:
    body = encode([row(symbol="@@@"), row(BETA)]).replace(b"@@@", b"\xff\xfe\xff")
    parsed = parse_quotes(WANTED, body, RECEIVED)
    assert (set(parsed.value), parsed.unreadable) == ({BETA}, 1)


@pytest.mark.parametrize(
    "body", [b"", b"null", b"{}", b'{"error":"overloaded"}', b"<html></html>", b"[{]", b"[1] x", DEEP]
)
def test_an_answer_that_is_no_list_is_a_schema_error(body: bytes) -> None:
    with pytest.raises(SchemaError):
        parse_quotes(WANTED, body, RECEIVED)
    with pytest.raises(SchemaError):
        parse_trending(body, RECEIVED)


def test_the_trending_list_keeps_its_order_and_names_each_mint_once() -> None:
    rows = [row(GAMMA), row(ALPHA), {"id": GAMMA}, {"id": "no mint"}, row(BETA, usdPrice="abc")]
    parsed = parse_trending(encode(rows), RECEIVED)
    assert (parsed.value, parsed.unreadable) == ([GAMMA, ALPHA, BETA], 1)


async def test_a_batch_is_one_search() -> None:
    upstream = FakeUpstream([row(BETA), row(JUNK)])
    parsed = await Jupiter(upstream.as_upstream()).quotes([ALPHA, BETA], Priority.POPULAR)
    assert set(parsed.value) == {BETA}
    assert [(asked.path, asked.params, asked.priority) for asked in upstream.asked] == [
        ("/tokens/v2/search", {"query": f"{ALPHA},{BETA}"}, Priority.POPULAR)
    ]


async def test_trending_is_one_call_for_a_hundred_rows() -> None:
    upstream = FakeUpstream([row(BETA)])
    parsed = await Jupiter(upstream.as_upstream()).trending(Priority.TRACKED)
    assert parsed.value == [BETA]
    assert [(asked.path, asked.params, asked.priority) for asked in upstream.asked] == [
        ("/tokens/v2/toptrending/1h", {"limit": "100"}, Priority.TRACKED)
    ]

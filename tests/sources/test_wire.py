from decimal import Decimal

import pytest
from msgspec import Raw
from msgspec.json import Decoder

from sidecar.errors import SchemaError
from sidecar.models import USDC
from sidecar.sources import wire
from tests.sources.helpers import DEEP, encode

NUMBER = Decoder(Decimal)


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        (b"2.9e-06", "0.0000029"),
        (b"1E5", "1E+5"),
        (b"0.1000000000000000000000000000000000000001", "0.1000000000000000000000000000000000000001"),
        (b'"1.25"', "1.25"),
        (b'"5e-3"', "0.005"),
        (b"18446744073709551617", "18446744073709551617"),
        (b"9e40", "9E+40"),
        (b"1e-40", "1E-40"),
        (b'"0.0"', "0"),
        (b'"0e-99"', "0"),
        (b"-3.5", "-3.5"),
        (b'"' + b"7." + b"1" * 399 + b'"', "7." + "1" * 399),
    ],
)
def test_a_number_is_the_exact_decimal_of_its_text(text: bytes, exact: str) -> None:
    assert str(wire.figure(wire.decode(NUMBER, text))) == exact


@pytest.mark.parametrize(
    "text",
    [
        b'"NaN"',
        b'"sNaN"',
        b'"-Infinity"',
        b"1e41",
        b"-1e41",
        b"9.9e-41",
        b"1e999",
        b'"' + b"7." + b"1" * 400 + b'"',
    ],
)
def test_a_number_that_cannot_be_reckoned_with_is_no_figure(text: bytes) -> None:
    assert wire.figure(wire.decode(NUMBER, text)) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        b'"abc"',
        b"true",
        b"null",
        b"[1]",
        b"1 2",
        b"NaN",
        b"1e99999999999999999999",
        b'"\xff"',
        DEEP,
    ],
)
def test_what_is_no_number_is_a_schema_error(data: bytes) -> None:
    with pytest.raises(SchemaError):
        wire.decode(NUMBER, data)


def test_the_text_of_a_schema_error_is_bounded() -> None:
    with pytest.raises(SchemaError) as caught:
        wire.decode(Decoder(dict[str, int]), encode({"k" * 5000: "x"}))
    assert len(str(caught.value)) <= 200


def test_a_price_is_passed_on_as_it_was_said() -> None:
    assert [wire.price(number) for number in (None, Decimal(0), Decimal(-2), Decimal("1.5"))] == [
        None,
        Decimal(0),
        Decimal(-2),
        Decimal("1.5"),
    ]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e50", "1e-50"])
def test_a_price_that_is_no_figure_is_a_schema_error(number: str) -> None:
    with pytest.raises(SchemaError):
        wire.price(Decimal(number))


def test_a_liquidity_of_zero_is_known_and_a_negative_one_is_not() -> None:
    assert wire.liquidity(Decimal(0)) == 0
    assert wire.liquidity(Decimal(-1)) is None
    assert wire.liquidity(Decimal("NaN")) is None


def test_a_total_supply_of_zero_or_less_is_unknown() -> None:
    assert [wire.total_supply(Decimal(number)) for number in ("0", "-1", "1e60", "0.5")] == [
        None,
        None,
        None,
        Decimal("0.5"),
    ]


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        (None, None),
        ("", None),
        ("  ", None),
        ("\n\t\x00", None),
        (" WIF\n", "WIF"),
        ("\u202egnp.exe", "gnp.exe"),
        ("$" * 40, "$" * 32),
        ("\x00" * 100_000 + "A", None),
    ],
)
def test_a_symbol_is_a_few_printable_characters(text: str | None, symbol: str | None) -> None:
    assert wire.symbol(text) == symbol


def test_a_mint_keeps_its_case_and_must_be_one() -> None:
    assert wire.mint(USDC) == USDC
    with pytest.raises(SchemaError):
        wire.mint(USDC.lower())


def test_a_bad_row_does_not_lose_the_others() -> None:
    rows = wire.read_rows(wire.rows(b'[1, "x", 3, null, [], 6]'), Decoder(int), lambda number: number)
    assert (rows.value, rows.unreadable) == ([1, 3, 6], 3)


def test_a_row_that_does_not_concern_us_is_not_unreadable() -> None:
    rows = wire.read_rows(wire.rows(b"[1, 2, 3]"), Decoder(int), lambda number: number if number != 2 else None)
    assert (rows.value, rows.unreadable) == ([1, 3], 0)


def test_rows_beyond_the_limit_are_not_looked_at() -> None:
    raws = [Raw(b"1")] * wire.MAX_ROWS + [Raw(b"x")] * 5
    rows = wire.read_rows(raws, Decoder(int), lambda number: number)
    assert (len(rows.value), rows.unreadable) == (1000, 0)

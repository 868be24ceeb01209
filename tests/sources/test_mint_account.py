import math
import struct
from decimal import Decimal

import pytest

from sidecar.errors import SchemaError
from sidecar.models import ScaledUiAmount
from sidecar.sources.mint_account import SPL_2022_PROGRAM, SPL_PROGRAM, read_supply
from tests.sources.accounts import extended, extension, mint_bytes, scaled
from tests.sources.helpers import RECEIVED

SYSTEM_PROGRAM = "11111111111111111111111111111111"
U64_MAX = 2**64 - 1


@pytest.mark.parametrize(
    ("supply", "decimals", "total"),
    [
        (1_234_567_890, 6, "1234.567890"),
        (U64_MAX, 0, "18446744073709551615"),
        (U64_MAX, 9, "18446744073.709551615"),
        (5, 30, "5E-30"),
        (0, 9, "0"),
    ],
)
@pytest.mark.parametrize("program", [SPL_PROGRAM, SPL_2022_PROGRAM])
def test_the_supply_is_exact_in_whole_tokens(supply: int, decimals: int, total: str, program: str) -> None:
    read = read_supply(program, mint_bytes(supply, decimals), RECEIVED)
    assert read is not None
    assert (str(read.total), read.circulating, read.scaled, read.received) == (total, None, None, RECEIVED)


@pytest.mark.parametrize(
    ("owner", "data"),
    [
        pytest.param(SYSTEM_PROGRAM, b"", id="a wallet"),
        pytest.param(SYSTEM_PROGRAM, mint_bytes(), id="a mint's bytes, another owner"),
        pytest.param(SPL_PROGRAM, mint_bytes().ljust(165, b"\1"), id="a token account"),
        pytest.param(SPL_PROGRAM, extended(), id="SPL Token has no extensions"),
        pytest.param(SPL_PROGRAM, mint_bytes()[:81], id="a byte short"),
        pytest.param(SPL_PROGRAM, mint_bytes(initialized=False), id="not initialized"),
        pytest.param(SPL_PROGRAM, mint_bytes(decimals=255), id="no supply to reckon with"),
        pytest.param(SPL_2022_PROGRAM, mint_bytes().ljust(165, b"\0"), id="a Token-2022 account"),
        pytest.param(SPL_2022_PROGRAM, extended(kind=2), id="a Token-2022 account with extensions"),
        pytest.param(SPL_2022_PROGRAM, extended(kind=0), id="a Token-2022 account of no type"),
        pytest.param(SPL_2022_PROGRAM, extended(bytes(189)), id="a multisig"),
        pytest.param(SPL_2022_PROGRAM, extended(base=mint_bytes(initialized=False)), id="not initialized 2022"),
    ],
)
def test_what_is_no_mint_has_no_supply(owner: str, data: bytes) -> None:
    assert read_supply(owner, data, RECEIVED) is None


@pytest.mark.parametrize(
    "extensions",
    [
        [],
        [extension(3, bytes(32))],
        [extension(3, bytes(32)), extension(19, b"x" * 300)],
        [extension(3, bytes(32)), b"\0"],
        [extension(3, bytes(32)), bytes(64)],
        [extension(10, bytes(52))],
        [extension(0, b""), scaled(0, 0, 0)],
    ],
)
def test_extensions_that_do_not_scale_leave_the_supply_alone(extensions: list[bytes]) -> None:
    read = read_supply(SPL_2022_PROGRAM, extended(*extensions), RECEIVED)
    assert read is not None
    assert (str(read.total), read.scaled) == ("1234.567890", None)


def test_a_scaled_mint_tells_both_multipliers_and_when_they_change() -> None:
    data = extended(extension(3, bytes(32)), scaled(1.1, 2.5, 1_795_000_000), extension(18, bytes(64)))
    read = read_supply(SPL_2022_PROGRAM, data, RECEIVED)
    assert read is not None
    assert read.scaled == ScaledUiAmount(
        multiplier=Decimal("1.1"), next_multiplier=Decimal("2.5"), next_from_unix=1_795_000_000
    )
    assert (read.scaled.at(1_794_999_999.9), read.scaled.at(1_795_000_000)) == (Decimal("1.1"), Decimal("2.5"))
    assert str(read.total) == "1234.567890"


@pytest.mark.parametrize("number", [0.0, -0.0, -1.0, math.nan, math.inf, -math.inf, 1e41, 1e-41])
def test_a_multiplier_that_is_not_positive_and_finite_is_unreadable(number: float) -> None:
    for extensions in (scaled(number, 1.0, 0), scaled(1.0, number, 0)):
        with pytest.raises(SchemaError):
            read_supply(SPL_2022_PROGRAM, extended(extensions), RECEIVED)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(extended(extension(3, bytes(32))[:-1]), id="a value cut off"),
        pytest.param(extended(struct.pack("<HB", 3, 1)), id="half a length"),
        pytest.param(extended(struct.pack("<H", 3)), id="no length"),
        pytest.param(extended(extension(3, bytes(32)), scaled(2.0, 2.0, 0)[:-8]), id="a multiplier cut off"),
        pytest.param(extended(extension(25, bytes(48))), id="a scaled amount too short"),
        pytest.param(extended(base=mint_bytes() + b"\1"), id="padding that is not zero"),
    ],
)
def test_a_mint_with_malformed_extensions_is_unreadable(data: bytes) -> None:
    with pytest.raises(SchemaError):
        read_supply(SPL_2022_PROGRAM, data, RECEIVED)

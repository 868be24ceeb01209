import pytest

from sidecar.errors import InvalidMintError
from sidecar.models import USDC, WRAPPED_SOL, parse_mint

BLANKS = (
    *(" ", "\n", "\r", "\t", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\xa0"),
    *("\u1680", "\u2000", "\u2007", "\u200b", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff", "\0"),
)
"""Whatever some function of Python strips or splits at, and what only looks like nothing."""
SHORT = WRAPPED_SOL[:-1]


@pytest.mark.parametrize("blank", BLANKS)
def test_a_blank_makes_a_mint_none(blank: str) -> None:
    for text in (USDC + blank, blank + USDC, USDC[:9] + blank + USDC[9:], SHORT + blank, blank * 44):
        with pytest.raises(InvalidMintError):
            parse_mint(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "1" * 31, "1" * 33, "z" * 44, "1" * 45, USDC + "1"),
        *(USDC[:-1] + one for one in "0OIl+/-_é１"),
    ],
)
def test_only_base58_of_32_bytes_is_a_mint(text: str) -> None:
    with pytest.raises(InvalidMintError):
        parse_mint(text)


@pytest.mark.parametrize("text", [USDC, WRAPPED_SOL, "1" * 32])
def test_a_mint_is_returned_unchanged(text: str) -> None:
    assert parse_mint(text) == text

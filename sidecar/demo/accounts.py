"""Mint accounts as bytes: https://github.com/solana-program/token, `interface/src/state.rs`."""

import struct
from decimal import Decimal
from typing import Final

from sidecar.demo.extensions import Extension, scaled_ui_amount
from sidecar.demo.tokens import Token
from sidecar.models import WRAPPED_SOL

_MULTISIG_BYTES: Final = 165
"""A Token-2022 mint with extensions is padded to the length of a token account, then says what it is."""
_ACCOUNT_TYPE_MINT: Final = 1
_U64_MAX: Final = 2**64 - 1


def raw_supply(token: Token) -> int:
    """Return the mint's supply in its smallest unit, a u64; wrapped SOL's mint says 0."""
    if token.mint == WRAPPED_SOL:
        return 0
    raw = int(token.total_supply.scaleb(token.decimals).to_integral_value())
    return min(max(raw, 0), _U64_MAX)


def lamports(sol: Decimal | None) -> int:
    """Return SOL in lamports; 0 for unknown."""
    return 0 if sol is None else int(sol.scaleb(9).to_integral_value())


def mint_account(token: Token) -> bytes:
    """Write the account: 82 bytes, or 166 and the extensions."""
    no_authority = struct.pack("<I32s", 0, b"")
    base = no_authority + struct.pack("<QBB", raw_supply(token), token.decimals, 1) + no_authority
    extensions = _extensions(token)
    if not extensions:
        return base
    entries = b"".join(struct.pack("<HH", kind, len(value)) + value for kind, value in extensions)
    return base.ljust(_MULTISIG_BYTES, b"\0") + bytes([_ACCOUNT_TYPE_MINT]) + entries


def _extensions(token: Token) -> tuple[Extension, ...]:
    return token.extensions if token.scaled is None else (*token.extensions, scaled_ui_amount(token.scaled))

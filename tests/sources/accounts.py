"""Mint accounts, built byte by byte."""

import base64
import struct
from typing import Any

from sidecar.sources.mint_account import SPL_PROGRAM

TOKEN_ACCOUNT_BYTES = 165


def mint_bytes(supply: int = 1_234_567_890, decimals: int = 6, *, initialized: bool = True) -> bytes:
    """Lay out the 82 bytes both token programs share."""
    authority = struct.pack("<I32s", 1, bytes([7]) * 32)
    return authority + struct.pack("<QB?", supply, decimals, initialized) + authority


def extended(*extensions: bytes, base: bytes | None = None, kind: int = 1) -> bytes:
    """Lay out a Token-2022 mint with extensions behind the account type."""
    return (base or mint_bytes()).ljust(TOKEN_ACCOUNT_BYTES, b"\0") + bytes([kind]) + b"".join(extensions)


def extension(kind: int, value: bytes) -> bytes:
    return struct.pack("<HH", kind, len(value)) + value


def scaled(multiplier: float, next_multiplier: float, next_from_unix: int) -> bytes:
    """Lay out a ScaledUiAmount extension."""
    return extension(25, struct.pack("<32sdqd", bytes(32), multiplier, next_from_unix, next_multiplier))


def account(data: bytes | None = None, owner: str = SPL_PROGRAM, **changes: Any) -> dict[str, Any]:
    """Make an element of getMultipleAccounts' value."""
    data = mint_bytes() if data is None else data
    return {
        "data": [base64.b64encode(data).decode(), "base64"],
        "executable": False,
        "lamports": 1461600,
        "owner": owner,
        "rentEpoch": 18446744073709551615,
        "space": len(data),
    } | changes

"""The supply in a mint account, as SPL Token and Token-2022 lay it out.

Layouts: https://github.com/solana-program/token and https://github.com/solana-program/token-2022.
"""

import struct
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from sidecar.errors import SchemaError
from sidecar.models import ChainSupply, ScaledUiAmount
from sidecar.runtime.clock import Instant
from sidecar.sources import wire

SPL_PROGRAM: Final = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
SPL_2022_PROGRAM: Final = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"

_MINT_BYTES: Final = 82
_MULTISIG_BYTES: Final = 355
_TYPE_OFFSET: Final = 165
"""The account type comes after the length of a token account, so that the two kinds cannot be confused."""
_TYPE_MINT: Final = 1

_BASE: Final = struct.Struct("<36xQB?")
"""mint_authority, then supply, decimals, is_initialized."""
_TLV_TYPE: Final = struct.Struct("<H")
_TLV_HEAD: Final = struct.Struct("<HH")
_NO_EXTENSION: Final = 0
_SCALED_UI_AMOUNT: Final = 25
_SCALED: Final = struct.Struct("<32xdqd")
"""authority, then multiplier, the time from which the new one holds, new multiplier."""


def read_supply(owner: str, data: bytes, received: Instant, *, slot: int | None = None) -> ChainSupply | None:
    """Read the supply of a mint account; None when the account is no mint, or one with no supply to reckon with.

    Raises SchemaError for a mint with malformed extensions.
    """
    if not _is_mint(owner, data):
        return None
    supply, decimals, initialized = _BASE.unpack_from(data)
    # Anyone may make a mint with 255 decimals; its supply is below anything that can be valued.
    total = wire.figure(Decimal(supply).scaleb(-decimals))
    if not initialized or total is None:
        return None
    return ChainSupply(received=received, total=total, scaled=_scaled(data), decimals=decimals, slot=slot)


def scaled_ui_amount(multiplier: float, next_multiplier: float, next_from_unix: int) -> ScaledUiAmount:
    """Take over a multiplier pair, each as the shortest decimal of its double.

    Raises SchemaError for a multiplier that is not positive and finite.
    """
    return ScaledUiAmount(
        multiplier=_multiplier(multiplier),
        next_multiplier=_multiplier(next_multiplier),
        next_from_unix=next_from_unix,
    )


def _is_mint(owner: str, data: bytes) -> bool:
    if owner not in (SPL_PROGRAM, SPL_2022_PROGRAM) or len(data) < _MINT_BYTES:
        return False
    if len(data) == _MINT_BYTES:
        return True
    extended = len(data) > _TYPE_OFFSET and len(data) != _MULTISIG_BYTES
    return owner == SPL_2022_PROGRAM and extended and data[_TYPE_OFFSET] == _TYPE_MINT


def _scaled(data: bytes) -> ScaledUiAmount | None:
    if any(data[_MINT_BYTES:_TYPE_OFFSET]):
        raise SchemaError("a mint's padding is not zero")
    for kind, value in _extensions(data):
        if kind == _SCALED_UI_AMOUNT:
            if len(value) != _SCALED.size:
                raise SchemaError("a scaled UI amount of the wrong length")
            multiplier, next_from_unix, next_multiplier = _SCALED.unpack(value)
            return scaled_ui_amount(multiplier, next_multiplier, next_from_unix)
    return None


def _extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Walk the extensions as the program does: up to type 0, or up to a rest too short for a type."""
    at = _TYPE_OFFSET + 1
    while at + _TLV_TYPE.size <= len(data) and _TLV_TYPE.unpack_from(data, at) != (_NO_EXTENSION,):
        start = at + _TLV_HEAD.size
        if start > len(data):
            raise SchemaError("a mint's extension has no length")
        kind, length = _TLV_HEAD.unpack_from(data, at)
        at = start + length
        if at > len(data):
            raise SchemaError("a mint's extension is cut off")
        yield kind, data[start:at]


def _multiplier(number: float) -> Decimal:
    multiplier = wire.figure(Decimal(repr(number)))
    if multiplier is None or multiplier <= 0:
        raise SchemaError("a multiplier is not positive and finite")
    return multiplier

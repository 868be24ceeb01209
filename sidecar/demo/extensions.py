"""Token-2022 extensions of a mint account: type-length-value entries after byte 165.

Layouts: https://github.com/solana-program/token-2022, `interface/src/extension`.
"""

import struct
from typing import Final

from sidecar.models import ScaledUiAmount

TRANSFER_FEE_CONFIG: Final = 1
MINT_CLOSE_AUTHORITY: Final = 3
CONFIDENTIAL_TRANSFER_MINT: Final = 4
INTEREST_BEARING: Final = 10
PERMANENT_DELEGATE: Final = 12
TRANSFER_HOOK: Final = 14
CONFIDENTIAL_TRANSFER_FEE_CONFIG: Final = 16
METADATA_POINTER: Final = 18
TOKEN_METADATA: Final = 19
SCALED_UI_AMOUNT: Final = 25

_KEY_BYTES: Final = 32

Extension = tuple[int, bytes]


def scaled_ui_amount(scaled: ScaledUiAmount) -> Extension:
    """Write authority, multiplier (f64), when the next takes effect (i64 Unix seconds), the next (f64)."""
    figures = struct.pack("<dqd", float(scaled.multiplier), scaled.next_from_unix, float(scaled.next_multiplier))
    return SCALED_UI_AMOUNT, bytes(_KEY_BYTES) + figures


def interest_bearing(rate_basis_points: int, since_unix: int) -> Extension:
    """Write rate authority, start, average rate before the last change, last change, rate now."""
    return INTEREST_BEARING, struct.pack(
        "<32sqhqh", bytes(_KEY_BYTES), since_unix, rate_basis_points, since_unix, rate_basis_points
    )


def metadata(name: str, symbol: str, uri: str, authority: bytes, mint: bytes) -> tuple[Extension, ...]:
    """Write the pointer to the mint itself and the metadata that it holds."""
    texts = b"".join(
        struct.pack("<I", len(text)) + text for text in (name.encode(), symbol.encode(), uri.encode())
    )
    no_more_pairs = struct.pack("<I", 0)
    return (METADATA_POINTER, authority + mint), (TOKEN_METADATA, authority + mint + texts + no_more_pairs)


def of_a_regulated_stablecoin(name: str, symbol: str, authority: bytes, mint: bytes) -> tuple[Extension, ...]:
    """Write everything that the issuer of a stablecoin asks for, so that the account has several hundred bytes."""
    return (
        (MINT_CLOSE_AUTHORITY, authority),
        (PERMANENT_DELEGATE, authority),
        (TRANSFER_FEE_CONFIG, authority + authority + bytes(44)),
        (CONFIDENTIAL_TRANSFER_MINT, authority + bytes(33)),
        (CONFIDENTIAL_TRANSFER_FEE_CONFIG, authority + bytes(97)),
        (TRANSFER_HOOK, authority + bytes(_KEY_BYTES)),
        *metadata(
            name,
            symbol,
            "https://stablecoins.example.com/metadata/production/solana/payusd-metadata.json",
            authority,
            mint,
        ),
    )

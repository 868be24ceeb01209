"""What the simulated market knows of one token."""

import functools
import hashlib
from decimal import Decimal
from typing import Final, Literal

import base58
import msgspec

from sidecar.models import WRAPPED_SOL, Mint, ScaledUiAmount

Source = Literal["jupiter", "dexscreener", "geckoterminal", "solana_rpc"]
SOURCES: Final[tuple[Source, ...]] = ("jupiter", "dexscreener", "geckoterminal", "solana_rpc")

LEGACY_PROGRAM: Final = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
TOKEN_2022_PROGRAM: Final = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"  # noqa: S105 - a program's address


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """One token. Supplies in whole tokens before any multiplier, money in USD."""

    mint: Mint
    symbol: str
    name: str
    decimals: int
    price_usd: float
    """The middle of the price's movement."""
    total_supply: Decimal
    """The mint account's supply; for SOL, all lamports."""
    liquidity_usd: float | None
    """In its main pool; None: a bonding curve, which has none to tell."""
    circulating_supply: Decimal | None = None
    """As Jupiter has it."""
    global_supply: Decimal | None = None
    """Circulating on all chains together: behind DexScreener's and GeckoTerminal's market caps."""
    quote_reserve_usd: float | None = None
    """What its main pool holds of the quote token, in USD; None: half of the liquidity, as it should be."""
    volatility: float = 0.05
    """The price stays within a factor of e to the plus or minus this."""
    rhythm: str = ""
    """Tokens with the same rhythm move together; empty: its own."""
    quote: Mint = WRAPPED_SOL
    """The other token of its main pool."""
    usd_quoted: bool = True
    """False: the quote token has no price in USD, so that DexScreener tells none for the pair."""
    quote_side_of: Mint | None = None
    """The token is only the quote of its main pool, and this one the base."""
    owner: str = LEGACY_PROGRAM
    extensions: tuple[tuple[int, bytes], ...] = ()
    """Token-2022 type-length-value entries: type and value. ScaledUiAmount is written from `scaled`."""
    scaled: ScaledUiAmount | None = None
    priced_unscaled: bool = False
    """Sources that price displayed amounts do not follow the multiplier for this token."""
    coingecko_id: str | None = None
    launchpad: str | None = None
    verified: bool = False

    def supply_multiplier(self, unix: float) -> Decimal:
        """Return what turns the chain's supply into the amount that displayed prices are for."""
        if self.scaled is None or self.priced_unscaled:
            return Decimal(1)
        return self.scaled.at(unix)

    def listed_circulating(self, unix: float) -> Decimal | None:
        """Return the circulating supply as listing sites count it: on all chains the token lives on."""
        known = self.circulating_supply if self.global_supply is None else self.global_supply
        return None if known is None else known * self.supply_multiplier(unix)


@functools.lru_cache(maxsize=2**14)
def address_of(label: str) -> Mint:
    """Make up the address that belongs to a label: base58 of 32 bytes, always the same."""
    return Mint(base58.b58encode(hashlib.sha256(label.encode()).digest()).decode())

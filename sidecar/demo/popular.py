"""The tokens under their real mints: the popular eleven, and two stablecoins that live on several chains.

Supplies, decimals and prices are of the order of autumn 2026, so that every trap is there: SOL's mint says 0, USDC
and USDT are mostly on other chains, WETH is bridged with 8 decimals, JUP circulates in part, stSOL has no price.
"""

from decimal import Decimal
from typing import Any, Final

import base58

from sidecar.demo.extensions import of_a_regulated_stablecoin
from sidecar.demo.tokens import TOKEN_2022_PROGRAM, Token, address_of
from sidecar.models import USD1, USDC, USDT, WRAPPED_SOL, Mint

STSOL: Final = Mint("7dHbWXmci3dT8UFYWYZweBLXgycu7Y3iL6trKn1Y7ARj")
JUP: Final = Mint("JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN")
PYUSD: Final = Mint("2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo")

_STABLE: Final = 0.0008
_MEME: Final = 0.15


def popular_tokens() -> list[Token]:
    """Return the fixed tokens, SOL first."""
    return [*_sol_and_its_kin(), *_stablecoins(), *_governance_and_memes()]


def _token(mint: str, symbol: str, name: str, decimals: int, supply: str, **rest: Any) -> Token:
    """Make a verified token; its whole supply circulates, if nothing else is said."""
    total = Decimal(supply)
    state = {"circulating_supply": total, "quote": USDC, "coingecko_id": name.lower().replace(" ", "-"), **rest}
    return Token(
        mint=Mint(mint), symbol=symbol, name=name, decimals=decimals, total_supply=total, verified=True, **state
    )


def _sol_and_its_kin() -> list[Token]:
    kin: dict[str, Any] = {"rhythm": WRAPPED_SOL, "quote": WRAPPED_SOL}
    msol, weth = "mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So", "7vfCXTUXx5WJV5JADk17DUJ4ksgau7utNKj4b963voxs"
    circulating = Decimal("583094795.120447903")
    return [
        _token(
            WRAPPED_SOL,
            "SOL",
            "Wrapped SOL",
            9,
            "631122767.318204511",
            circulating_supply=circulating,
            price_usd=128.4,
            liquidity_usd=6.4e8,
            rhythm=WRAPPED_SOL,
        ),
        _token(
            msol,
            "mSOL",
            "Marinade Staked SOL",
            9,
            "3012877.504412093",
            price_usd=174.1,
            liquidity_usd=2.1e7,
            **kin,
        ),
        _token(STSOL, "stSOL", "Lido Staked SOL", 9, "74310.220118734", price_usd=161.0, liquidity_usd=0.4, **kin),
        _token(weth, "WETH", "Ether Portal", 8, "41877.90331245", price_usd=3120.5, liquidity_usd=1.3e7),
    ]


def _stablecoins() -> list[Token]:
    usdc, usdt = {"global_supply": Decimal("75102338114.07")}, {"global_supply": Decimal("183971220405.5")}
    usd1 = {"global_supply": Decimal("2985117300.25")}
    stable: dict[str, Any] = {"price_usd": 1.0, "volatility": _STABLE}
    authority, mint = base58.b58decode(address_of("the issuer")), base58.b58decode(PYUSD)
    pyusd = {
        "owner": TOKEN_2022_PROGRAM,
        "extensions": of_a_regulated_stablecoin("PayPal USD", "PYUSD", authority, mint),
        "global_supply": Decimal("3871455020.8"),
    }
    return [
        _token(USDC, "USDC", "USD Coin", 6, "9312044871.330518", liquidity_usd=4.1e8, **stable, **usdc),
        _token(USDT, "USDT", "Tether", 6, "2040188305.771902", liquidity_usd=9.8e7, **stable, **usdt),
        _token(
            USD1, "USD1", "World Liberty Financial USD", 6, "157901446.118", liquidity_usd=1.5e7, **stable, **usd1
        ),
        _token(PYUSD, "PYUSD", "PayPal USD", 6, "705512098.664031", liquidity_usd=3.3e7, **stable, **pyusd),
    ]


def _governance_and_memes() -> list[Token]:
    jup, pyth = Decimal("3214500881.25"), Decimal("5749982114.0")
    meme: dict[str, Any] = {"volatility": _MEME, "quote": WRAPPED_SOL}
    return [
        _token(
            "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263",
            "Bonk",
            "Bonk",
            5,
            "87993310227554.18207",
            price_usd=9.6e-06,
            liquidity_usd=1.9e6,
            **meme,
        ),
        _token(
            JUP,
            "JUP",
            "Jupiter",
            6,
            "6863910442.709118",
            circulating_supply=jup,
            price_usd=0.3312,
            liquidity_usd=4.2e6,
        ),
        _token(
            "EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm",
            "$WIF",
            "dogwifhat",
            6,
            "998837211.904115",
            price_usd=0.3894,
            liquidity_usd=6.1e6,
            **meme,
        ),
        _token(
            "rndrizKT3MK1iimdxRdWabcF7Zg7AR5T4nud4EkHBof",
            "RENDER",
            "Render Token",
            8,
            "183204117.55120044",
            price_usd=2.117,
            liquidity_usd=2.6e6,
        ),
        _token(
            "HZ1JovNiVvGrGNiiYvEozEVgZ58xaU3RKwX8eACQBCt3",
            "PYTH",
            "Pyth Network",
            6,
            "9999977302.418113",
            circulating_supply=pyth,
            price_usd=0.0911,
            liquidity_usd=3.4e6,
        ),
    ]

"""Stories in which a supply, or the unit that a price is of, is not what it seems."""

from decimal import Decimal
from typing import Final

import msgspec

from sidecar.demo.tokens import TOKEN_2022_PROGRAM, Token
from sidecar.models import WRAPPED_SOL, ScaledUiAmount
from tests.service.tokens import BONK, JUP
from tests.stories.changes import (
    MINT,
    OFF,
    PRICE,
    accounts_reversed,
    each,
    fault,
    forgotten,
    price,
    says,
    supply,
    together,
    unit,
    view,
)
from tests.stories.stage import MINUTE, TOKEN, story

FIVE: Final = Decimal(5)

SCALED: Final = msgspec.structs.replace(
    TOKEN,
    owner=TOKEN_2022_PROGRAM,
    scaled=ScaledUiAmount(multiplier=FIVE, next_multiplier=FIVE, next_from_unix=0),
    price_usd=PRICE / 5,
)

SOL: Final = Token(
    mint=WRAPPED_SOL,
    symbol="SOL",
    name="Wrapped SOL",
    decimals=9,
    price_usd=128.0,
    total_supply=Decimal(631_000_000),
    circulating_supply=Decimal(583_000_000),
    liquidity_usd=6.4e8,
    volatility=0.0,
)

UNITS: Final = (
    story("Jupiter and DexScreener down", 9, {3: each(("jupiter", "dexscreener"), OFF)}, token=SCALED),
    story("DexScreener raw from a cold start", 5, {}, token=SCALED, before=unit("dexscreener", raw=True)),
    story(
        "DexScreener's unit flips",
        9,
        {2: unit("dexscreener", raw=True), 4: unit("dexscreener", raw=False), 6: unit("dexscreener", raw=True)},
        token=SCALED,
    ),
    story(
        "DexScreener raw, then Jupiter and GeckoTerminal down",
        9,
        {3: each(("jupiter", "geckoterminal"), OFF)},
        token=SCALED,
        before=unit("dexscreener", raw=True),
    ),
    story(
        "Jupiter off while the multiplier changes, DexScreener raw",
        11,
        {3: fault("jupiter", OFF), 5: price(PRICE / 25), 9: fault("jupiter", None)},
        token=msgspec.structs.replace(
            SCALED,
            scaled=ScaledUiAmount(
                multiplier=FIVE, next_multiplier=FIVE * 5, next_from_unix=1_795_000_000 + 5 * MINUTE + 1
            ),
        ),
        before=unit("dexscreener", raw=True),
    ),
    story(
        "Jupiter's price alone turns raw",
        8,
        {3: says("jupiter", PRICE)},
        token=SCALED,
        before=unit("dexscreener", raw=True),
    ),
)

GLITCHES: Final = (
    story(
        "a circulating supply of 1000",
        6,
        {2: view("jupiter", circulating_supply=Decimal(1000)), 3: view("jupiter")},
    ),
    story("a circulating supply of 1", 6, {2: view("jupiter", circulating_supply=Decimal(1)), 3: view("jupiter")}),
    story(
        "a circulating supply of 1 from the start",
        6,
        {3: view("jupiter")},
        before=view("jupiter", circulating_supply=Decimal(1)),
    ),
    story(
        "a millionth circulates, for good",
        20,
        {2: view("jupiter", circulating_supply=Decimal(800))},
    ),
    story(
        "a total of 100 000 on chain, once",
        16,
        {2: view("solana_rpc", total_supply=Decimal(100_000)), 6: view("solana_rpc")},
    ),
    story(
        "a total of 100 000 on chain, at the first reading",
        16,
        {4: view("solana_rpc")},
        before=view("solana_rpc", total_supply=Decimal(100_000)),
    ),
    story(
        "getSupply a thousand times",
        64,
        {
            2: view(
                "solana_rpc",
                SOL.mint,
                total_supply=SOL.total_supply * 1000,
                circulating_supply=Decimal(583_000_000_000),
            )
        },
        token=SOL,
    ),
    story(
        "getSupply a thousand times from the start",
        6,
        {},
        token=SOL,
        before=view(
            "solana_rpc",
            SOL.mint,
            total_supply=SOL.total_supply * 1000,
            circulating_supply=Decimal(583_000_000_000),
        ),
    ),
    story(
        "accounts in the wrong order",
        16,
        {2: accounts_reversed(on=True), 12: accounts_reversed(on=False)},
        beside=(JUP, BONK),
    ),
    story(
        "accounts in the wrong order from the start",
        8,
        {},
        before=accounts_reversed(on=True),
        beside=(JUP, BONK),
    ),
    story("Jupiter's total a thousand times", 6, {2: view("jupiter", total_supply=TOKEN.total_supply * 1000)}),
    story(
        "Jupiter's total without the multiplier, for a while",
        10,
        {2: view("jupiter", total_supply=TOKEN.total_supply / 5), 8: view("jupiter")},
        token=SCALED,
    ),
    story(
        "a closed mint account",
        12,
        {2: forgotten("solana_rpc"), 8: lambda market: market.remember("solana_rpc", MINT)},
    ),
)

BURN: Final = story(
    "a burn of 30 %", 12, {2: supply(total=Decimal(700_000_000), circulating=Decimal(700_000_000))}
)

BEHIND: Final = story(
    "an RPC node that is behind",
    14,
    {
        2: together(
            lambda market: market.lag_seconds.__setitem__("solana_rpc", 400.0),
            view("solana_rpc", total_supply=Decimal(900_000_000)),
        )
    },
)

REAL_MINT: Final = story(
    "the supply doubles, for good",
    20,
    {2: supply(total=Decimal(2_000_000_000), circulating=Decimal(1_600_000_000))},
)

"""Stories in which the sources are wrong about the price, together or in ways that look right."""

from decimal import Decimal
from typing import Final

import msgspec

from sidecar.demo import Source
from tests.service.tokens import JUP
from tests.stories.changes import (
    MINT,
    OFF,
    PRICE,
    each,
    fault,
    forgotten,
    lagging,
    last_trade,
    liquidity,
    price,
    says,
    stopped,
    together,
    view,
)
from tests.stories.stage import MINUTE, PRICE_SOURCES, TOKEN, story

OTHERS: Final[tuple[Source, ...]] = ("dexscreener", "geckoterminal")

BUT_DEXSCREENER: Final[tuple[Source, ...]] = ("jupiter", "geckoterminal")

BUT_GECKOTERMINAL: Final[tuple[Source, ...]] = ("jupiter", "dexscreener")

FAKE_LIQUIDITY: Final = 2_156_806_791.0

FAKE: Final = msgspec.structs.replace(
    TOKEN,
    price_usd=1.0,
    total_supply=Decimal(2_156_811_170),
    circulating_supply=Decimal(2_156_811_170),
    liquidity_usd=FAKE_LIQUIDITY,
    quote_reserve_usd=11.38,
)

FAKES: Final = (
    story("alone at DexScreener", 4, {}, token=FAKE, before=together(*map(forgotten, BUT_DEXSCREENER))),
    story("believed by GeckoTerminal", 4, {}, token=FAKE, before=forgotten("jupiter")),
    story("believed by Jupiter", 4, {}, token=FAKE, before=forgotten("geckoterminal")),
    story("believed by both", 4, {}, token=FAKE),
    story(
        "10 001 USD behind 990 M",
        4,
        {},
        token=msgspec.structs.replace(
            TOKEN,
            price_usd=0.99,
            total_supply=Decimal(10**9),
            circulating_supply=Decimal(10**9),
            liquidity_usd=10_001,
        ),
    ),
    story(
        "GeckoTerminal without its pools",
        4,
        {},
        before=together(
            *map(forgotten, BUT_GECKOTERMINAL), lambda market: setattr(market, "pools_withheld", True)
        ),
    ),
)

VERDICTS: Final = (
    story(
        "a lone ten times after an outage",
        16,
        {
            2: each(PRICE_SOURCES, OFF),
            10: together(fault("dexscreener", None), says("dexscreener", PRICE * 10)),
        },
    ),
    story(
        "DexScreener frozen after the others dropped the token",
        16,
        {2: together(forgotten("jupiter"), forgotten("geckoterminal"), stopped("dexscreener"), price(PRICE / 4))},
    ),
    story(
        "two frozen after Jupiter dropped the token",
        16,
        {2: together(forgotten("jupiter"), stopped(*OTHERS), price(PRICE / 4))},
    ),
    story(
        "one source held once, then a hundred times",
        12,
        {2: together(each(OTHERS, OFF), says("jupiter", PRICE * 2)), 3: says("jupiter", PRICE * 100)},
    ),
    story(
        "three times by Jupiter, the others a minute late",
        6,
        {2: lagging(PRICE * 4, PRICE, *OTHERS), 3: together(*(says(source, None) for source in OTHERS))},
    ),
    story(
        "four times by Jupiter, which then fails; the others lag",
        12,
        {2: lagging(PRICE * 4, PRICE, *OTHERS), 3: fault("jupiter", OFF)},
    ),
    story(
        "a third more by Jupiter, which then fails; the others lag",
        12,
        {2: lagging(PRICE * 1.4, PRICE, *OTHERS), 3: fault("jupiter", OFF)},
    ),
    story(
        "a rug that Jupiter shows as thin",
        10,
        {
            2: together(lagging(PRICE / 20, PRICE, *OTHERS), view("jupiter", liquidity_usd=2_000.0)),
        },
    ),
    story(
        "a rug that Jupiter shows as dead, then drops",
        20,
        {
            2: together(lagging(PRICE / 20, PRICE, *OTHERS), view("jupiter", liquidity_usd=5.0)),
            4: forgotten("jupiter"),
        },
    ),
    story("all at once a thousand times", 8, {2: price(PRICE * 1000), 3: price(PRICE)}),
    story(
        "DexScreener drifts with Jupiter off",
        14,
        {
            1: fault("jupiter", OFF),
            **{minute: says("dexscreener", PRICE * 1.04 ** (minute - 1)) for minute in range(2, 14)},
        },
    ),
)

FROZEN: Final = (
    story("all frozen for ever", 30, {2: together(stopped(*PRICE_SOURCES), price(PRICE * 0.71))}),
    story(
        "Jupiter frozen with the RPC off",
        30,
        {2: together(stopped(*PRICE_SOURCES), fault("solana_rpc", OFF), price(PRICE * 0.71))},
    ),
)

REQUESTED_RUG: Final = story(
    "a rug of a requested token",
    16,
    {2: together(price(PRICE / 20), liquidity(0.5))},
    requested=True,
)

FLICKER: Final = story(
    "a spread between 4.9 and 5.1 %",
    10,
    {minute: says("dexscreener", PRICE * (1.049 if minute % 2 else 1.051)) for minute in range(1, 10)},
)

OLD_PRICE: Final = story("the last trade was long ago", 80, {2: last_trade})

OLD_FROM_THE_START: Final = story(
    "the last trade was half an hour before the start",
    3,
    {},
    before=lambda market: market.last_trades.__setitem__(MINT, market.clock.time() - 30 * MINUTE),
)

LEAP: Final = story(
    "a thousand times, for good",
    6,
    {2: price(PRICE * 1000)},
    token=msgspec.structs.replace(TOKEN, liquidity_usd=8e9),
)

TOPPED_UP_RUG: Final = story(
    "a rug of a requested token beside a popular one",
    10,
    {3: together(price(PRICE / 20), liquidity(0.5))},
    requested=True,
    beside=(JUP,),
)

DRIFT: Final = story(
    "a source that drifts",
    16,
    {minute: says("jupiter", PRICE * 1.03 ** (minute - 1)) for minute in range(2, 16)},
)

"""The stories that docs/simulated-hour.md tells."""

from decimal import Decimal
from typing import Final

import msgspec

from sidecar.demo.tokens import TOKEN_2022_PROGRAM
from sidecar.models import ScaledUiAmount
from tests.clock import UNIX_START
from tests.stories.changes import (
    GARBAGE,
    OFF,
    PRICE,
    each,
    fault,
    forgotten,
    lagging,
    liquidity,
    price,
    says,
    together,
)
from tests.stories.stage import MINUTE, PRICE_SOURCES, TOKEN, Event, Story

CALM: Final = Story(
    title="A calm token",
    about="The price drifts by a few percent; all sources are well.",
    minutes=8,
    events={
        minute: Event(f"{percent:+d} %", price(usd))
        for minute, percent, usd in ((2, 2, 0.051), (3, 3, 0.05253), (4, -4, 0.05043), (6, 5, 0.05295))
    },
)

WILD: Final = Story(
    title="±60 % within a minute, all sources follow at once",
    about="A move by more than half is a jump (rule 9): it is taken in the first refresh that sees it, because a "
    "second source confirms it.",
    minutes=9,
    events={
        2: Event("+60 %", price(0.08)),
        3: Event("-60 %", price(0.032)),
        4: Event("+60 %", price(0.0512)),
        6: Event("-60 %", price(0.02048)),
    },
)

ONE_LAGS: Final = Story(
    title="±60 % within a minute, DexScreener a minute late",
    about="The second source contradicts the first, the third is asked in the same refresh and settles it.",
    minutes=9,
    events={
        2: Event("+60 %", lagging(0.08, PRICE, "dexscreener")),
        3: Event("DexScreener follows", says("dexscreener", None)),
        5: Event("-60 %", lagging(0.032, 0.08, "dexscreener")),
        6: Event("DexScreener follows", says("dexscreener", None)),
    },
)

TWO_LAG: Final = Story(
    title="±60 % within a minute, DexScreener and GeckoTerminal a minute late",
    about="Two that confirm each other outvote the one that is right: the price is late by the refresh that they "
    "are late.",
    minutes=9,
    events={
        2: Event("+60 %", lagging(0.08, PRICE, "dexscreener", "geckoterminal")),
        3: Event("both follow", together(says("dexscreener", None), says("geckoterminal", None))),
        5: Event("-60 %", lagging(0.032, 0.08, "dexscreener", "geckoterminal")),
        6: Event("both follow", together(says("dexscreener", None), says("geckoterminal", None))),
    },
)

BAD_TICK: Final = Story(
    title="A single bad tick",
    about="Jupiter says ten times the price in one answer.",
    minutes=7,
    events={
        2: Event("Jupiter: 10 times the price", says("jupiter", PRICE * 10)),
        3: Event("Jupiter is right again", says("jupiter", None)),
    },
)

BAD_TICK_ALONE: Final = Story(
    title="A single bad tick, and a real jump, with one source",
    about="Jupiter is the only source that there is: a jump is held for one refresh.",
    minutes=10,
    events={
        2: Event("Jupiter: 10 times the price", says("jupiter", PRICE * 10)),
        3: Event("Jupiter is right again", says("jupiter", None)),
        6: Event("the true price doubles", price(PRICE * 2)),
    },
    sources=("jupiter",),
)

JUPITER_STUCK: Final = Story(
    title="Jupiter stuck on an old price",
    about="The truth climbs by 30 % in three steps, Jupiter stays where it was.",
    minutes=14,
    events={
        2: Event("+10 %; Jupiter is stuck", together(says("jupiter", PRICE), price(0.055))),
        3: Event("+20 %", price(0.06)),
        4: Event("+30 %", price(0.065)),
        10: Event("Jupiter is right again", says("jupiter", None)),
    },
)

DEXSCREENER_STUCK: Final = Story(
    title="DexScreener stuck on an old price",
    about="The same with the second source: the figure is right, the doubt is honest.",
    minutes=14,
    events={
        2: Event("+10 %; DexScreener is stuck", together(says("dexscreener", PRICE), price(0.055))),
        3: Event("+20 %", price(0.06)),
        4: Event("+30 %", price(0.065)),
        10: Event("DexScreener is right again", says("dexscreener", None)),
    },
)

RUG_PULL: Final = Story(
    title="A rug pull",
    about="The price falls by 95 % and the pool is emptied within two minutes; then no source lists the token.",
    minutes=11,
    events={
        2: Event("-70 %, 60 000 USD left in the pool", together(price(0.015), liquidity(60_000))),
        3: Event("-95 %, 0.50 USD left in the pool", together(price(0.0025), liquidity(0.5))),
        6: Event("no source lists it any more", together(*(forgotten(source) for source in PRICE_SOURCES))),
    },
)

JUPITER_OFF: Final = Story(
    title="Jupiter switched off for ten minutes",
    about="The price falls by 20 % meanwhile. Only Jupiter knows the circulating supply.",
    minutes=16,
    events={
        2: Event("Jupiter: 503", fault("jupiter", OFF)),
        5: Event("-20 %", price(0.04)),
        12: Event("Jupiter is back", fault("jupiter", None)),
    },
)

NONSENSE: Final = Story(
    title="Jupiter talks nonsense",
    about="A thousand times the price, bytes that are no JSON, a price of zero; the others are right.",
    minutes=17,
    events={
        2: Event("Jupiter: 1000 times the price", says("jupiter", PRICE * 1000)),
        6: Event("Jupiter is right again", says("jupiter", None)),
        8: Event("Jupiter: garbage", fault("jupiter", GARBAGE)),
        11: Event("Jupiter: price 0", together(fault("jupiter", None), says("jupiter", 0.0))),
        14: Event("Jupiter is right again", says("jupiter", None)),
    },
)

NONSENSE_OF_TWO: Final = Story(
    title="Jupiter talks nonsense, GeckoTerminal is off",
    about="One source's word against another's: the one that stands by the last price is believed, at `low`, "
    "while that price is fresh. A contradiction that lasts longer is decided by the order of sources, for better "
    "or worse: nothing is held back for ever.",
    minutes=12,
    events={
        2: Event(
            "Jupiter: 1000 times the price; GeckoTerminal: 503",
            together(says("jupiter", PRICE * 1000), fault("geckoterminal", OFF)),
        ),
        8: Event("Jupiter is right again", says("jupiter", None)),
    },
)

JUMP_OF_TWO: Final = Story(
    title="A real jump, DexScreener stuck, GeckoTerminal off",
    about="The same seen from the other side: nothing tells a source that is right alone from one that talks "
    "nonsense alone, so the old price stays, at `low`, until a second source has moved or the old price is stale.",
    minutes=9,
    events={
        2: Event(
            "the price doubles; DexScreener is stuck; GeckoTerminal: 503",
            together(lagging(PRICE * 2, PRICE, "dexscreener"), fault("geckoterminal", OFF)),
        ),
        5: Event("DexScreener is right again", says("dexscreener", None)),
    },
)

ALL_OFF: Final = Story(
    title="Everything switched off for twenty minutes",
    about="All four upstreams answer 503, and the price rises by 10 %.",
    minutes=26,
    events={
        2: Event("all: 503", each((*PRICE_SOURCES, "solana_rpc"), OFF)),
        7: Event("+10 %", price(0.055)),
        22: Event("all are back", each((*PRICE_SOURCES, "solana_rpc"), None)),
    },
)

RPC_OFF: Final = Story(
    title="The RPC switched off from the start",
    about="Until the chain has been read, Jupiter's total supply stands in for it, at `low`.",
    minutes=10,
    events={4: Event("the RPC is back", fault("solana_rpc", None))},
    before=fault("solana_rpc", OFF),
)

SCALED: Final = Story(
    title="A Token-2022 token whose multiplier changes",
    about="A split: from 05:01 on the multiplier is 5 and the price a fifth, so that the market cap stays. The "
    "chain announces it: the account holds the next multiplier and its time.",
    minutes=9,
    events={5: Event("multiplier 5, a fifth of the price", price(PRICE / 5))},
    token=msgspec.structs.replace(
        TOKEN,
        owner=TOKEN_2022_PROGRAM,
        scaled=ScaledUiAmount(
            multiplier=Decimal(1), next_multiplier=Decimal(5), next_from_unix=int(UNIX_START) + 5 * MINUTE + 1
        ),
    ),
)

THIN: Final = Story(
    title="A thin token",
    about="A pool of 3 000 USD: the price can be moved with little money, and every source says the same.",
    minutes=8,
    events={
        2: Event("the price triples", price(PRICE * 3)),
        4: Event("back", price(PRICE)),
    },
    token=msgspec.structs.replace(TOKEN, liquidity_usd=3_000.0),
)

STORIES: Final = (
    CALM,
    WILD,
    ONE_LAGS,
    TWO_LAG,
    BAD_TICK,
    BAD_TICK_ALONE,
    JUPITER_STUCK,
    DEXSCREENER_STUCK,
    RUG_PULL,
    JUPITER_OFF,
    NONSENSE,
    NONSENSE_OF_TWO,
    JUMP_OF_TWO,
    ALL_OFF,
    RPC_OFF,
    SCALED,
    THIN,
)

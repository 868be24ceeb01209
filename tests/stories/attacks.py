"""Stories in which the sources are wrong together, or in ways that look right."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from sidecar.demo import Source
from sidecar.demo.tokens import TOKEN_2022_PROGRAM, Token
from sidecar.models import WRAPPED_SOL, ScaledUiAmount
from tests.running import WatchedMarket
from tests.service.tokens import BONK, JUP
from tests.stories.stage import MINUTE, PRICE_SOURCES, TOKEN, Change, Event, Story
from tests.stories.stories import (
    MINT,
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

OTHERS: Final[tuple[Source, ...]] = ("dexscreener", "geckoterminal")
BUT_DEXSCREENER: Final[tuple[Source, ...]] = ("jupiter", "geckoterminal")
BUT_GECKOTERMINAL: Final[tuple[Source, ...]] = ("jupiter", "dexscreener")
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


def view(source: Source, mint: str = MINT, **changes: Any) -> Change:
    """Let a source have these fields of the token wrong, or with none be right again."""
    return lambda market: market.set_view(source, mint, **changes)


def supply(**supplies: Decimal | None) -> Change:
    """Let the truth be these supplies."""
    return lambda market: market.set_supply(MINT, **supplies)  # type: ignore[arg-type]


def unit(source: Source, raw: bool) -> Change:  # noqa: FBT001 - reads as a switch
    """Let a source price raw units, or displayed ones."""
    return lambda market: market.units.__setitem__(source, "raw" if raw else "displayed")


def stopped(*sources: Source) -> Change:
    """Let sources answer for ever with the prices and slots of a second ago: of before what happens now."""

    def change(market: WatchedMarket) -> None:
        for source in sources:
            market.stopped_at[source] = market.clock.time() - 1.0

    return change


def last_trade(market: WatchedMarket) -> None:
    market.last_trades[MINT] = market.clock.time()


def accounts_reversed(*, on: bool) -> Change:
    return lambda market: setattr(market, "accounts_reversed", on)


def story(title: str, minutes: int, events: Mapping[int, Change], *, about: str = "", **rest: Any) -> Story:
    """Write a story down; each change is its own note."""
    told = {minute: Event(title, change) for minute, change in events.items()}
    return Story(title=title, about=about, minutes=minutes, events=told, **rest)


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
BURN: Final = story(
    "a burn of 30 %", 12, {2: supply(total=Decimal(700_000_000), circulating=Decimal(700_000_000))}
)
OLD_PRICE: Final = story("the last trade was long ago", 80, {2: last_trade})
OLD_FROM_THE_START: Final = story(
    "the last trade was half an hour before the start",
    3,
    {},
    before=lambda market: market.last_trades.__setitem__(MINT, market.clock.time() - 30 * MINUTE),
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


def retold(one: Story, title: str, about: str, notes: Mapping[int, str]) -> Story:
    """Tell a story to a reader."""
    events = {minute: Event(notes.get(minute, ""), event.change) for minute, event in one.events.items()}
    return msgspec.structs.replace(one, title=title, about=about, events=events)


TOLD: Final = (
    retold(
        UNITS[0],
        "Units: a token with a multiplier of 5",
        "GeckoTerminal prices raw units, which are worth five displayed ones, Jupiter displayed ones. The prices "
        "shown are brought to displayed units, as they are when they are compared and served.",
        {3: "Jupiter and DexScreener: 503"},
    ),
    retold(
        UNITS[2],
        "Units: DexScreener turns from displayed to raw and back",
        "Its unit is not documented: it is the one whose price stands by Jupiter's, or by the last good price.",
        {2: "raw units", 4: "displayed units", 6: "raw units"},
    ),
    retold(
        GLITCHES[0],
        "A circulating supply of 1000 in one answer",
        "A supply that jumps by more than half waits to be read again; until then the one in use stays, at most "
        "at `medium`.",
        {2: "Jupiter: 1000 circulate", 3: "Jupiter is right again"},
    ),
    retold(
        GLITCHES[4],
        "A total of 100 000 on chain, for a while",
        "The chain is read every five minutes, and again a minute after a supply that jumped. As long as Jupiter "
        "says what was read before, the new one waits.",
        {2: "the RPC: a total of 100 000", 6: "the RPC is right again"},
    ),
    retold(
        REAL_MINT,
        "A supply that really doubles",
        "It is taken into use when it has been read again, and keeps the cap from `high` for ten minutes more.",
        {2: "total and circulating supply double"},
    ),
    retold(
        FAKES[3],
        "A pool that claims two billion",
        "It holds 11.38 USDC and says that it is 2.16 billion USD deep; Jupiter and GeckoTerminal believe it. "
        "Twice the quote side is what counts, and what repeats the price of such a pool is thin.",
        {},
    ),
    retold(
        VERDICTS[4],
        "A lagging majority: + 300 %, seen by Jupiter alone for a minute",
        "Two outvote one; but a price from which another source is a jump away is at most `medium`.",
        {2: "+300 %; DexScreener and GeckoTerminal lag", 3: "both follow"},
    ),
    retold(
        VERDICTS[7],
        "A rug that Jupiter alone shows, as a thin pool",
        "Jupiter's quote is thin, so it is not asked again at once; what it said stands meanwhile.",
        {2: "-95 %; 2 000 USD left, says Jupiter; the others are stuck"},
    ),
    retold(
        REQUESTED_RUG,
        "A rug of a requested token",
        "It is refreshed every five minutes. The first answer without a price makes it due again within a minute.",
        {2: "-95 %, 0.50 USD left in the pool"},
    ),
    retold(
        DRIFT,
        "A source that drifts away by 3 % a minute",
        "No step is a jump, and the order of sources decides the price: `low` says that another contradicts.",
        {2: "Jupiter begins to drift"},
    ),
    retold(
        FLICKER,
        "A spread between 4.9 and 5.1 %",
        "Quotes that agreed within 5 % go on agreeing up to 6 %, so the confidence does not flicker.",
        {},
    ),
    retold(
        FROZEN[0],
        "All sources frozen",
        "Jupiter tells the slot that its price was made at: after ten minutes it is an old one.",
        {2: "-29 %; every source stays where it is"},
    ),
)

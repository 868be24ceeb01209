"""The stories of attacks that docs/simulated-hour.md tells as well."""

from collections.abc import Mapping
from typing import Final

import msgspec

from tests.stories import price_attacks, supply_attacks
from tests.stories.stage import Event, Story


def retold(one: Story, title: str, about: str, notes: Mapping[int, str]) -> Story:
    """Tell a story to a reader."""
    events = {minute: Event(notes.get(minute, ""), event.change) for minute, event in one.events.items()}
    return msgspec.structs.replace(one, title=title, about=about, events=events)


TOLD: Final = (
    retold(
        supply_attacks.UNITS[0],
        "Units: a token with a multiplier of 5",
        "GeckoTerminal prices raw units, which are worth five displayed ones, Jupiter displayed ones. The prices "
        "shown are brought to displayed units, as they are when they are compared and served.",
        {3: "Jupiter and DexScreener: 503"},
    ),
    retold(
        supply_attacks.UNITS[2],
        "Units: DexScreener turns from displayed to raw and back",
        "Its unit is not documented: it is the one whose price stands by Jupiter's, or by the last good price.",
        {2: "raw units", 4: "displayed units", 6: "raw units"},
    ),
    retold(
        supply_attacks.GLITCHES[0],
        "A circulating supply of 1000 in one answer",
        "A supply that jumps by more than half waits to be read again; until then the one in use stays, at most "
        "at `medium`.",
        {2: "Jupiter: 1000 circulate", 3: "Jupiter is right again"},
    ),
    retold(
        supply_attacks.GLITCHES[4],
        "A total of 100 000 on chain, for a while",
        "The chain is read every five minutes, and again a minute after a supply that jumped. As long as Jupiter "
        "says what was read before, the new one waits.",
        {2: "the RPC: a total of 100 000", 6: "the RPC is right again"},
    ),
    retold(
        supply_attacks.REAL_MINT,
        "A supply that really doubles",
        "It is taken into use when it has been read again, and keeps the cap from `high` for ten minutes more.",
        {2: "total and circulating supply double"},
    ),
    retold(
        price_attacks.FAKES[3],
        "A pool that claims two billion",
        "It holds 11.38 USDC and says that it is 2.16 billion USD deep; Jupiter and GeckoTerminal believe it. "
        "Twice the quote side is what counts, and what repeats the price of such a pool is thin.",
        {},
    ),
    retold(
        price_attacks.VERDICTS[4],
        "A lagging majority: + 300 %, seen by Jupiter alone for a minute",
        "Two outvote one; but a price from which another source is a jump away is at most `medium`.",
        {2: "+300 %; DexScreener and GeckoTerminal lag", 3: "both follow"},
    ),
    retold(
        price_attacks.VERDICTS[7],
        "A rug that Jupiter alone shows, as a thin pool",
        "Jupiter's quote is thin, so it is not asked again at once; what it said stands meanwhile.",
        {2: "-95 %; 2 000 USD left, says Jupiter; the others are stuck"},
    ),
    retold(
        price_attacks.REQUESTED_RUG,
        "A rug of a requested token",
        "It is refreshed every five minutes. The first answer without a price makes it due again within a minute.",
        {2: "-95 %, 0.50 USD left in the pool"},
    ),
    retold(
        price_attacks.DRIFT,
        "A source that drifts away by 3 % a minute",
        "No step is a jump, and the order of sources decides the price: `low` says that another contradicts.",
        {2: "Jupiter begins to drift"},
    ),
    retold(
        price_attacks.FLICKER,
        "A spread between 4.9 and 5.1 %",
        "Quotes that agreed within 5 % go on agreeing up to 6 %, so the confidence does not flicker.",
        {},
    ),
    retold(
        price_attacks.FROZEN[0],
        "All sources frozen",
        "Jupiter tells the slot that its price was made at: after ten minutes it is an old one.",
        {2: "-29 %; every source stays where it is"},
    ),
)

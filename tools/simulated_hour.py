"""Write docs/simulated-hour.md: what is served when, against the simulated truth; a test says when it drifts.

The service runs over real HTTP against the simulated market, on the tests' clock; without jitter and with a fixed
seed every run is the same.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tests.stories.in_turn import Segment, play_in_turn
from tests.stories.stage import MINUTE, PRICE_SOURCES, Sample, Story, longest_wrong, play, stretches
from tests.stories.stories import STORIES
from tests.stories.told import TOLD

PAGE: Final = Path(__file__).parent.parent / "docs" / "simulated-hour.md"
CONFIDENCES: Final = ("high", "medium", "low")
SHORT: Final = {"jupiter": "Jupiter", "dexscreener": "DexScreener", "geckoterminal": "GeckoTerminal"}
NAMES: Final = {**SHORT, "solana_rpc": "Solana RPC"}

Row = list[str]

_HEAD: Final = """# A simulated hour

Written by `make docs`; a test fails when it is out of date. The service with its default settings runs against the
simulated market, on a clock that only the simulation moves.

The rules in short:

* The first source in `pricing.sources` with a good quote gives the price; each refresh of the popular list
  compares it with a second one. Agreed: `high`. One comparison that disagrees: at most `medium`, two in a row:
  `low`.
* A price more than half up or down is a **jump**. Another source within a factor of 1.2 confirms it in the same
  refresh. Two others that confirm each other outvote it. Otherwise the old value is held for one refresh, at
  `low`. The next quote in the same direction is then taken, unless another good source stands by the old price:
  that one is served, at `low`.
* What contradicts by a jump keeps a price from `high`, and so do a supply that jumps, a price that has moved by
  more than ten times within one refresh, and one made more than ten minutes ago.
* A failure never replaces a value; it only ages. An answer without a trustworthy price does, the second in a row.

How it was made, so that nothing looks better than it is:

* Whatever happens, happens **one second after a refresh**, so that the next one is as far away as it can be.
  Jitter, which only shortens intervals, is off.
* Every second is looked at. A row is the time in which nothing changes but the age; *from* and *to* are minutes
  and seconds after the first refresh. Single seconds, between a refresh and what happens right after it, are left
  out.
* The token is on the popular list, so it is refreshed every minute. 800 M of 1 000 M tokens circulate, the price
  is 0.05 USD, the market cap 40 M USD, and the pool holds 8 M USD.
* *Off by* compares the market cap served with the true one of that moment. Until the next refresh nothing says
  that a price has moved: 59 s of each error are there in the best case, and `age_seconds` tells them.

"""

_IN_TURN_HEAD: Final = """## Each source in turn: off, slow, nonsense

One hour of the popular list, with prices that move all the time and sources that differ by up to 0.3 %. Each fault
lasts three minutes, two to recover follow. *Off* is a 503, *slow* an answer after 3 s, *nonsense* a thousand times
the price (from the RPC, bytes that are no JSON). stSOL, which no source prices, is left out. *Missing* counts the
seconds in which a token had no figure. Every basis stays what it is, `circulating`, all the time.

| minutes | source | fault | largest error | oldest figure | lowest confidence | prices from | missing |
|---|---|---|---|---|---|---|---|
"""

_SUMMARY_HEAD: Final = """## Summary

How long at a stretch a market cap more than 20 % off the truth was served, by the confidence it was served at,
and the largest error. 59 s at `high` or `medium` is a price that moved right after a refresh. What is worse than
that has one of these reasons:

* **A minute at `medium`**: two sources lag and confirm each other's old price. A majority that is wrong looks like
  one that is right, but for the source that contradicts it.
* **Minutes at `high`, all sources frozen**: nothing tells a market that stands still from sources that do, before
  Jupiter's price is ten minutes old.
* **Minutes at `low`**: the preferred source, or the only one besides it, is stuck. The order of sources decides
  the price, comparison only the confidence: `low` says that a source contradicts.
* **A minute at `low`** after a rug pull: one answer without a trustworthy price is no proof, the second is.

| scenario | at `high` | at `medium` | at `low` | largest error | served at |
|---|---|---|---|---|---|
"""


async def page() -> str:
    """Play everything and return the page."""
    told = [(story, await play(story)) for story in (*STORIES, *TOLD)]
    tables = (_story(number, story, samples) for number, (story, samples) in enumerate(told, 1))
    summary = "".join(_summary(story, samples) for story, samples in told)
    return _HEAD + "".join(tables) + _in_turn(await play_in_turn()) + _SUMMARY_HEAD + summary


def _story(number: int, story: Story, samples: Sequence[Sample]) -> str:
    shows_chain = any(sample.chain != "up" for sample in samples)
    sources = [SHORT[source] for source in PRICE_SOURCES if source in story.sources] + ["RPC"] * shows_chain
    head = ["from", "to", "true price", "true cap", *sources, "served", "cap", "off by", "age up to"]
    head += ["confidence", "basis", "source", "what happens"]
    rows = [_row(stretch, shows_chain=shows_chain) for stretch in stretches(samples)]
    return f"## {number}. {story.title}\n\n{story.about}\n\n{_table([head, ['---'] * len(head), *rows])}\n"


def _row(stretch: Sequence[Sample], *, shows_chain: bool) -> Row:
    first = stretch[0]
    said = [*first.said, first.chain] if shows_chain else list(first.said)
    span = [f"{second // MINUTE:02}:{second % MINUTE:02}" for second in (first.second, stretch[-1].second)]
    return [*span, f"{first.true_price:.4g}", _millions(first.true_cap), *said, *_served(stretch), first.note]


def _served(stretch: Sequence[Sample]) -> Row:
    first = stretch[0]
    if first.found is None:
        return ["`not_priced`" if first.unpriced else "nothing", *[""] * 6]
    cap, oldest = first.found.cap, max(sample.found.age_seconds for sample in stretch if sample.found)
    age = f"{oldest:.0f} s" + ", stale" * first.found.stale
    figures = [f"{cap.price_usd:.4g}", _millions(cap.market_cap_usd), _percent(first.error)]
    return [*figures, age, f"`{cap.confidence}`", cap.basis, SHORT[cap.source]]


def _in_turn(segments: Sequence[Segment]) -> str:
    return _IN_TURN_HEAD + "".join(map(_segment, segments)) + "\n"


def _segment(segment: Segment) -> str:
    start = segment.start // MINUTE
    figures = [f"{segment.worst_error:.1%}".replace("%", " %"), f"{segment.oldest:.0f} s", f"`{segment.lowest}`"]
    sources = ", ".join(SHORT[source] for source in segment.price_sources)
    return _line(
        [f"{start}-{start + 4}", NAMES[segment.source], segment.ill, *figures, sources, str(segment.missing)]
    )


def _summary(story: Story, samples: Sequence[Sample]) -> str:
    times = [longest_wrong(samples, confidence) for confidence in CONFIDENCES]
    worst = max(samples, key=lambda sample: abs(sample.error))
    shown = [f"{seconds} s" if seconds else "never" for seconds in times]
    return _line([story.title, *shown, _percent(worst.error), f"`{worst.confidence}`"])


def _table(rows: Iterable[Row]) -> str:
    return "".join(map(_line, rows))


def _line(cells: Row) -> str:
    return f"| {' | '.join(cells)} |\n"


def _millions(usd: float) -> str:
    return f"{usd / 1e6:.2f} M"


def _percent(ratio: float) -> str:
    rounded = round(100 * ratio, 1)
    return "0 %" if rounded == 0 else f"{rounded:+.1f} %"


def main() -> None:
    """Write the page."""
    logging.getLogger("sidecar").setLevel(logging.CRITICAL)
    PAGE.write_text(asyncio.run(page()), encoding="utf-8")


if __name__ == "__main__":
    main()

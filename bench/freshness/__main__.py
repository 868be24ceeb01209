"""`python -m bench.freshness FOLDER`: play the hour under each policy and write the page and its plots there."""

import argparse
import asyncio
import logging
import sys
import time
from pathlib import Path
from typing import Final

from bench.freshness.page import draw, finding, introduction, p95, section
from bench.freshness.policies import Outcome, clairvoyant, early, evenly, fixed
from bench.freshness.truth import truth
from sidecar.config.settings import RefreshSettings

SIZES: Final = (100, 1_000, 5_000)
EARLY: Final = {"early": RefreshSettings()}
MORE: Final = {"early, half the budget": RefreshSettings(early_share=0.5)}
PLAYED_WITH_MORE: Final = 1_000
"""At 100 tokens each call refreshes them all; at 5,000 the hour takes too long to be played more often."""


async def play(tokens: int) -> tuple[list[Outcome], list[str]]:
    """Return what each policy served of so many tokens, and what that says of what was wanted."""
    market = truth(tokens)
    intervals = await fixed(market)
    outcomes, findings = [intervals], []
    for name, refresh in (EARLY | MORE if tokens == PLAYED_WITH_MORE else EARLY).items():
        played = await early(name, market, refresh)
        even = await evenly("evenly", market, played.calls)
        outcomes += [played, even]
        findings.append(finding(intervals, played, even))
        _say(f"{tokens}: {name} {p95(played):.5f}, evenly {p95(even):.5f}, fixed {p95(intervals):.5f}")
    outcomes.append(clairvoyant(market, outcomes[-2].calls))
    return outcomes, findings


def main() -> None:
    """Play and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.freshness", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", type=int, action="append", help="only so many; may be given more than once")
    options = parser.parse_args()
    logging.getLogger("sidecar").setLevel(logging.CRITICAL)
    started = time.monotonic()
    sections = ""
    for tokens in options.tokens or SIZES:
        outcomes, findings = asyncio.run(play(tokens))
        draw(options.folder / f"freshness-{tokens}.svg", tokens, outcomes)
        sections += section(tokens, outcomes, findings)
    page = introduction(time.monotonic() - started) + sections.rstrip("\n") + "\n"
    (options.folder / "freshness.md").write_text(page, encoding="utf-8")


def _say(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()

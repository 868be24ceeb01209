"""The page that `make bench-freshness` writes, and its plots."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bench.figures import table
from bench.freshness.policies import CALL_TOKENS, POPULAR, Outcome
from bench.freshness.truth import JUMPS_PER_HOUR, KINDS, MEASURED_SECONDS, REQUESTS_PER_SECOND, WARM_UP_SECONDS

KEYLESS_PER_MINUTE: Final = 30
ONE_PERCENT: Final = 0.01
_HEAD: Final = ["policy", "calls", "busiest minute", "median", "95th", "99th", "off by > 1 %", "≤ 1 u", "≤ 2 u"]

INTRODUCTION: Final = """# How far off what is served is

Written by `make bench-freshness` in {minutes:.0f} minutes. One simulated hour, after {warm_up:.0f} minutes in
which volatilities are learnt: the sidecar's own engine (schedule, refresher, valuation, budgets) over real HTTP
against the simulated market, on a clock that only the simulation moves. Every policy sees the same prices and
the same requests.

* **Prices** are random walks by the second, with jumps, one in {jump_hours:g} hours for each token on average.
  Four kinds of tokens take turns along the ranks of demand, the most requested first: {kinds}
  (standard deviation of a year, and of a jump). Sources tell the truth of the second in which they are asked:
  what is off is off because it is old.
* **Requests**: {rps} a second, Zipf-shaped: the token of rank r is asked for 1/r as often as the first. Each
  request counts once.
* **Fixed intervals**: the default settings without early refreshes; {popular} tokens are on the popular list,
  every minute, the others every five. **Early**: the default settings; at 1,000 tokens once more with
  `refresh.early_share: 0.5`. **Evenly**: one interval for all, no early refreshes, as many calls as the row
  above. **The clairvoyant** knows each true price: as many calls at even distances, each for the {call} tokens
  whose error, times their demand, is largest at that moment.
* **Calls** are those to Jupiter in the hour; without a key it allows {keyless} a minute. *≤ 1 u* and *≤ 2 u* are
  the shares of requests that were off by at most one and two times the `uncertainty` served: 68 % and 95 % for
  a normal distribution.
"""


def introduction(seconds: float) -> str:
    """Return what stands before the figures."""
    kinds = ", ".join(f"{kind.name} {kind.volatility:.0%} and {kind.jump:.0%}" for kind in KINDS)
    return INTRODUCTION.format(
        minutes=seconds / 60,
        warm_up=WARM_UP_SECONDS / 60,
        jump_hours=1 / JUMPS_PER_HOUR,
        kinds=kinds.replace("%", " %"),
        rps=REQUESTS_PER_SECOND,
        popular=POPULAR,
        call=CALL_TOKENS,
        keyless=KEYLESS_PER_MINUTE,
    )


def section(tokens: int, outcomes: Sequence[Outcome], findings: Sequence[str]) -> str:
    """Return the figures of one number of tracked tokens."""
    plot = f"![Share of requests that are off by more than so much](freshness-{tokens}.svg)"
    found = "".join(f"* {finding}\n" for finding in findings)
    figures = table(_HEAD, [_row(outcome) for outcome in outcomes])
    return f"\n## {tokens:,} tracked tokens\n\n{figures}\n\n{plot}\n\n{found}"


def finding(intervals: Outcome, played: Outcome, even: Outcome) -> str:
    """Return what early refreshes gained."""
    fixed, same_calls = p95(played) / p95(intervals), p95(played) / p95(even)
    text = (
        f"**{played.name}**: the 95th percentile is {fixed:.0%} of the fixed intervals' and {same_calls:.0%} of "
        f"that of as many calls spread evenly; {within_one_percent(played):.1%} of the requests are within 1%."
    )
    return text.replace("%", " %")


def p95(outcome: Outcome) -> float:
    """Return the 95th percentile of the served error."""
    return float(np.quantile(outcome.errors, 0.95))


def within_one_percent(outcome: Outcome) -> float:
    """Return the share of requests that were off by at most 1 %."""
    return float((outcome.errors <= ONE_PERCENT).mean())


def _row(outcome: Outcome) -> list[str]:
    busiest = str(outcome.busiest_minute) if outcome.busiest_minute else ""
    quantiles = [_percent(float(np.quantile(outcome.errors, share)), 3) for share in (0.5, 0.95, 0.99)]
    off = _percent(1.0 - within_one_percent(outcome), 2)
    ratios = outcome.ratios
    within = [_percent(float((ratios <= most).mean()), 0) if len(ratios) else "" for most in (1, 2)]
    return [outcome.name, f"{outcome.calls:,}", busiest, *quantiles, off, *within]


def _percent(ratio: float, digits: int) -> str:
    return f"{100 * ratio:.{digits}f} %"


def draw(path: Path, tokens: int, outcomes: Sequence[Outcome]) -> None:
    """Draw which share of the requests was off by more than so much; the same figures give the same file."""
    mpl.rcParams["svg.hashsalt"] = "mc-sidecar"
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.subplots()
    bounds = np.geomspace(1e-4, 0.2, 120)
    for outcome in outcomes:
        errors = np.sort(outcome.errors)
        shares = 1.0 - np.searchsorted(errors, bounds, side="right") / len(errors)
        axes.plot(100 * bounds, 100 * shares, label=outcome.name)
    axes.set(xscale="log", xlabel="off by more than (%)", ylabel="share of requests (%)", ylim=(0, 60))
    axes.set_title(f"{tokens:,} tracked tokens, one hour of {MEASURED_SECONDS * REQUESTS_PER_SECOND:,} requests")
    axes.axvline(100 * ONE_PERCENT, color="grey", linewidth=0.8, linestyle=":")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.savefig(path, format="svg", metadata={"Date": None})

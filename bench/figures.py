"""What is made of measurements: percentiles, medians with their spread, tables. Pure functions."""

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple


class Series(NamedTuple):
    """The figures of one contestant, one for each round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle figure."""
        return median(self.values)

    def show(self, pattern: str = "{:.1f}") -> str:
        """Return the median, with the lowest and the highest figure in brackets."""
        shown = [pattern.format(value) for value in (self.median, min(self.values), max(self.values))]
        return f"{shown[0]} ({shown[1]}-{shown[2]})"


def series(values: Sequence[float]) -> Series:
    """Keep figures as a series."""
    return Series(tuple(values))


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile of values in ascending order: a value that was really measured.

    Raises ValueError without values.
    """
    if not ordered:
        raise ValueError("no values to take a percentile of")
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table: the first column to the left, figures to the right."""
    lines = [_line(header), _line(["---", *("---:" for _ in header[1:])])]
    return "\n".join([*lines, *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def verdict(*, passed: bool) -> str:
    """Return how a target was met."""
    return "met" if passed else "**missed**"

"""The live table in a terminal."""

from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sidecar.top.lines import HEADS, cells, sources, summary
from sidecar.top.view import View

_COLOURS: Final = {"high": "green", "medium": "yellow", "low": "red", "no price": "dim"}
_LEFT: Final = frozenset({"TOKEN", "CONFIDENCE", "SOURCE", "TIER"})
_WIDE: Final = 100
_WIDE_ONLY: Final = frozenset({"24 H", "TIER", "REQUESTS"})
"""Columns that a terminal of fewer characters than that does without."""
_OVERHEAD_LINES: Final = 11
"""Of everything but the tokens."""


class Screen:
    """The whole terminal, as a context manager; `show` draws anew."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live = Live(console=self._console, screen=True, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, view: View, trouble: str = "") -> None:
        """Draw what is known, with what is wrong with the connection."""
        self._live.update(
            render(view, trouble, width=self._console.width, height=self._console.height), refresh=True
        )


def render(view: View, trouble: str, *, width: int, height: int) -> RenderableType:
    """Return everything as rich draws it, with as many columns and tokens as there is room for."""
    if not view.sections:
        return Text(trouble or "connecting")
    tokens = Table(box=None, expand=True, header_style="dim")
    heads = [head for head in HEADS if width >= _WIDE or head not in _WIDE_ONLY]
    for head in heads:
        tokens.add_column(head, justify="left" if head in _LEFT else "right", no_wrap=True)
    for row in view.by_market_cap()[: max(1, height - _OVERHEAD_LINES)]:
        texts = dict(zip(HEADS, cells(view, row), strict=True))
        tokens.add_row(*(Text(texts[head], style=_COLOURS.get(texts[head], "")) for head in heads))
    beside = Table(box=None, header_style="dim")
    for head in ("SOURCE", "CIRCUIT", "BUDGET", "LAST ERROR"):
        beside.add_column(head, no_wrap=True)
    for name, circuit, budget, error in sources(view):
        beside.add_row(name, Text(circuit, style="red" if circuit != "closed" else "green"), budget, error)
    return Group(Text(summary(view), style="bold"), Text(trouble, style="red"), beside, Text(), tokens)

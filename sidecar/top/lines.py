"""A token in one line of text: what `top` prints where there is no terminal, and what its table shows."""

from typing import Final

from sidecar.top.view import Row, View

HEADS: Final = ("TOKEN", "MARKET CAP", "PRICE", "24 H", "AGE", "CONFIDENCE", "SOURCE", "TIER", "REQUESTS")
_UNITS: Final = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))
_WIDTHS: Final = (14, 11, 12, 8, 8, 10, 13, 9, 8)
_LEFT: Final = frozenset({"TOKEN", "CONFIDENCE", "SOURCE", "TIER"})
UNKNOWN: Final = "-"


def line(cells: tuple[str, ...]) -> str:
    """Return the cells in columns."""
    columns = zip(HEADS, cells, _WIDTHS, strict=True)
    padded = (cell.ljust(width) if head in _LEFT else cell.rjust(width) for head, cell, width in columns)
    return "  ".join(padded).rstrip()


def cells(view: View, row: Row) -> tuple[str, ...]:
    """Return what the columns say of a token."""
    priced, change = row["market_cap_usd"] is not None, row.get("price_change_24h")
    return (
        row["symbol"] or f"{row['mint'][:4]}…{row['mint'][-4:]}",
        usd(row["market_cap_usd"]),
        f"{row['price_usd']:.6g}" if priced else UNKNOWN,
        UNKNOWN if change is None else f"{100 * change:+.1f} %",
        seconds(view.age(row)),
        row["confidence"] if priced else "no price",
        row["source"] if priced else UNKNOWN,
        row["tier"],
        str(row["requests"]),
    )


def summary(view: View) -> str:
    """Return the state of the whole in a line."""
    latest, sections = view.sections["latest"], view.sections
    ratio, rate, calls = latest["hit_ratio"], latest["lookups_per_second"], latest["upstream_calls_per_hour"]
    return "   ".join(
        (
            f"mc-sidecar {sections['version']}",
            f"up {seconds(view.now - sections['started_at'])}",
            f"{len(view.tokens)} tracked",
            f"from memory {UNKNOWN if ratio is None else f'{100 * ratio:.1f} %'}",
            f"look-ups {rate or 0:.1f}/s",
            f"upstream calls {calls or 0:,.0f}/h",
        )
    )


def sources(view: View) -> list[tuple[str, ...]]:
    """Return name, circuit, used budget and last error of each source."""
    return [
        (name, one["circuit"], f"{100 * one['budget_used_ratio']:.0f} %", one["last_error"] or "")
        for name, one in view.sections["sources"].items()
    ]


def usd(value: float | None) -> str:
    """Return USD in four digits, UNKNOWN for None."""
    if value is None:
        return UNKNOWN
    size, unit = next(((size, unit) for size, unit in _UNITS if value >= size), (1.0, ""))
    return f"{value / size:.4g}{unit}"


def seconds(value: float | None) -> str:
    """Return a time in its two largest units, UNKNOWN for None."""
    if value is None:
        return UNKNOWN
    minutes, rest = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"

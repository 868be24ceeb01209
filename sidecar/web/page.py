"""The operator's page: one file with its style and script inside, and a table for browsers without one."""

import base64
import hashlib
import re
import time
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final, NamedTuple

from aiohttp import web

from sidecar.web.board import Board

MOST_ROWS: Final = 1000
"""Of the table without a script, highest market cap first."""
BOARD: Final = web.AppKey("board", Board)


class _Page(NamedTuple):
    before: str
    after: str
    policy: str


async def get_page(request: web.Request) -> web.Response:
    """Show what is warm and how well."""
    page = _page()
    document = await request.app[BOARD].document()
    body = page.before + _table(document) + page.after
    headers = {
        "Content-Security-Policy": page.policy,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return web.Response(text=body, content_type="text/html", charset="utf-8", headers=headers)


@cache
def _page() -> _Page:
    """Read the page, and allow its own style and script and nothing else."""
    text = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    style, script = (_hash(re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)) for tag in ("style", "script"))
    policy = (
        f"default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    before, after = text.split("<!-- the table without a script -->")
    return _Page(before, after, policy)


def _hash(found: re.Match[str] | None) -> str:
    text = found[1] if found else ""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _table(document: Mapping[str, Any]) -> str:
    rows = sorted(document["tokens"].values(), key=lambda row: row["market_cap_usd"] or 0, reverse=True)
    cells = "".join(_row(row, document["now"]) for row in rows[:MOST_ROWS])
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(document["now"]))
    heads = ("Token", "Market cap, USD", "Price, USD", "Age, s", "Confidence", "Source", "Tier", "Requests")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    caption = f"{len(rows)} tracked tokens at {when}"
    if len(rows) > MOST_ROWS:
        caption += f", the {MOST_ROWS} with the highest market cap"
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table>"


def _row(row: Mapping[str, Any], now: float) -> str:
    name = escape(row["symbol"] or row["mint"])
    if row["market_cap_usd"] is None:
        cells = f'<td colspan="5">no price: {escape(row["reason"] or "not answered yet")}</td>'
    else:
        age = f"{max(0.0, now - row['timestamp']):.0f}"
        values = (
            f"{row['market_cap_usd']:,.0f}",
            f"{row['price_usd']:.6g}",
            age,
            row["confidence"],
            row["source"],
        )
        cells = "".join(f"<td>{value}</td>" for value in values)
    head = f'<th scope="row" title="{row["mint"]}">{name}</th>'
    return f"<tr>{head}{cells}<td>{row['tier']}</td><td>{row['requests']}</td></tr>"

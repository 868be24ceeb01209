"""Saves the other rows of an answer when one is no JSON: a cut emoji, NaN, a control character, deep nesting.

A JSON parser refuses such an answer as a whole. Here it is cut into rows without being parsed.
"""

import re
from typing import Final

import msgspec

MOST_TOKENS: Final = 60_000
"""Commas and opening brackets: what takes longer than some 25 ms to cut is not cut."""
MOST_ROWS: Final = 100
"""Rows that are no JSON; with more of them the answer is none."""
UNREADABLE: Final = b"false"
"""What a row that is no JSON becomes: no source has such a row, so that it is counted as unreadable."""

_TOKEN: Final = re.compile(rb'(?:[^"\[\]{},]++|"(?:[^"\\]++|\\.)*+")*+([\[\]{},])', re.DOTALL)
_ROW: Final = msgspec.json.Decoder(msgspec.Raw)


def mend(body: bytes) -> bytes:
    """Return the answer with `UNREADABLE` for each row that is no JSON; a row is an item of an outermost list.

    An answer that is too large to cut, or has too many such rows, is returned as it came.
    """
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MOST_TOKENS:
        return body
    parts: list[bytes] = []
    kept = start = depth = row_depth = 0
    for match in _TOKEN.finditer(body):
        token, at = match[1], match.start(1)
        if token in b"[{":
            depth += 1
            if token == b"[" and not row_depth:
                row_depth, start = depth, match.end()
            continue
        if depth == row_depth and token != b"}":
            if start < at and not _is_json(body[start:at]):
                if len(parts) >= 2 * MOST_ROWS:
                    return body
                parts += [body[kept:start], UNREADABLE]
                kept = at
            start = match.end()
        if token in b"]}":
            row_depth = 0 if depth == row_depth else row_depth
            depth -= 1
    return b"".join([*parts, body[kept:]])


def _is_json(row: bytes) -> bool:
    try:
        _ROW.decode(row)
    except (ValueError, RecursionError):
        return not row.strip()
    return True

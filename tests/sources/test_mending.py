"""One row that is no JSON: it is counted, and the others are used, whatever the source."""

import json
import tracemalloc
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
from msgspec import Raw

from sidecar.errors import SchemaError
from sidecar.models import Parsed
from sidecar.sources import dexscreener, geckoterminal, jupiter, mending, solana_rpc
from sidecar.sources.mending import MOST_ROWS, MOST_TOKENS, mend
from sidecar.sources.wire import MOST_ITEMS, rows
from tests.sources import test_dexscreener, test_geckoterminal, test_jupiter, test_solana_rpc
from tests.sources.accounts import account
from tests.sources.helpers import ALPHA, BETA, RECEIVED

POISON = {
    "lone surrogate": r'"\ud83d"',
    "lone surrogate in a key": r'{"\ud83d": 1}',
    "NaN": "NaN",
    "infinity": "-Infinity",
    "control character": '"a\x01b\n"',
    "deep nesting": "[" * 25_000 + "]" * 25_000,
    "no value": "",
    "a word": "undefined",
    "a bad escape": r'"\x"',
}
WANTED = frozenset({ALPHA, BETA})


def poisoned(row: object, poison: str) -> str:
    """Put the poison into a field that no source reads."""
    return json.dumps(row)[:-1] + f', "zzz": {poison}' + "}"


def from_jupiter(poison: str) -> Parsed[Any]:
    body = f"[{poisoned(test_jupiter.row(BETA), poison)}, {json.dumps(test_jupiter.row())}]"
    return jupiter.parse_quotes(WANTED, body.encode(), RECEIVED)


def from_dexscreener(poison: str) -> Parsed[Any]:
    body = f"[{json.dumps(test_dexscreener.pair())}, {poisoned(test_dexscreener.pair(BETA), poison)}]"
    return dexscreener.parse_quotes(WANTED, body.encode(), RECEIVED)


def from_geckoterminal(poison: str) -> Parsed[Any]:
    good, bad = test_geckoterminal.token(), test_geckoterminal.token(BETA)
    body = f'{{"data": [{json.dumps(good)}, {poisoned(bad, poison)}], "included": []}}'
    return geckoterminal.parse_quotes(WANTED, body.encode(), RECEIVED)


def from_solana(poison: str) -> Parsed[Any]:
    body = json.dumps(test_solana_rpc.answer(["here", account()]))
    body = body.replace('"here"', poisoned(account(), poison))
    return solana_rpc.parse_supplies([BETA, ALPHA], body.encode(), RECEIVED)


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
@pytest.mark.parametrize("parse", [from_jupiter, from_dexscreener, from_geckoterminal, from_solana])
def test_a_row_that_is_no_json_is_counted_and_the_others_are_used(
    parse: Callable[[str], Parsed[Any]], poison: str
) -> None:
    parsed = parse(poison)
    assert list(parsed.value) == [ALPHA]
    assert parsed.unreadable == 1


@pytest.mark.parametrize(
    ("body", "mended"),
    [
        (b"[]", b"[]"),
        (b"[ ]", b"[ ]"),
        (b"[NaN]", b"[false]"),
        (b"[1, NaN ,[NaN],{}]", b"[1,false,false,{}]"),
        (rb'["a,]\"[", "\ud83d", "\\"]', rb'["a,]\"[",false, "\\"]'),
        (b'{"a": {"b": [x, {"c": [1, 2]}]}, "d": [[y]]}', b'{"a": {"b": [false, {"c": [1, 2]}]}, "d": [false]}'),
        (b"]", b"]"),
        (b"[[}", b"[[}"),
        (b'["open', b'["open'),
        (b"", b""),
    ],
)
def test_rows_are_cut_at_the_outermost_lists(body: bytes, mended: bytes) -> None:
    assert mend(body) == mended


def test_what_is_too_large_to_cut_is_left_as_it_came() -> None:
    body = b"[NaN," + b"1," * MOST_TOKENS + b"1]"
    assert mend(body) is body


def test_an_answer_of_nothing_but_bad_rows_is_none_and_is_soon_seen_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"[" + b",".join([b'{"a":NaN}'] * 29_000) + b"]"
    is_json = Mock(wraps=mending._is_json)
    monkeypatch.setattr(mending, "_is_json", is_json)
    with pytest.raises(SchemaError):
        rows(body)
    assert is_json.call_count == MOST_ROWS + 1
    few = b"[" + b",".join([b"NaN"] * MOST_ROWS) + b"]"
    assert rows(few) == [Raw(b"false")] * MOST_ROWS


@pytest.mark.parametrize("item", [b"[]", b"0", b"{}", b'""', b"null"])
def test_millions_of_rows_are_refused_before_any_is_built(item: bytes) -> None:
    body = b"[" + b",".join([item] * 1_000_000) + b"]"
    tracemalloc.start()
    try:
        with pytest.raises(SchemaError, match="more than 100000 items"):
            rows(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000


def test_as_many_rows_as_are_allowed_cost_little() -> None:
    body = b"[" + b",".join([b"0"] * MOST_ITEMS) + b"]"
    tracemalloc.start()
    try:
        assert len(rows(body)) == MOST_ITEMS
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000
    assert rows(b"[1]") == [Raw(b"1")]

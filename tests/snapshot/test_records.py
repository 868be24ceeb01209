import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.models import MarketCap
from sidecar.pricing.token_state import Doubt, SourcedValue, TokenState
from sidecar.runtime.clock import Instant
from sidecar.snapshot import memory as snapshot_memory
from sidecar.snapshot import records as snapshot_records
from sidecar.snapshot.file import SnapshotError
from sidecar.snapshot.records import ClockRebase, SavedDemand, SavedToken, TakenAt, decode, encode
from tests.clock import UNIX_START
from tests.service.tokens import nobodys
from tests.snapshot.lives import A, B, known_facts, life, market_cap, settings_for

AT = Instant(1000.0, UNIX_START)
LINES = (
    encode(TakenAt(AT)),
    encode(SavedToken(mint=A, received=1000.0, cap=market_cap(A, UNIX_START), state=known_facts(AT))),
    encode(SavedDemand(mint=B, place="candidate", requests=((0.0, 1),))),
)


def is_credible(cap: MarketCap) -> bool:
    amounts = (cap.fdv_usd, cap.circulating_supply, cap.total_supply, cap.liquidity_usd)
    return cap.price_usd > 0 and cap.market_cap_usd > 0 and all(one is None or one >= 0 for one in amounts)


@given(place=st.integers(0, sum(map(len, LINES)) - 1), instead=st.binary(max_size=12), length=st.integers(0, 12))
def test_whatever_is_changed_only_sense_is_taken_back(place: int, instead: bytes, length: int) -> None:
    """The checksum keeps accidents out; this is about a file that another release wrote."""
    content = b"".join(LINES)
    try:
        found = decode(content[:place] + instead + content[place + length :])
    except SnapshotError:
        return
    assert len(found.tokens) + len(found.demands) + found.dropped <= len(LINES) + len(instead)
    assert all(token.cap is None or is_credible(token.cap) for token in found.tokens)


def test_an_unknown_field_of_a_later_release_is_passed_over() -> None:
    later = LINES[1].replace(b'{"type":"token"', b'{"type":"token","rank":3')
    assert decode(LINES[0] + later).tokens == decode(LINES[0] + LINES[1]).tokens


@pytest.mark.parametrize("blank", [" ", "\\n", "\\u001c", "\u00a0", "\u2028", "\u3000"])
def test_a_record_of_a_mint_with_a_blank_is_left_out(blank: str) -> None:
    spoilt = [
        line.replace(mint.encode(), (mint + blank).encode()) for line, mint in ((LINES[1], A), (LINES[2], B))
    ]
    assert decode(LINES[0] + b"".join(spoilt)).dropped == 2


@pytest.mark.parametrize("changes", [{"sources_agreeing": 99}, {"confidence_reasons": ("moonshine",)}])
def test_a_record_that_says_what_no_valuation_says_is_left_out(changes: dict[str, Any]) -> None:
    cap = msgspec.structs.replace(market_cap(A, UNIX_START), **changes)
    assert decode(LINES[0] + encode(SavedToken(mint=A, received=1000.0, cap=cap))).dropped == 1


def test_a_line_with_every_fact_keeps_far_below_what_is_reckoned_for_it() -> None:
    assert len(LINES[1]) < snapshot_memory.BYTES_PER_TOKEN * 3 // 4
    busy = SavedDemand(mint=A, place="requested", requests=tuple((n * 1234.5678901, 10**9) for n in range(12)))
    assert len(encode(busy)) < snapshot_memory.BYTES_PER_DEMAND


async def test_the_event_loop_turns_after_every_hundred_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = 0
    per_turn: list[int] = []

    def counted(line: snapshot_records.Line) -> bytes:
        nonlocal encoded
        encoded += 1
        return encode(line)

    async def watch() -> None:
        nonlocal encoded
        while True:
            per_turn.append(encoded)
            encoded = 0
            await asyncio.sleep(0)

    monkeypatch.setattr(snapshot_memory, "encode", counted)
    async with life(settings_for(tmp_path / "snapshot", max_entries=1000)) as one:
        for mint in nobodys(950):
            one.hold(mint)
        watcher = asyncio.create_task(watch())
        assert await one.snapshots.save()
        watcher.cancel()
    assert sum(per_turn) == 951
    assert max(per_turn) == 100


async def test_what_changes_while_it_is_saved_is_saved_as_it_is_then(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "snapshot", max_entries=1000)
    async with life(settings) as one:
        mints = nobodys(300)
        for mint in mints:
            one.hold(mint)
            one.engine.token_states.put(mint, known_facts(AT))
            one.engine.tracker.request(mint)
        saving = asyncio.create_task(one.snapshots.save())
        await asyncio.sleep(0)
        one.engine.cache.put_unpriced(mints[-1], "gone")
        one.hold(mints[-2], symbol="NEW")
        one.hold(A)
        assert await saving
        found = decode((tmp_path / "snapshot").read_bytes().partition(b"\n")[2])
    caps = {token.mint: token.cap for token in found.tokens}
    assert len(caps) == 300
    assert caps[mints[-1]] is None
    assert msgspec.structs.asdict(caps[mints[-2]] or market_cap(A, 0))["symbol"] == "NEW"


def test_every_time_in_what_is_remembered_of_a_token_is_moved_into_this_process() -> None:
    long_ago = Instant(990_000.0, UNIX_START)
    price = SourcedValue(Decimal(2), "jupiter", long_ago)
    rebase = ClockRebase(Instant(990_060.0, UNIX_START + 60), Instant(500.0, UNIX_START + 70), 0.0)
    moved = rebase.state(TokenState(last_good=price, silent=long_ago, doubts=(Doubt(price),)))
    assert moved.last_good is not None
    assert moved.silent == moved.last_good.received == Instant(430.0, UNIX_START)
    assert moved.doubts[0].price.received == Instant(430.0, UNIX_START)

"""Lines and figures of a snapshot that make no sense are left out, and the others count."""

import logging
from pathlib import Path

import pytest

from sidecar.runtime.clock import now
from sidecar.snapshot.file import read, write
from tests.service.tokens import nobodys
from tests.snapshot.lives import A, B, known_facts, life, next_life, settings_for


async def content_of_one(path: Path) -> list[bytes]:
    """Return the lines of a snapshot of one value with its token state, and one demand."""
    async with life(settings_for(path)) as one:
        one.hold(A)
        one.engine.token_states.put(A, known_facts(now(one.clock)))
        one.engine.tracker.request(B)
        await one.snapshots.save()
        return read(path, one.snapshots.max_bytes).splitlines(keepends=True)


SENSELESS = [
    (b'"price_usd":0.25', b'"price_usd":0.0'),
    (b'"price_usd":0.25', b'"price_usd":1e999'),
    (b'"price_usd":0.25', b'"price_usd":null'),
    (b'"market_cap_usd":250000.0', b'"market_cap_usd":-1.0'),
    (b'"total_supply":2000000.0', b'"total_supply":-2000000.0'),
    (b'"market_cap_usd":250000.0', b'"market_cap_usd":250001.0'),
    (b'"fdv_usd":500000.0', b'"fdv_usd":500001.0'),
    (b'"fdv_usd":500000.0', b'"fdv_usd":null'),
    (b'"price_usd":0.25', b'"price_usd":0.26'),
    (b'"basis":"circulating"', b'"basis":"total"'),
    (b'"circulating_supply":1000000.0', b'"circulating_supply":null'),
    (b'"circulating_supply":1000000.0', b'"circulating_supply":2000001.0'),
    (b'"source":"jupiter"', b'"source":""'),
    (b'"supply_source":"solana_rpc"', b'"supply_source":null'),
    (b'"circulating_source":"jupiter"', b'"circulating_source":null'),
    (b'"confidence":"high"', b'"confidence":"absolute"'),
    (b'"symbol":"ABC"', b'"symbol":"' + b"A" * 65 + b'"'),
    (b'"total":"2000000.000000001"', b'"total":"NaN"'),
    (b'"total":"2000000.000000001"', b'"total":"1e400"'),
    (b'"total":"2000000.000000001"', b'"total":"-1"'),
    (b'"multiplier":"2"', b'"multiplier":"Infinity"'),
    (b'"value":"0.25"', b'"value":"-0.25"'),
    (b'"value":"0.25"', b'"value":"a quarter"'),
    (b'{"type":"token","mint":"' + A.encode(), b'{"type":"token","mint":"' + B.encode()),
    (A.encode(), b"0" + A[1:].encode()),
    (b'{"type":"token"', b'{"type":"later"'),
    (b"}\n", b"\n"),
]


@pytest.mark.parametrize(("written", "instead"), SENSELESS)
async def test_a_line_that_makes_no_sense_is_left_out_and_the_others_count(
    path: Path, written: bytes, instead: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    taken, demand, token = await content_of_one(path)
    assert written in token
    write(path, [taken, demand, token.replace(written, instead)])
    async with next_life(settings_for(path)) as two:
        assert len(two.engine.cache) == 0
        assert len(two.engine.token_states) == 0
        assert two.wanted() == {B: ("candidate", ((0.0, 1),))}
    assert [(r.message, r.__dict__["dropped"]) for r in caplog.records] == [("snapshot restored", 1)]


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        (b'"requests":[[0.0,1]]', b'"requests":[[-1.0,1]]'),
        (b'"requests":[[0.0,1]]', b'"requests":[[0.0,0]]'),
        (b'"requests":[[0.0,1]]', b'"requests":[' + b"[0.0,1]," * 12 + b"[0.0,1]]"),
        (b'"candidate"', b'"queue"'),
        (b'"candidate"', b'"popular"'),
        (b'"requests"', b'"symbol":"ABC","requests"'),
        (B.encode(), b"me"),
    ],
)
async def test_a_demand_that_makes_no_sense_is_left_out(path: Path, written: bytes, instead: bytes) -> None:
    taken, demand, token = await content_of_one(path)
    assert written in demand
    write(path, [taken, demand.replace(written, instead), token])
    async with next_life(settings_for(path)) as two:
        assert two.wanted() == {}
        assert two.age(A) == 0.0


async def test_values_received_a_moment_after_the_snapshots_clocks_are_taken_to_be_of_that_moment(
    path: Path,
) -> None:
    """A line made a moment after the first one may hold what came in between."""
    taken, demand, token = await content_of_one(path)
    write(path, [taken, demand, token.replace(b'"received":1000.0', b'"received":1000.4')])
    async with next_life(settings_for(path), after=3.0) as two:
        assert two.age(A) == 3.0


async def test_the_bounds_hold_whatever_the_file_holds(path: Path) -> None:
    taken, demand, token = await content_of_one(path)
    others = nobodys(300, first=10)
    demands = [demand.replace(B.encode(), mint.encode()).replace(b"candidate", b"requested") for mint in others]
    tokens = [token.replace(A.encode(), mint.encode()) for mint in others]
    settings = settings_for(path, max_entries=100)
    write(path, [taken, *demands, *tokens[:150]])
    async with next_life(settings) as two:
        assert len(two.engine.tracker.mints) == 10
        assert len(two.engine.cache) <= 100
        assert len(two.engine.token_states) <= 110

"""A source's circuit, seen from the service: opened by failures, tried by one call, closed by a success."""

import asyncio
import logging

import pytest

from sidecar.demo import Fault
from tests.faults.warm import QUIET, recovers, run_warm, stand_still
from tests.running import running
from tests.service.tokens import PRICED, plain_tokens


async def test_a_circuit_is_tried_by_one_call_whoever_waits_and_each_change_is_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(QUIET, prepare=stand_still) as rig:
        await rig.run_for(65)
        with caplog.at_level(logging.INFO):
            rig.market.faults["jupiter"] = Fault(kind="status", status=500)
            assert await rig.run_until(lambda: rig.metric("upstream_circuit_open", source="jupiter") == 1, 300)
            rig.market.faults["jupiter"] = Fault(kind="latency", latency_seconds=3.0)
            await rig.run_for(rig.service.engine.upstreams["jupiter"].breaker.retry_in() + 0.01)
            calls = rig.calls("jupiter")
            cold = plain_tokens(rig.market, 60)
            asking = [asyncio.create_task(rig.service.get(mint)) for mint in cold]
            await rig.run_for(2)
            assert rig.calls("jupiter") == calls + 1
            assert {(await task).source for task in asking} == {"dexscreener"}
            await rig.run_for(2)
            assert rig.metric("upstream_circuit_open", source="jupiter") == 0
            rig.market.faults["jupiter"] = None
            await run_warm(rig, 120)
        records = [record for record in caplog.records if record.message != "statistics"]  # due at any moment
        lines = [(record.message, getattr(record, "state", None)) for record in records]
        assert lines == [
            ("upstream failing: jupiter", None),
            ("circuit open: jupiter", "open"),
            ("circuit closed: jupiter", "closed"),
            ("upstream recovered: jupiter", None),
        ]


async def test_while_a_circuit_is_open_the_next_source_keeps_everything_fresh() -> None:
    async with running(QUIET, prepare=stand_still) as rig:
        await rig.run_for(65)
        rig.market.faults["jupiter"] = Fault(kind="status", status=500)
        await run_warm(rig, 1200)
        for mint in PRICED:
            assert (await rig.service.get(mint)).source == "dexscreener"
            assert rig.age(mint) <= 70
        await recovers(rig)
        assert (await rig.service.get(PRICED[0])).source == "jupiter"

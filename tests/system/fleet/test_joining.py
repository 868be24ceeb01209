"""What a sidecar takes over when it joins leaves the event loop its turns."""

import asyncio

import pytest

from sidecar.demo.tokens import address_of
from sidecar.fleet.keys import Keys
from sidecar.fleet.receiving import RECORDS_A_TURN
from sidecar.service.service import PreCacheService
from tests.service.tokens import JUP
from tests.system.fleet.members import fleet, metric

pytestmark = pytest.mark.usefixtures("patient")

RECORDS = 500


async def test_a_sidecar_that_joins_takes_few_records_in_one_turn_of_the_event_loop() -> None:
    async with fleet() as rig:
        await rig.formed(1)
        values = Keys("mc-sidecar").values
        record = await rig.redis.command("HGET", values, JUP)
        others = [address_of(f"another {number}") for number in range(RECORDS)]
        records = [(mint, record.replace(JUP.encode(), mint.encode())) for mint in others]
        await rig.redis.command("HSET", values, *(part for pair in records for part in pair))

        newcomer = PreCacheService(rig.settings)
        rig.members.append(newcomer)
        watching = asyncio.create_task(most_in_one_turn(newcomer))
        await newcomer.start()
        watching.cancel()
        assert isinstance((await asyncio.gather(watching, return_exceptions=True))[0], asyncio.CancelledError)
        assert metric(newcomer, "fleet_values_received_total") > RECORDS


async def most_in_one_turn(member: PreCacheService) -> None:
    """Fail where more records than allowed are taken between two turns."""
    taken = 0.0
    while True:
        await asyncio.sleep(0)
        before, taken = taken, metric(member, "fleet_values_received_total")
        assert taken - before <= RECORDS_A_TURN

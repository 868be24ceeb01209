"""No answer's body and no error outlives the call that it came with; no garbage collection is needed for that."""

import gc
import sys
from collections.abc import Iterator
from typing import Any, Final, Self

import pytest

from sidecar.config.settings import Settings, TrendingSettings
from sidecar.demo import Fault
from sidecar.errors import McSidecarError
from sidecar.service.service import PreCacheService
from sidecar.upstreams.exchange import Exchange
from tests.running import running
from tests.service.tokens import PRICED, nobodys, plain_tokens

QUIET: Final = Settings(trending=TrendingSettings(sources=()))
JSON: Final = {"Content-Type": "application/json"}
FAULTS: Final = {
    "none": None,
    "garbage": Fault(kind="garbage"),
    "half JSON": Fault(kind="half_json"),
    "another shape": Fault(kind="status", status=200, body='{"data": 7, "pairs": 7, "result": 7}', headers=JSON),
    "rows of another shape": Fault(kind="status", status=200, body="[7, {}]", headers=JSON),
    "an error in 200": Fault(
        kind="status", status=200, body='{"error": {"code": 1, "message": "no"}}', headers=JSON
    ),
}


class Body(bytes):
    """A body that counts itself."""

    alive: int = 0
    made: int = 0

    def __new__(cls, content: bytes) -> Self:
        cls.alive += 1
        cls.made += 1
        return super().__new__(cls, content)

    def __del__(self) -> None:
        type(self).alive -= 1


@pytest.fixture
def collector_off(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Coverage looks into all frames, and its own then keeps them alive in a cycle.
    monkeypatch.setattr(sys, "_current_frames", dict)
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("collector_off")
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_no_body_is_kept_by_the_error_that_came_of_it(
    fault: Fault | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Exchange._read

    async def counted(exchange: Exchange, response: Any) -> bytes:
        return Body(await read(exchange, response))

    monkeypatch.setattr(Exchange, "_read", counted)
    monkeypatch.setattr(Body, "alive", 0)
    monkeypatch.setattr(Body, "made", 0)
    async with running(QUIET) as rig:
        await rig.warm()
        rig.market.faults = dict.fromkeys(rig.market.faults, fault)
        await rig.run_for(125)
        await rig.outcome(plain_tokens(rig.market, 1)[0])
        await rig.settle()
        assert Body.made > 8
        assert Body.alive == 0
        assert all(rig.cap(mint) is not None for mint in PRICED)


@pytest.mark.usefixtures("collector_off")
async def test_no_error_of_a_look_up_is_part_of_a_cycle() -> None:
    async with running(QUIET) as rig:
        await rig.warm()
        (unknown,) = nobodys(1)
        await rig.outcome(unknown)
        gc.collect()
        before = errors_alive()
        assert [await code_of(rig.service, mint) for mint in (unknown, "no mint")] == [
            "not_priced",
            "invalid_mint",
        ]
        codes = {error.code for error in (await rig.service.get_many([unknown, "no mint"])).errors.values()}
        assert codes == {"not_priced", "invalid_mint"}
        assert errors_alive() == before


async def code_of(service: PreCacheService, mint: str) -> str:
    try:
        await service.get(mint)
    except McSidecarError as error:
        return error.code
    raise AssertionError(mint)


def errors_alive() -> int:
    return sum(isinstance(one, McSidecarError) for one in gc.get_objects())

"""Answers that are none, from every source at once: what is in memory stays as it is, and memory stays small."""

import tracemalloc
from typing import Final

import pytest

from sidecar.demo import Fault
from sidecar.errors import UpstreamUnavailableError
from sidecar.upstreams.exchange import LARGEST_ANSWER_BYTES
from tests.faults.warm import (
    QUIET,
    assert_calm,
    break_all,
    impatient,
    recovers,
    run_warm,
    served_from_memory,
    stand_still,
)
from tests.running import running
from tests.service.tokens import plain_tokens


def said(body: str, content_type: str = "application/json") -> Fault:
    """Answer 200 with this body."""
    return Fault(kind="status", status=200, body=body, headers={"Content-Type": content_type})


NONSENSE: Final = {
    "garbage": Fault(kind="garbage"),
    "half JSON": Fault(kind="half_json"),
    "challenge page": Fault(kind="challenge"),
    "reset in mid-body": Fault(kind="reset"),
    "no answer": Fault(kind="drop"),
    "redirect": Fault(kind="status", status=302, headers={"Location": "/elsewhere"}),
    "server error": Fault(kind="status", status=502, body="<html>bad gateway</html>"),
    "empty": said(""),
    "null": said("null"),
    "true": said("true"),
    "empty object": said("{}"),
    "null data": said('{"data": null, "result": null, "pairs": null}'),
    "an error that says 200": said('{"jsonrpc": "2.0", "id": 1, "error": {"code": 429, "message": "slow down"}}'),
    "rows of nothing": said("[null, 1, {}, [], true]"),
    "deep": said("[" * 500_000),
    "deep object": said('{"data":' * 200_000),
    "a figure without end": said('[{"id": ' + "9" * 1_000_000 + "}]"),
    "another encoding": said('[{"id": "\ufeffé"}]', "application/json; charset=utf-16"),
    "a false length": Fault(kind="status", status=200, body="[]", headers={"Content-Encoding": "gzip"}),
}
MASSES: Final = {"gzip bomb": Fault(kind="gzip_bomb"), "endless": Fault(kind="endless")}


@pytest.mark.parametrize("fault", NONSENSE.values(), ids=NONSENSE.keys())
async def test_nonsense_from_every_source_changes_nothing_in_memory(fault: Fault) -> None:
    async with running(QUIET, prepare=stand_still) as rig:
        await rig.run_for(65)
        before = {cap.mint: (cap.market_cap_usd, cap.timestamp) for cap in await served_from_memory(rig.service)}
        break_all(rig, fault)
        await run_warm(rig, 180)
        after = {cap.mint: (cap.market_cap_usd, cap.timestamp) for cap in await served_from_memory(rig.service)}
        assert after == before
        [cold] = plain_tokens(rig.market, 1)
        assert isinstance(await rig.outcome(cold, within=2.5), UpstreamUnavailableError)
        assert rig.service.engine.cache.unpriced_reason(cold) is None
        assert_calm(rig.service)
        await recovers(rig)


@pytest.mark.parametrize("fault", MASSES.values(), ids=MASSES.keys())
async def test_bodies_without_end_from_every_source_cost_a_few_answers_memory(fault: Fault) -> None:
    async with running(QUIET, prepare=stand_still) as rig:
        await rig.run_for(65)
        break_all(rig, fault)
        tracemalloc.start()
        try:
            await run_warm(rig, 180)
            kept, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert rig.metric("upstream_requests_total", source="jupiter", outcome="too_large") > 3
        assert peak < 5 * 2 * LARGEST_ANSWER_BYTES  # of the calls at once, and the server's side of them
        assert kept < LARGEST_ANSWER_BYTES / 2  # nothing waits for a garbage collection
        await recovers(rig)


@pytest.mark.parametrize("fault", [Fault(kind="hang"), Fault(kind="latency", latency_seconds=8.0)])
async def test_a_source_that_answers_after_the_timeout_or_never_costs_no_warm_token(fault: Fault) -> None:
    async with running(impatient(0.05), prepare=stand_still) as rig:
        await rig.run_for(65)
        break_all(rig, fault)
        await run_warm(rig, 180)
        assert rig.metric("upstream_requests_total", source="jupiter", outcome="timeout") > 3
        assert rig.metric("upstream_circuit_open", source="jupiter") == 1
        assert len(rig.service.engine._session.connector._acquired) == 0  # type: ignore[union-attr]
        rig.market.hung = 0
        await recovers(rig)

"""Tokens without a price, asked for minute after minute."""

from collections import Counter

import pytest

from sidecar.errors import UpstreamUnavailableError
from tests.running import running
from tests.service.test_unpriced import MINUTE, QUIET, ask_every, calls_of, drained
from tests.service.tokens import POPULAR_MINTS, nobodys


@pytest.mark.parametrize("kind", ["drained", "unknown"])
async def test_tokens_without_a_price_cost_about_a_call_a_minute_however_often_they_are_asked_for(
    kind: str,
) -> None:
    async with running(QUIET) as rig:
        await rig.warm()
        mints = drained(rig.market, 30) if kind == "drained" else [str(mint) for mint in nobodys(30)]
        await rig.finish(rig.service.get_many(mints))
        start = rig.clock.monotonic()
        outcomes = await ask_every(rig, mints, 10.0, 10 * MINUTE)
        assert set(outcomes) == {"not_priced"}
        calls = calls_of(rig, mints, start)
        assert max(calls.values()) <= 10, calls
        assert calls.total() <= 30, calls


async def test_a_spent_budget_is_overload_and_no_outage() -> None:
    async with running(QUIET, tokens=2500) as rig:
        await rig.warm()
        cold = [mint for mint in rig.market.tokens if mint not in POPULAR_MINTS][:1000]
        tokens, errors = await rig.finish(rig.service.get_many(cold))
        codes = Counter(error.code for error in errors.values())
        assert len(tokens) > 100
        assert codes["overloaded"] > 100
        assert codes["upstream_unavailable"] == 0
        assert rig.metric("lookups_total", result="error") == codes["deadline_exceeded"]
        assert not any(isinstance(error, UpstreamUnavailableError) for error in errors.values())

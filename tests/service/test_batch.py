"""What one refresh costs: each mint is valued once, whatever many sources answered."""

from collections import Counter
from typing import Any

import pytest

from sidecar.models import Mint
from sidecar.pricing.result import Valuation
from sidecar.pricing.valuation import value
from sidecar.refresh import answers
from tests.running import running


async def test_a_popular_refresh_values_each_token_once(monkeypatch: pytest.MonkeyPatch) -> None:
    valued: Counter[Mint] = Counter()

    def counted(mint: Mint, *rest: Any, **options: Any) -> Valuation:
        valued[mint] += 1
        return value(mint, *rest, **options)

    async with running() as rig:
        await rig.run_for(30)
        monkeypatch.setattr(answers, "value", counted)
        before = rig.calls("jupiter", "dexscreener")
        await rig.next_refresh()
        assert rig.calls("jupiter", "dexscreener") == before + 2
    assert len(valued) > 50
    assert set(valued.values()) == {1}

"""Figures withstand attack (design, what the figures mean): what must not be served at high, and what is."""

import pytest

from tests.stories import attacks
from tests.stories.stage import MINUTE, Sample, Story, longest_wrong, play

ORDER = ("", "low", "medium", "high")


def highest(samples: list[Sample]) -> str:
    return max((sample.confidence for sample in samples), key=ORDER.index)


def at(samples: list[Sample], minute: int) -> Sample:
    """Return what is served in the middle of a minute."""
    return samples[minute * MINUTE + 30 - 1]


def confidences(samples: list[Sample], *minutes: int) -> list[str]:
    return [at(samples, minute).confidence for minute in minutes]


def title(story: Story) -> str:
    return story.title


@pytest.mark.parametrize("story", attacks.FAKES, ids=title)
async def test_liquidity_that_a_pool_only_claims_never_gets_above_low(story: Story) -> None:
    assert highest(await play(story)) in {"", "low"}


@pytest.mark.parametrize("story", attacks.UNITS, ids=title)
async def test_a_source_that_prices_another_unit_never_moves_the_market_cap(story: Story) -> None:
    samples = await play(story)
    assert {round(sample.error, 6) for sample in samples if sample.found} == {0.0}
    assert all(sample.found for sample in samples)


@pytest.mark.parametrize("story", attacks.GLITCHES, ids=title)
async def test_a_supply_that_cannot_be_neither_moves_a_cap_at_high_nor_takes_it_away(story: Story) -> None:
    samples = await play(story)
    assert longest_wrong(samples, "high") == 0
    assert all(sample.found for sample in samples)


@pytest.mark.parametrize("story", attacks.VERDICTS, ids=title)
async def test_a_verdict_does_not_outlive_its_evidence(story: Story) -> None:
    samples = await play(story)
    assert longest_wrong(samples, "high") <= 60

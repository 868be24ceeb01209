"""Figures withstand attack (docs/rules.md): what must not be served at high, and what is."""

import pytest

from tests.stories import price_attacks, supply_attacks
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


@pytest.mark.parametrize("story", price_attacks.FAKES, ids=title)
async def test_liquidity_that_a_pool_only_claims_never_gets_above_low(story: Story) -> None:
    assert highest(await play(story)) in {"", "low"}


@pytest.mark.parametrize("story", supply_attacks.UNITS, ids=title)
async def test_a_source_that_prices_another_unit_never_moves_the_market_cap(story: Story) -> None:
    samples = await play(story)
    assert {round(sample.error, 6) for sample in samples if sample.found} == {0.0}
    assert all(sample.found for sample in samples)


@pytest.mark.parametrize("story", supply_attacks.GLITCHES, ids=title)
async def test_a_supply_that_cannot_be_neither_moves_a_cap_at_high_nor_takes_it_away(story: Story) -> None:
    samples = await play(story)
    assert longest_wrong(samples, "high") == 0
    assert all(sample.found for sample in samples)


@pytest.mark.parametrize("story", price_attacks.VERDICTS, ids=title)
async def test_a_verdict_does_not_outlive_its_evidence(story: Story) -> None:
    samples = await play(story)
    assert longest_wrong(samples, "high") <= 60


@pytest.mark.parametrize("story", price_attacks.FROZEN, ids=title)
async def test_sources_that_froze_together_are_found_out_when_the_price_is_ten_minutes_old(story: Story) -> None:
    samples = await play(story)
    assert at(samples, 11).error == pytest.approx(1 / 0.71 - 1)
    assert {sample.confidence for sample in samples[13 * MINUTE :]} <= {"medium", "low"}
    assert "old_price" in at(samples, 13).reasons


async def test_a_token_not_traded_for_hours_is_no_news_at_a_cold_start() -> None:
    samples = await play(price_attacks.OLD_FROM_THE_START)
    assert {(sample.confidence, sample.reasons) for sample in samples} == {("medium", ("old_price",))}


async def test_a_requested_token_that_is_rugged_is_gone_a_minute_after_the_first_answer_without_a_price() -> None:
    samples = await play(price_attacks.REQUESTED_RUG)
    seen = next(sample for sample in samples if sample.confidence == "low")
    assert seen.reasons[-1] == "preferred_source_silent"
    gone = [sample.second for sample in samples if sample.found is None]
    assert gone == list(range(seen.second + 60, samples[-1].second + 1))


async def test_a_rugged_token_that_takes_a_free_place_is_doubted_with_the_first_call_that_shows_it() -> None:
    samples = await play(price_attacks.TOPPED_UP_RUG)
    assert longest_wrong(samples, "high") <= 60
    assert samples[-1].found is None


async def test_a_spread_that_moves_around_the_ratio_changes_nothing() -> None:
    samples = await play(price_attacks.FLICKER)
    assert {(sample.confidence, sample.reasons) for sample in samples} == {("high", ())}
    assert at(samples, 5).found.cap.price_spread == pytest.approx(0.051)  # type: ignore[union-attr]


async def test_a_burn_leaves_the_basis_what_it_is() -> None:
    samples = await play(supply_attacks.BURN)
    assert {sample.found.cap.basis for sample in samples if sample.found} == {"circulating"}
    assert confidences(samples, 1, 3, 5, 11) == ["high", "low", "high", "high"]
    assert at(samples, 3).reasons == ("supply_not_on_chain",)


async def test_a_price_of_long_ago_is_at_most_medium_after_ten_minutes_and_thin_after_an_hour() -> None:
    samples = await play(price_attacks.OLD_PRICE)
    assert confidences(samples, 11, 14, 61) == ["high", "medium", "medium"]
    assert at(samples, 14).reasons == ("old_price",)
    assert [at(samples, minute).found.cap.source for minute in (61, 65)] == [  # type: ignore[union-attr]
        "jupiter",
        "dexscreener",
    ]


async def test_a_node_that_is_behind_changes_no_supply() -> None:
    samples = await play(supply_attacks.BEHIND)
    assert {(sample.confidence, round(sample.error, 9)) for sample in samples[: 9 * MINUTE]} == {("high", 0.0)}


async def test_a_supply_that_jumped_and_stays_is_taken_into_use_and_high_ten_minutes_later() -> None:
    samples = await play(supply_attacks.REAL_MINT)
    caps = [one.found.cap for one in (at(samples, minute) for minute in (2, 5, 6)) if one.found]
    assert [cap.circulating_supply for cap in caps] == [8e8, 8e8, 1.6e9]
    assert confidences(samples, 2, 3, 5, 6, 16, 17) == ["high", "low", "medium", "medium", "medium", "high"]
    assert at(samples, 5).reasons == ("supply_changed",)


async def test_all_sources_at_once_are_believed_when_a_second_refresh_says_so() -> None:
    samples = await play(price_attacks.LEAP)
    assert confidences(samples, 3, 4) == ["medium", "high"]
    assert at(samples, 3).reasons == ("jump",)


async def test_a_glitch_is_named_while_it_lasts() -> None:
    samples = await play(supply_attacks.GLITCHES[0])
    assert [at(samples, minute).reasons for minute in (2, 3, 4)] == [(), ("supply_changed",), ()]

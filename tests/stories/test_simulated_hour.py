"""What docs/simulated-hour.md claims (docs/rules.md)."""

import pytest

from tests.stories import stories
from tests.stories.in_turn import SPREAD, play_in_turn
from tests.stories.stage import MINUTE, Sample, Story, longest_wrong, play
from tools.simulated_hour import PAGE, page

Moment = tuple[float, str, str]
"""Price, confidence, source."""


def at(samples: list[Sample], minute: int, second: int = 30) -> Sample:
    return next(sample for sample in samples if sample.second == minute * MINUTE + second)


def moment(samples: list[Sample], minute: int, second: int = 30) -> Moment:
    found = at(samples, minute, second).found
    assert found is not None
    return found.cap.price_usd, found.cap.confidence, found.cap.source


def wrong(samples: list[Sample]) -> dict[str, int]:
    return {confidence: longest_wrong(samples, confidence) for confidence in ("high", "medium", "low")}


def assert_never_wrong(samples: list[Sample]) -> None:
    assert max(abs(sample.error) for sample in samples) < 1e-9


async def test_the_page_is_what_the_generator_writes() -> None:
    assert PAGE.read_text(encoding="utf-8") == await page()


async def test_a_calm_token_is_served_at_high_throughout() -> None:
    samples = await play(stories.CALM)
    assert {sample.confidence for sample in samples} == {"high"}
    assert max(abs(sample.error) for sample in samples) == pytest.approx(0.0476, abs=1e-4)


@pytest.mark.parametrize("story", [stories.WILD, stories.ONE_LAGS], ids=lambda story: story.title)
async def test_a_price_that_moves_by_60_percent_is_right_and_sure_after_one_refresh(story: Story) -> None:
    samples = await play(story)
    assert wrong(samples) == {"high": 59, "medium": 0, "low": 0}
    lagging = story is stories.ONE_LAGS  # what a source contradicts by that much is at most medium
    assert {sample.confidence for sample in samples} == ({"high", "medium"} if lagging else {"high"})


async def test_two_sources_that_lag_a_minute_cost_one_refresh() -> None:
    samples = await play(stories.TWO_LAG)
    assert wrong(samples) == {"high": 59, "medium": 60, "low": 0}
    assert moment(samples, 3) == (0.05, "medium", "dexscreener")
    assert moment(samples, 4) == (0.08, "high", "jupiter")


async def test_a_single_bad_tick_is_never_served() -> None:
    assert_never_wrong(await play(stories.BAD_TICK))


async def test_with_one_source_a_bad_tick_is_held_off_and_a_real_jump_is_held_for_one_refresh() -> None:
    samples = await play(stories.BAD_TICK_ALONE)
    assert_never_wrong([sample for sample in samples if sample.second <= 6 * MINUTE])
    assert moment(samples, 3) == (0.05, "low", "jupiter")
    assert moment(samples, 4) == (0.05, "medium", "jupiter")
    assert moment(samples, 7) == (0.05, "low", "jupiter")
    assert moment(samples, 8) == (0.1, "medium", "jupiter")
    assert wrong(samples) == {"high": 0, "medium": 59, "low": 57}


async def test_the_stuck_preferred_source_is_served_at_medium_and_then_at_low_until_it_moves() -> None:
    samples = await play(stories.JUPITER_STUCK)
    assert [moment(samples, minute)[1] for minute in (2, 3, 4, 9, 11)] == ["high", "medium", "low", "low", "high"]
    assert wrong(samples) == {"high": 0, "medium": 0, "low": 419}


async def test_a_stuck_second_source_costs_confidence_and_nothing_else() -> None:
    samples = await play(stories.DEXSCREENER_STUCK)
    assert moment(samples, 9) == (0.065, "low", "jupiter")
    assert moment(samples, 11) == (0.065, "high", "jupiter")
    assert wrong(samples) == {"high": 0, "medium": 0, "low": 0}


async def test_a_rugged_token_is_doubted_for_a_refresh_and_then_not_priced() -> None:
    samples = await play(stories.RUG_PULL)
    assert moment(samples, 3) == (0.015, "high", "jupiter")
    assert moment(samples, 4) == (0.015, "low", "jupiter")
    assert all(sample.found is None and sample.unpriced for sample in samples if sample.second >= 5 * MINUTE)


async def test_with_jupiter_off_figure_basis_and_confidence_stay() -> None:
    samples = await play(stories.JUPITER_OFF)
    caps = [sample.found.cap for sample in samples if sample.found]
    assert len(caps) == len(samples)
    assert {(cap.basis, cap.circulating_supply, cap.confidence) for cap in caps} == {("circulating", 8e8, "high")}
    assert moment(samples, 6) == (0.04, "high", "dexscreener")
    assert moment(samples, 13) == (0.04, "high", "jupiter")


async def test_nonsense_is_never_served_while_two_other_sources_are_right() -> None:
    assert_never_wrong(await play(stories.NONSENSE))


async def test_one_against_one_nonsense_is_kept_off_while_the_old_price_is_fresh() -> None:
    samples = await play(stories.NONSENSE_OF_TWO)
    assert_never_wrong([sample for sample in samples if sample.second < 8 * MINUTE])
    assert moment(samples, 8) == (50.0, "low", "jupiter")
    assert wrong(samples) == {"high": 0, "medium": 0, "low": 60}


async def test_one_against_one_is_served_at_low_and_sure_again_once_both_have_agreed_twice() -> None:
    samples = await play(stories.NONSENSE_OF_TWO)
    assert [moment(samples, minute)[1:] for minute in (3, 4, 7, 9, 10)] == [
        ("low", "jupiter"),
        ("low", "dexscreener"),
        ("low", "dexscreener"),
        ("medium", "jupiter"),
        ("high", "jupiter"),
    ]


async def test_a_jump_that_another_source_contradicts_waits_at_low_until_that_one_moves() -> None:
    samples = await play(stories.JUMP_OF_TWO)
    assert [moment(samples, minute)[:2] for minute in (3, 4, 5, 6)] == [(0.05, "low")] * 3 + [(0.1, "high")]


async def test_with_everything_off_the_figure_stays_and_ages_and_its_verdict_lapses() -> None:
    samples = await play(stories.ALL_OFF)
    outage = [sample for sample in samples if 2 * MINUTE < sample.second < 23 * MINUTE]
    found = [sample.found for sample in outage if sample.found]
    assert [one.age_seconds for one in found] == [float(age) for age in range(1, 21 * MINUTE)]
    assert [one.cap.price_usd for one in found] == [0.05] * len(outage)
    assert [one.stale for one in found] == [one.age_seconds > 360 for one in found]
    assert [one.cap.confidence for one in found] == ["high"] * 629 + ["medium"] * 630
    assert moment(samples, 23, 0) == (0.055, "high", "jupiter")


async def test_without_the_chain_everything_is_low_until_it_has_been_read() -> None:
    samples = await play(stories.RPC_OFF)
    sources = {sample.found.cap.supply_source: sample.confidence for sample in samples if sample.found}
    assert sources == {"jupiter": "low", "solana_rpc": "high"}
    assert moment(samples, 5, 0) == (0.05, "high", "jupiter")
    assert_never_wrong(samples)


async def test_a_multiplier_that_switches_never_makes_the_market_cap_wrong() -> None:
    samples = await play(stories.SCALED)
    assert_never_wrong(samples)
    assert [s.found.cap.total_supply for s in (at(samples, 5), at(samples, 6)) if s.found] == [1e9, 5e9]
    assert {sample.confidence for sample in samples} == {"high"}


async def test_a_thin_token_is_low_throughout() -> None:
    samples = await play(stories.THIN)
    assert {sample.confidence for sample in samples} == {"low"}
    assert wrong(samples) == {"high": 0, "medium": 0, "low": 59}


async def test_each_source_failing_in_turn_leaves_every_popular_token_right_within_a_refresh() -> None:
    segments = await play_in_turn()
    assert len(segments) == 12
    for segment in segments:
        name = (segment.source, segment.ill)
        assert segment.missing == 0, name
        assert segment.worst_error < 0.05, name
        assert segment.oldest <= 62, name
        fresh = [second for second in segment.seconds if second.age == 0]
        assert max(abs(second.error) for second in fresh) <= SPREAD * 1.001, name
        assert {second.basis for second in segment.seconds} == {"circulating"}, name


async def test_only_the_preferred_source_prices_while_it_is_well() -> None:
    well = [segment for segment in await play_in_turn() if segment.source != "jupiter"]
    assert [segment.price_sources for segment in well] == [["jupiter"]] * 9

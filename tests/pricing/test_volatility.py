"""What is learnt of a token's volatility, in exact numbers where there is no noise."""

import math
import random
from collections.abc import Iterable
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.pricing.volatility import SMALLEST_VARIANCE, PriceMotion, fresh_uncertainty, hourly, observe
from sidecar.runtime.clock import Instant

MINUTE = 60.0
PER_MINUTE = 1e-4 / MINUTE
"""σ² per second of a price that moves by 1 % a minute."""


def at(seconds: float) -> Instant:
    return Instant(1000.0 + seconds, 1_795_000_000.0 + seconds)


def learnt(
    log_prices: Iterable[float],
    motion: PriceMotion | None = None,
    *,
    start: float = 0.0,
    every: float = MINUTE,
    source: str = "jupiter",
) -> PriceMotion:
    """Observe log prices at equal distances."""
    for number, log_price in enumerate(log_prices):
        motion = observe(motion, source, Decimal(math.exp(log_price)), at(start + number * every))
    assert motion is not None
    return motion


def zigzag(count: int, step: float = 0.01) -> list[float]:
    """Prices that move by `step` each time, up and down."""
    return [step * (number % 2) for number in range(count)]


def variance(motion: PriceMotion | None) -> float | None:
    """Return the variance per second."""
    sigma = hourly(motion)
    return None if sigma is None else sigma**2 / 3600


def sigma(motion: PriceMotion) -> float:
    """Return the volatility of a motion that has one."""
    found = hourly(motion)
    assert found is not None
    return found


def test_nothing_is_known_before_five_changes() -> None:
    assert variance(None) is None
    assert [variance(learnt(zigzag(prices))) is None for prices in (1, 2, 3, 4, 5, 6)] == [True] * 5 + [False]


def test_equal_changes_give_exactly_their_variance() -> None:
    assert variance(learnt(zigzag(6))) == pytest.approx(PER_MINUTE, rel=1e-12)
    assert variance(learnt(zigzag(100))) == pytest.approx(PER_MINUTE, rel=1e-12)
    assert sigma(learnt(zigzag(100))) == pytest.approx(0.01 * math.sqrt(60), rel=1e-12)


def test_the_mean_forgets_half_in_thirty_minutes() -> None:
    calm, lively = learnt(zigzag(200, 0.01)), PER_MINUTE * 9
    busy = learnt((0.03 * (number % 2) for number in range(31)), calm, start=199 * MINUTE)
    weight = 0.5
    assert variance(busy) == pytest.approx(PER_MINUTE * weight + lively * (1 - weight), rel=0.02)


def test_each_change_counts_by_its_time_and_nothing_else() -> None:
    motion = learnt(zigzag(6))
    after = observe(motion, "jupiter", Decimal(math.exp(0.01 + 0.03)), at(5 * MINUTE + 120))
    kept = 0.5 ** (120 / 1800)
    old = (1 - 0.5 ** (300 / 1800)) * kept
    new = 1 - kept
    expected = (PER_MINUTE * old + 0.03**2 / 120 * new) / (old + new)
    assert variance(after) == pytest.approx(expected, rel=1e-12)


def test_odd_refresh_times_give_the_same_as_regular_ones() -> None:
    pauses = random.Random(7).choices((0.5, 2.0, 10.0, 58.0, 61.0, 300.0), k=400)
    motion, time, log_price = learnt([0.0]), 0.0, 0.0
    for number, pause in enumerate(pauses):
        time += pause
        log_price += (-1) ** number * math.sqrt(PER_MINUTE * pause)
        motion = observe(motion, "jupiter", Decimal(math.exp(log_price)), at(time))
    assert variance(motion) == pytest.approx(PER_MINUTE, rel=1e-9)


def test_one_glitch_adds_no_more_than_two_outliers_may() -> None:
    before = learnt(zigzag(101))
    glitch = learnt([0.4, 0.0], before, start=101 * MINUTE)
    assert sigma(glitch) < 1.45 * sigma(before)
    assert sigma(learnt(zigzag(60), glitch, start=103 * MINUTE)) < 1.2 * sigma(before)


def test_a_glitch_among_the_first_changes_does_not_set_the_scale() -> None:
    clean, glitch = learnt([0, 0.01, 0, 0.01, 0, 0.01]), learnt([0, 0.01, 0.4, 0.0, 0.01, 0.0])
    assert sigma(glitch) < 3 * sigma(clean)


def test_a_confirmed_jump_counts_as_four_deviations() -> None:
    before = learnt(zigzag(101))
    after = learnt([0.5], before, start=101 * MINUTE)
    kept = 0.5 ** (MINUTE / 1800)
    share = (1 - kept) / (before.weight * kept + 1 - kept)
    assert variance(after) == pytest.approx(PER_MINUTE * (1 + 15 * share), rel=1e-9)


def test_a_token_that_wakes_up_is_believed_from_the_third_outlier_on() -> None:
    calm = learnt(zigzag(101, 1e-4))
    awake = learnt((0.02 * number for number in range(1, 11)), calm, start=101 * MINUTE)
    assert sigma(awake) > 50 * sigma(calm)
    once = learnt([0.02, 0.0], calm, start=101 * MINUTE)
    assert sigma(once) < 0.02


def test_a_token_that_trades_now_and_then_is_as_volatile_as_its_trades() -> None:
    trades, log_prices = [0.0, 0.0, 0.0, 0.0, 0.03], [0.0]
    for number in range(200):
        log_prices.append(log_prices[-1] + trades[number % 5] * (-1) ** (number // 5))
    assert sigma(learnt(log_prices)) == pytest.approx(0.03 * math.sqrt(60 / 5), rel=0.1)


def test_a_stablecoin_that_never_moves_has_a_small_volatility_and_not_none() -> None:
    still = learnt([0.0] * 100)
    assert variance(still) == pytest.approx(SMALLEST_VARIANCE)
    assert sigma(still) == pytest.approx(1e-4)


def test_a_stablecoin_that_depegs_is_seen_within_minutes() -> None:
    depegs = learnt((-0.005 * number for number in range(1, 7)), learnt([0.0] * 100), start=100 * MINUTE)
    assert sigma(depegs) > 0.01


def test_a_source_that_rounds_moves_by_its_steps() -> None:
    dice = random.Random(3)
    walk, step, rounded = 0.0, 1e-3, []
    for _ in range(300):
        walk += dice.gauss(0, 1e-3)
        rounded.append(round(walk / step) * step)
    assert sigma(learnt(rounded)) == pytest.approx(1e-3 * math.sqrt(60), rel=0.3)


def test_another_sources_price_is_no_movement_and_no_loss() -> None:
    before = learnt(zigzag(101))
    other = observe(before, "dexscreener", Decimal("1.3"), at(101 * MINUTE))
    assert (variance(other), other.source) == (variance(before), "dexscreener")
    back = observe(other, "jupiter", Decimal(1), at(102 * MINUTE))
    assert variance(back) == variance(before)


def test_the_same_answer_again_and_one_from_before_change_nothing() -> None:
    before = learnt(zigzag(101))
    assert observe(before, "jupiter", Decimal(2), at(100 * MINUTE)) == before
    assert observe(before, "jupiter", Decimal(2), at(99 * MINUTE)) == before


def test_no_single_change_decides_after_a_long_pause() -> None:
    before = learnt(zigzag(101))
    after = observe(before, "jupiter", Decimal(1), at(100 * MINUTE + 86_400))
    assert 0.75 * PER_MINUTE < (variance(after) or 0) < PER_MINUTE


def test_what_is_remembered_is_bounded_and_survives_json() -> None:
    motions = [learnt(zigzag(prices)) for prices in (1, 3, 6, 500)]
    assert max(len(msgspec.json.encode(motion)) for motion in motions) < 400
    for motion in motions:
        assert msgspec.json.decode(msgspec.json.encode(motion), type=PriceMotion) == motion


def test_uncertainty_is_unknown_without_a_volatility() -> None:
    assert fresh_uncertainty(None, 0.01) is None
    assert fresh_uncertainty(learnt(zigzag(5)), 0.01) is None


def test_a_fresh_figure_is_as_uncertain_as_its_quotes_are_apart_and_never_certain() -> None:
    motion = learnt(zigzag(6))
    assert fresh_uncertainty(motion, 0.0125) == 0.0125
    assert fresh_uncertainty(motion, 0.0) == 1e-6


@given(
    st.lists(
        st.tuples(
            st.decimals(min_value=Decimal("1e-30"), max_value=Decimal("1e30"), allow_nan=False),
            st.floats(min_value=-10, max_value=1e6),
            st.sampled_from(("jupiter", "dexscreener")),
        ),
        max_size=12,
    )
)
def test_whatever_is_observed_the_volatility_is_a_positive_number_that_survives_json(
    observed: list[tuple[Decimal, float, str]],
) -> None:
    motion, now = None, 0.0
    for price, pause, source in observed:
        now += pause
        motion = observe(motion, source, price, at(now))
        assert msgspec.json.decode(msgspec.json.encode(motion), type=PriceMotion) == motion
        found = hourly(motion)
        assert found is None or (found >= 1e-4 and math.isfinite(found))

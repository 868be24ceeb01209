import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import percentile, series, table, verdict


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (1, 1), (50, 50), (50.5, 51), (99, 99), (99.9, 100), (100, 100)]
)
def test_percentile_is_the_smallest_value_that_so_many_percent_reach(percent: float, expected: int) -> None:
    assert percentile(range(1, 101), percent) == expected


def test_percentile_of_one_value_is_that_value() -> None:
    assert [percentile([7.0], percent) for percent in (0, 50, 99, 100)] == [7.0] * 4


def test_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 99)


@given(st.lists(st.floats(allow_nan=False), min_size=1), st.floats(min_value=0, max_value=100))
def test_percentile_was_measured_and_at_least_that_share_is_not_above_it(
    values: list[float], percent: float
) -> None:
    found = percentile(sorted(values), percent)

    assert found in values
    assert sum(value <= found for value in values) >= percent / 100 * len(values) - 1e-9


def test_series_shows_its_median_with_the_lowest_and_the_highest() -> None:
    assert series([3.0, 1.0, 2.0]).show() == "2.0 (1.0-3.0)"
    assert series([4.0, 1.0, 2.0, 3.0]).median == 2.5
    assert series([0.126]).show("{:.2f}") == "0.13 (0.13-0.13)"


def test_table_is_markdown_with_its_figures_to_the_right() -> None:
    assert table(["who", "µs", "x"], [["a", "1", "2"], ["b", "3", "4"]]) == (
        "| who | µs | x |\n| --- | ---: | ---: |\n| a | 1 | 2 |\n| b | 3 | 4 |"
    )


def test_missed_target_stands_out() -> None:
    assert [verdict(passed=passed) for passed in (True, False)] == ["met", "**missed**"]

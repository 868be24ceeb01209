"""A dict with a limit."""

import itertools
from collections import OrderedDict
from random import Random
from time import process_time

import pytest

from sidecar.runtime.bounded import BoundedDict


def test_what_was_set_longest_ago_goes_when_one_more_comes() -> None:
    numbers = BoundedDict[str, int](3)
    for name, number in (("a", 1), ("b", 2), ("c", 3), ("a", 4), ("d", 5)):
        numbers[name] = number
    assert numbers == {"c": 3, "a": 4, "d": 5}
    assert numbers.max_items == 3


def test_reading_makes_nothing_newer() -> None:
    numbers = BoundedDict[str, int](2)
    numbers["a"], numbers["b"] = 1, 2
    assert numbers["a"] == numbers.get("a") == 1
    numbers["c"] = 3
    assert list(numbers) == ["b", "c"]


def test_it_never_holds_more_than_its_limit() -> None:
    numbers = BoundedDict[int, int](10)
    for number in range(1000):
        numbers[number % 37] = number
        numbers.pop(number % 5, None)
        assert len(numbers) <= 10


@pytest.mark.parametrize("limit", [0, 1, 50, 200])
def test_however_it_was_changed_what_is_left_is_what_was_set_last(limit: int) -> None:
    chance, numbers = Random(limit), BoundedDict[int, int](limit)
    expected: OrderedDict[int, int] = OrderedDict()
    for number in range(20_000):
        key = chance.randrange(300)
        if chance.random() < 0.2:
            numbers.pop(key, None)
            expected.pop(key, None)
            continue
        numbers[key] = expected[key] = number
        expected.move_to_end(key)
        if len(expected) > limit:
            expected.popitem(last=False)
    assert list(numbers.items()) == list(expected.items())


def test_a_flood_costs_a_large_one_no_more_than_filling_it() -> None:
    numbers, count = BoundedDict[int, int](100_000), itertools.count()

    def seconds_of(times: int) -> float:
        before = process_time()
        for number in itertools.islice(count, times):
            numbers[number] = number
        return process_time() - before

    filling = seconds_of(100_000)
    assert seconds_of(60_000) < 6 * filling

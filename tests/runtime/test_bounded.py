"""A dict with a limit."""

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

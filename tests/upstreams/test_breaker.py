"""The circuit breaker: repeated failures open it, one probe at a time may close it again."""

import random
from typing import Final

import pytest

from sidecar.upstreams.breaker import CircuitBreaker, State
from tests.clock import FakeClock


class Breaker(CircuitBreaker):
    """A breaker on a clock of its own that remembers what it told."""

    def __init__(self) -> None:
        self.clock: Final = FakeClock()
        self.told: list[State] = []
        super().__init__(self.clock, self.told.append)

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            self.begin()
            self.failed()


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)


def test_three_failures_in_a_row_open_it_for_ten_seconds() -> None:
    circuit = Breaker()
    circuit.fail(2)
    assert (circuit.state, circuit.retry_in(), circuit.told) == ("closed", 0.0, [])
    circuit.fail()
    assert (circuit.state, circuit.retry_in(), circuit.told) == ("open", 10.0, ["open"])
    circuit.clock.advance(9.9)
    assert circuit.retry_in() == pytest.approx(0.1)
    circuit.clock.advance(0.1)
    assert circuit.retry_in() == 0.0


def test_a_success_between_failures_starts_the_count_over() -> None:
    circuit = Breaker()
    circuit.fail(2)
    circuit.succeeded()
    circuit.fail(2)
    assert (circuit.state, circuit.told) == ("closed", [])


def test_one_probe_goes_through_and_no_other_call_until_it_is_back() -> None:
    circuit = Breaker()
    circuit.fail(3)
    circuit.clock.advance(10)
    circuit.begin()
    assert (circuit.state, circuit.retry_in()) == ("half_open", 1.0)
    circuit.clock.advance(60)
    assert circuit.retry_in() == 1.0


def test_a_good_probe_closes_it_and_the_next_opening_is_short_again() -> None:
    circuit = Breaker()
    circuit.fail(3)
    circuit.clock.advance(10)
    circuit.fail()
    circuit.clock.advance(20)
    circuit.begin()
    circuit.succeeded()
    assert (circuit.state, circuit.retry_in(), circuit.told) == ("closed", 0.0, ["open", "closed"])
    circuit.fail(3)
    assert circuit.retry_in() == 10.0


def test_each_failed_probe_doubles_the_pause_up_to_a_minute_without_a_word() -> None:
    circuit = Breaker()
    circuit.fail(3)
    pauses = []
    for _ in range(5):
        pauses.append(circuit.retry_in())
        circuit.clock.advance(pauses[-1])
        circuit.fail()
    assert pauses == [10.0, 20.0, 40.0, 60.0, 60.0]
    assert circuit.told == ["open"]


def test_calls_under_way_when_it_opens_neither_lengthen_the_pause_nor_tell_again() -> None:
    circuit = Breaker()
    for _ in range(5):
        circuit.begin()
    for _ in range(5):
        circuit.failed()
    assert (circuit.retry_in(), circuit.told) == (10.0, ["open"])


def test_a_call_from_before_the_opening_that_succeeds_closes_it() -> None:
    circuit = Breaker()
    circuit.fail(3)
    circuit.succeeded()
    assert (circuit.state, circuit.told) == ("closed", ["open", "closed"])


def test_the_probes_success_counts_even_after_a_late_failure() -> None:
    circuit = Breaker()
    circuit.fail(3)
    circuit.clock.advance(10)
    circuit.begin()
    circuit.failed()
    assert circuit.retry_in() == 20.0
    circuit.succeeded()
    assert (circuit.state, circuit.retry_in()) == ("closed", 0.0)


def test_jitter_shortens_a_pause_by_five_percent_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, float]] = []

    def shortest(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    monkeypatch.setattr(random, "uniform", shortest)
    circuit = Breaker()
    circuit.fail(3)
    assert (circuit.retry_in(), asked) == (9.5, [(0.95, 1.0)])


def test_a_probe_that_we_cancelled_leaves_the_way_to_the_next_one() -> None:
    circuit = Breaker()
    circuit.fail(3)
    circuit.clock.advance(10)
    circuit.begin()
    assert circuit.retry_in() == 1.0
    circuit.given_up()
    assert (circuit.state, circuit.retry_in(), circuit.told) == ("open", 0.0, ["open"])


def test_calls_that_we_cancelled_do_not_open_it() -> None:
    circuit = Breaker()
    for _ in range(5):
        circuit.begin()
        circuit.given_up()
    assert (circuit.state, circuit.told) == ("closed", [])

"""What is remembered of a token is forgotten after a day, unless it is tracked."""

from decimal import Decimal

from sidecar.pricing.token_state import Doubt, SourcedValue, TokenState, last_heard
from sidecar.refresh.token_states import TokenStates
from sidecar.runtime.clock import Instant
from tests.clock import FakeClock
from tests.pricing.build import make_mint

DAY = 86_400.0


def heard_at(seconds: float) -> TokenState:
    """Return a state of which the last thing was heard then."""
    said = SourcedValue(Decimal(1), "jupiter", Instant(seconds, 0.0))
    return TokenState(chain_answered=Instant(seconds - 50.0, 0.0), doubts=(Doubt(price=said),))


def test_it_is_known_when_a_token_was_last_heard_of() -> None:
    assert last_heard(heard_at(70.0)) == 70.0
    assert last_heard(TokenState(vetoed=Instant(3.0, 0.0))) == 3.0
    assert last_heard(TokenState()) == float("-inf")


def test_it_is_remembered_for_a_day() -> None:
    clock = FakeClock()
    states, mint = TokenStates(10, clock), make_mint(1)
    states.put(mint, heard_at(clock.monotonic()))
    clock.advance(DAY)
    assert states.get(mint) is not None
    clock.advance(0.1)
    assert states.get(mint) is None


def test_of_a_tracked_token_it_is_remembered_for_good() -> None:
    clock = FakeClock()
    states, mint = TokenStates(10, clock), make_mint(1)
    states.pin(frozenset({mint}))
    states.put(mint, heard_at(clock.monotonic()))
    clock.advance(3 * DAY)
    assert states.get(mint) is not None
    states.pin(frozenset())
    assert states.get(mint) is None


def test_the_others_are_bounded() -> None:
    clock = FakeClock()
    states = TokenStates(10, clock)
    for number in range(50):
        states.put(make_mint(number), heard_at(clock.monotonic()))
    assert [states.get(make_mint(number)) is not None for number in range(50)] == [False] * 40 + [True] * 10

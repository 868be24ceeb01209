"""Which tokens an early refresh is for (R8)."""

from sidecar.models import Mint
from sidecar.refresh.early import largest

A, B, C, D = (Mint(letter) for letter in "abcd")


def test_the_largest_errors_come_first() -> None:
    assert largest(2, {A: 0.1, B: 0.3, C: 0.2}) == [B, C]


def test_of_equal_errors_the_same_are_taken_whatever_order_a_set_has() -> None:
    one, other = {A: 0.0, B: 0.0, C: 0.0, D: 0.1}, {C: 0.0, D: 0.1, B: 0.0, A: 0.0}
    assert largest(3, one) == largest(3, other) == [D, A, B]

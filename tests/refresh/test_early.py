"""Which tokens an early refresh is for (R8)."""

import random

from sidecar.models import Mint
from sidecar.refresh.early import COMPARED_A_TURN, largest

A, B, C, D = (Mint(letter) for letter in "abcd")


async def test_the_largest_errors_come_first() -> None:
    assert await largest(2, {A: 0.1, B: 0.3, C: 0.2}) == [B, C]


async def test_of_equal_errors_the_same_are_taken_whatever_order_a_set_has() -> None:
    one, other = {A: 0.0, B: 0.0, C: 0.0, D: 0.1}, {C: 0.0, D: 0.1, B: 0.0, A: 0.0}
    assert await largest(3, one) == await largest(3, other) == [D, A, B]


async def test_of_many_they_are_those_of_all_turns() -> None:
    choose = random.Random(1)
    errors = {Mint(str(number)): choose.random() for number in range(3 * COMPARED_A_TURN + 7)}
    assert await largest(150, errors) == sorted(errors, key=lambda mint: -errors[mint])[:150]
    assert await largest(150, {}) == []

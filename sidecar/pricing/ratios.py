"""Comparing exact figures by their ratio."""

from decimal import Context, Decimal
from typing import Final

EXACT: Final = Context(prec=80)
"""Sources give up to 60 digits and exponents within 40: a product is exact in all digits that can matter."""

ONE: Final = Decimal(1)
SAME_FACTOR: Final = Decimal("1.01")
"""Two figures within it are the same one, read twice."""


def within(one: Decimal, other: Decimal, factor: Decimal) -> bool:
    """Return whether two figures, none negative, are within a factor of each other."""
    return max(one, other) <= EXACT.multiply(min(one, other), factor)

"""How sure a market cap is, and what keeps it from high (docs/rules.md: F8). Pure."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

import msgspec

from sidecar.metrics.labels import RefusalReason
from sidecar.models import Confidence, ConfidenceReason
from sidecar.pricing.agreement import Verdict
from sidecar.pricing.grading import GradedQuote
from sidecar.pricing.supply import EffectiveSupply

_ORDER: Final[tuple[Confidence, ...]] = ("low", "medium", "high")
_THIN: Final[Mapping[RefusalReason | None, ConfidenceReason]] = {
    "unit_unknown": "unit_unknown",
    "old_price": "old_price",
    "preferred_source_silent": "preferred_source_silent",
}
_VERDICTS: Final[Mapping[Verdict, tuple[Confidence, ConfidenceReason]]] = {
    "none": ("medium", "single_source"),
    "disagreed": ("medium", "disagreement"),
    "disagreed_again": ("low", "disagreement"),
}


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the confidence in a price and its supplies rests on."""

    chosen: GradedQuote
    supply: EffectiveSupply
    verdict: Verdict
    dissent: bool
    """A usable quote of the same refresh is a jump away."""
    leapt: bool
    """The price has moved by more than a factor of ten, and one refresh only has seen it."""
    aging: bool
    """The price was made more than ten minutes ago."""
    preferred_silent: bool
    """The preferred source, which knew the token, has answered without a quote that can be used."""


def confidence(evidence: Evidence) -> tuple[Confidence, tuple[ConfidenceReason, ...]]:
    """Return the confidence and what keeps it from high, each reason once."""
    limits = list(_limits(evidence))
    lowest = min((limit for limit, _ in limits), key=_ORDER.index, default=_ORDER[-1])
    return lowest, _shared(tuple(dict.fromkeys(reason for _, reason in limits)))


@lru_cache(maxsize=256)
def _shared(reasons: tuple[ConfidenceReason, ...]) -> tuple[ConfidenceReason, ...]:
    """Return the same tuple for the same reasons: thousands of tokens have them in common."""
    return reasons


def is_lower(confidence: Confidence, other: Confidence) -> bool:
    """Return whether one is less sure than another."""
    return _ORDER.index(confidence) < _ORDER.index(other)


def _limits(evidence: Evidence) -> Iterator[tuple[Confidence, ConfidenceReason]]:
    yield from _limits_of_price(evidence)
    supply = evidence.supply
    if not supply.on_chain or supply.contradicted:
        yield "low", "supply_not_on_chain"
    if not supply.unit_known:
        yield "low", "unit_unknown"
    if supply.circulating is None:
        yield "medium", "no_circulating_supply"
    if supply.changed or supply.circulates_little:
        yield "medium", "supply_changed"


def _limits_of_price(evidence: Evidence) -> Iterator[tuple[Confidence, ConfidenceReason]]:
    chosen = evidence.chosen
    if chosen.grade != "good":
        yield "low", _THIN.get(chosen.reason, "thin_liquidity")
    if (limit := _VERDICTS.get(evidence.verdict)) is not None:
        yield limit
    if evidence.dissent:
        yield "medium", "disagreement"
    if evidence.leapt:
        yield "medium", "jump"
    if evidence.aging:
        yield "medium", "old_price"
    if evidence.preferred_silent:
        yield "medium", "preferred_source_silent"

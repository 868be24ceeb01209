"""An hour in which each source is switched off, slow and talking nonsense in turn, seen by the popular tokens."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from sidecar.config.settings import Settings, TrendingSettings
from sidecar.demo import SOURCES, Fault, Source
from sidecar.models import Mint
from tests.running import Rig, WatchedMarket, running
from tests.service.tokens import PRICED
from tests.stories.stage import MINUTE, longest_intervals

LASTS: Final = 3 * MINUTE
SEGMENT: Final = 5 * MINUTE
SPREAD: Final = 0.003

Ill = Literal["off", "slow", "nonsense"]
ILLS: Final[tuple[Ill, ...]] = ("off", "slow", "nonsense")
_ORDER: Final = ("low", "medium", "high")


class Second(NamedTuple):
    """One popular token in one second, as it is served: `error` 0.25 is a quarter too high."""

    at: int
    mint: Mint
    error: float
    age: float
    confidence: str
    basis: str
    source: str


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """Five minutes of the hour: three with a fault, two to recover. `seconds` has every token in every second."""

    source: Source
    ill: Ill
    start: int
    seconds: Sequence[Second]
    missing: int
    """How often a token had no figure."""

    @property
    def worst_error(self) -> float:
        """The largest error, either way."""
        return max(abs(second.error) for second in self.seconds)

    @property
    def oldest(self) -> float:
        """The largest age in seconds."""
        return max(second.age for second in self.seconds)

    @property
    def lowest(self) -> str:
        """The lowest confidence served."""
        return min((second.confidence for second in self.seconds), key=_ORDER.index)

    @property
    def price_sources(self) -> list[str]:
        """The sources of the prices that were served."""
        return sorted({second.source for second in self.seconds})


_PLAYED: Final[list[Segment]] = []
"""Once played in this process, it is looked at by the page and the tests alike."""


async def play_in_turn() -> list[Segment]:
    """Play the hour once: four sources, three ills each."""
    if not _PLAYED:
        _PLAYED.extend(await _play_in_turn())
    return _PLAYED


async def _play_in_turn() -> list[Segment]:
    settings = Settings(trending=TrendingSettings(sources=()))
    segments: list[Segment] = []
    with longest_intervals():
        async with running(settings, tokens=13, spread=SPREAD) as rig:
            await rig.warm()
            for source in SOURCES:
                for ill in ILLS:
                    segments.append(await _segment(rig, source, ill, len(segments) * SEGMENT))
    return segments


async def _segment(rig: Rig, source: Source, ill: Ill, start: int) -> Segment:
    seconds: list[Second] = []
    for at in range(start, start + SEGMENT):
        await rig.run_for(1)
        if at == start:
            _befall(rig.market, source, ill)
        if at == start + LASTS:
            _recover(rig.market, source)
        seconds += _look(rig, at)
    missing = SEGMENT * len(PRICED) - len(seconds)
    return Segment(source=source, ill=ill, start=start, seconds=seconds, missing=missing)


def _befall(market: WatchedMarket, source: Source, ill: Ill) -> None:
    if ill == "off":
        market.faults[source] = Fault(kind="status", status=503)
    elif ill == "slow":
        market.faults[source] = Fault(kind="latency", latency_seconds=3.0)
    elif source == "solana_rpc":
        market.faults[source] = Fault(kind="garbage")
    else:
        for mint in PRICED:
            market.set_source_price(source, mint, market.price(mint) * 1000)


def _recover(market: WatchedMarket, source: Source) -> None:
    market.faults[source] = None
    for mint in PRICED:
        market.set_source_price(source, mint, None)


def _look(rig: Rig, at: int) -> list[Second]:
    seconds = []
    for mint in PRICED:
        if (found := rig.service.lookups.peek(mint)) is not None:
            cap = found.cap
            error = cap.market_cap_usd / rig.market.market_cap(mint) - 1.0
            seconds.append(Second(at, mint, error, cap.age_seconds, cap.confidence, cap.basis, cap.source))
    return seconds

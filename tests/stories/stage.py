"""Plays a story on the simulated market, second by second, and writes down what was served against the truth."""

import random
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal
from unittest.mock import patch

import msgspec

from sidecar.config.popular import PopularToken
from sidecar.config.settings import PricingSettings, Settings, TrendingSettings
from sidecar.demo import Fault, Source, Token
from sidecar.demo.tokens import address_of
from sidecar.models import Mint
from sidecar.service.memory_lookups import LookupHit
from tests.running import Rig, WatchedMarket, running

PriceSourceName = Literal["jupiter", "dexscreener", "geckoterminal"]

MINUTE: Final = 60
PRICE_SOURCES: Final[tuple[PriceSourceName, ...]] = ("jupiter", "dexscreener", "geckoterminal")
TOKEN: Final = Token(
    mint=address_of("the token of the story"),
    symbol="TALE",
    name="Tale",
    decimals=6,
    price_usd=0.05,
    total_supply=Decimal(1_000_000_000),
    circulating_supply=Decimal(800_000_000),
    liquidity_usd=8_000_000.0,
    volatility=0.0,
)
"""True market cap: 800 M circulating at 0.05 USD are 40 M USD."""

Change = Callable[[WatchedMarket], object]


class Event(msgspec.Struct, frozen=True):
    """What happens one second after the refresh of a minute: the most inconvenient moment."""

    note: str
    change: Change


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """A script. `events` are by minute; `before` is true from the start."""

    title: str
    about: str
    minutes: int
    events: Mapping[int, Event]
    token: Token = TOKEN
    before: Change = lambda _: None
    sources: tuple[PriceSourceName, ...] = PRICE_SOURCES
    requested: bool = False
    """The token is not popular: five requests have made it one that is refreshed every five minutes."""
    beside: tuple[Mint, ...] = ()
    """Other tokens that are popular."""


def story(title: str, minutes: int, events: Mapping[int, Change], *, about: str = "", **rest: Any) -> Story:
    """Write a story down; each change is its own note."""
    told = {minute: Event(title, change) for minute, change in events.items()}
    return Story(title=title, about=about, minutes=minutes, events=told, **rest)


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One second: the truth, what the sources say, and what a look-up would be answered from memory."""

    second: int
    note: str
    true_price: float
    true_cap: float
    said: tuple[str, ...]
    """By price source: a price in USD, or why there is none."""
    chain: str
    found: LookupHit | None
    unpriced: str | None
    """Why there is no price, where that is the answer."""

    @property
    def error(self) -> float:
        """How far the served market cap is off: 0.25 is a quarter too high. 0 without one."""
        return 0.0 if self.found is None else self.found.cap.market_cap_usd / self.true_cap - 1.0

    @property
    def essence(self) -> tuple[Any, ...]:
        """All but the second, the note and the age."""
        found = self.found
        served = None if found is None else (found.cap.price_usd, found.cap.total_supply, found.stale)
        by = None if found is None else (found.cap.confidence, found.cap.basis, found.cap.source)
        return self.true_price, self.said, self.chain, self.unpriced is None, served, by

    @property
    def reasons(self) -> tuple[str, ...]:
        """What keeps the market cap served from high."""
        return () if self.found is None else self.found.cap.confidence_reasons

    @property
    def confidence(self) -> str:
        """The confidence served, empty without a market cap."""
        return "" if self.found is None else self.found.cap.confidence


_PLAYED: Final[list[tuple[Story, list[Sample]]]] = []
"""What was played in this process: the page and the tests look at the same samples."""


async def play(story: Story) -> list[Sample]:
    """Play a story once and return a sample of each second, counted from the first refresh."""
    played = next((samples for one, samples in _PLAYED if one is story), None)
    if played is None:
        played = await _play(story)
        _PLAYED.append((story, played))
    return played


async def _play(story: Story) -> list[Sample]:
    settings = Settings(
        popular=tuple(PopularToken(mint=mint, symbol="POP") for mint in _popular(story)),
        trending=TrendingSettings(sources=()),
        pricing=PricingSettings(sources=story.sources),
    )

    def prepare(market: WatchedMarket) -> None:
        market.add(story.token)
        story.before(market)

    samples: list[Sample] = []
    with longest_intervals():
        async with running(settings, prepare=prepare, tokens=13) as rig:
            await (_request(rig, story.token.mint) if story.requested else rig.warm())
            for second in range(1, story.minutes * MINUTE):
                await rig.run_for(1)
                event = story.events.get(second // MINUTE) if second % MINUTE == 1 else None
                if event is not None:
                    event.change(rig.market)
                samples.append(_sample(rig, story, second, event))
    return samples


def _popular(story: Story) -> tuple[Mint, ...]:
    return story.beside if story.requested else (story.token.mint, *story.beside)


async def _request(rig: Rig, mint: Mint) -> None:
    """Ask for a token often enough for it to be tracked; the first request fetches it."""
    for _ in range(5):
        await rig.finish(rig.service.get(mint))


def longest_intervals() -> Any:
    """Switch jitter off: every interval has its full length, which is the worst case, and the same in each run."""
    return patch.object(random, "uniform", lambda _low, high: high)


def _sample(rig: Rig, story: Story, second: int, event: Event | None) -> Sample:
    market, mint = rig.market, story.token.mint
    return Sample(
        second=second,
        note="" if event is None else event.note,
        true_price=market.price(mint),
        true_cap=market.market_cap(mint),
        said=tuple(said(market, source, mint) for source in PRICE_SOURCES if source in story.sources),
        chain=_fault_word(market.faults["solana_rpc"]) or "up",
        found=rig.service.lookups.peek(mint),
        unpriced=rig.service.engine.cache.unpriced_reason(mint),
    )


def said(market: WatchedMarket, source: Source, mint: Mint) -> str:
    """Return what a source would answer for the mint now."""
    if word := _fault_word(market.faults[source]):
        return word
    if market.find(source, mint) is None:
        return "omits it"
    return f"{market.source_price(source, mint):.4g}"


def _fault_word(fault: Fault | None) -> str:
    if fault is None:
        return ""
    return {"status": "off", "latency": f"{fault.latency_seconds:g} s late"}.get(fault.kind, fault.kind)


def stretches(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Cut the seconds wherever the truth, a source's word or what is served changes, or something happens.

    Single seconds are left out: between a refresh and what happens right after it.
    """
    cut: list[list[Sample]] = []
    for sample in samples:
        if cut and not sample.note and sample.essence == cut[-1][-1].essence:
            cut[-1].append(sample)
        else:
            cut.append([sample])
    return [stretch for stretch in cut if len(stretch) > 1]


def longest_wrong(samples: Sequence[Sample], confidence: str, more_than: float = 0.2) -> int:
    """Return the longest time in seconds for which a figure further off was served at this confidence."""
    longest = run = 0
    for sample in samples:
        is_wrong = sample.confidence == confidence and abs(sample.error) > more_than
        run = run + 1 if is_wrong else 0
        longest = max(longest, run)
    return longest

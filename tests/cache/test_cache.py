"""What is held in memory, how long, and which tokens can push out which (docs/rules.md: R7)."""

import math
from typing import Final

import msgspec
import pytest

from sidecar.cache.cache import Entry, MarketCapCache
from sidecar.cache.publisher import Publisher
from sidecar.metrics.labels import EvictionReason
from sidecar.models import MarketCap, Mint
from tests.clock import FakeClock
from tests.pricing.build import TOKEN, cap_of, jupiter, make_mint, valued

CAP: Final = cap_of(valued(jupiter(2)))


class Cache(MarketCapCache):
    """A cache of ten entries, three of them for pinned mints, on a clock of its own."""

    def __init__(self) -> None:
        self.clock: Final = FakeClock()
        self.told: list[EvictionReason] = []
        super().__init__(
            clock=self.clock,
            max_entries=10,
            max_pinned=3,
            max_stale_seconds=3600,
            negative_seconds=60,
            evicted=self.told.append,
        )

    def hold(self, *mints: Mint, age: float = 0.0) -> None:
        for mint in mints:
            self.put(entry(mint, self.clock.monotonic() - age))


def entry(mint: Mint, received: float) -> Entry:
    return Entry(msgspec.structs.replace(CAP, mint=mint), received, ())


ONE, TWO, THREE = make_mint(1), make_mint(2), make_mint(3)
OTHERS: Final = [make_mint(number) for number in range(100, 200)]


# Expiry


def test_a_value_is_gone_once_older_than_max_stale_seconds() -> None:
    cache = Cache()
    cache.hold(ONE)
    cache.clock.advance(3599.9)
    assert cache.get(ONE) is not None
    cache.clock.advance(0.2)
    assert (cache.get(ONE), len(cache), cache.told) == (None, 0, ["expired"])


@pytest.mark.parametrize("pinned", [True, False])
def test_age_counts_from_the_answer_not_from_when_it_was_put(*, pinned: bool) -> None:
    cache = Cache()
    if pinned:
        cache.pin(frozenset({ONE}))
    cache.hold(ONE, age=3000)
    cache.clock.advance(600)
    assert cache.get(ONE) is not None
    cache.clock.advance(0.1)
    assert (cache.get(ONE), cache.told) == (None, ["expired"])


@pytest.mark.parametrize("pinned", [True, False])
def test_publishing_an_old_value_again_and_again_never_extends_its_life(*, pinned: bool) -> None:
    cache = Cache()
    if pinned:
        cache.pin(frozenset({ONE}))
    old = entry(ONE, cache.clock.monotonic())
    for _ in range(36):
        cache.put(old)
        cache.clock.advance(100)
        assert cache.get(ONE) is old
    cache.put(old)
    cache.clock.advance(0.1)
    assert cache.get(ONE) is None


def test_a_pinned_value_expires_too() -> None:
    cache = Cache()
    cache.pin(frozenset({ONE}))
    cache.hold(ONE)
    cache.clock.advance(3600.1)
    assert (cache.get(ONE), cache.told) == (None, ["expired"])


def test_memory_is_freed_without_anybody_looking() -> None:
    cache = Cache()
    cache.hold(ONE, TWO)
    cache.clock.advance(3600)
    assert (len(cache), cache.told) == (0, ["expired", "expired"])


def test_only_what_may_still_be_served_is_listed() -> None:
    cache = Cache()
    cache.pin(frozenset({ONE, TWO}))
    cache.hold(ONE, THREE)
    cache.hold(TWO, age=3601)
    assert [held.cap.mint for held in cache.entries()] == [ONE, THREE]
    assert cache.told == ["expired"]


def test_what_has_run_out_since_does_not_stop_the_listing() -> None:
    cache = Cache()
    cache.hold(ONE)
    cache.clock.advance(3600)
    cache.hold(TWO, THREE)
    cache.clock.advance(3600)
    assert list(cache.entries()) == []
    assert cache.told == ["expired"] * 3


# Bounds


def test_untracked_mints_have_only_the_places_that_tracked_ones_cannot_need() -> None:
    cache = Cache()
    cache.hold(*OTHERS)
    assert (len(cache), cache.told) == (7, ["capacity"] * 93)
    assert cache.get(OTHERS[-1]) is not None
    assert cache.get(OTHERS[92]) is None


def test_tracked_mints_are_never_evicted_by_untracked_ones() -> None:
    cache = Cache()
    cache.pin(frozenset({ONE, TWO, THREE}))
    cache.hold(ONE, TWO, THREE)
    cache.hold(*OTHERS)
    assert len(cache) == 10
    assert all(cache.get(mint) is not None for mint in (ONE, TWO, THREE))


def test_what_is_looked_at_stays_longest() -> None:
    cache = Cache()
    cache.hold(*OTHERS[:7])
    assert cache.get(OTHERS[0]) is not None
    cache.hold(OTHERS[7])
    assert cache.get(OTHERS[0]) is not None
    assert cache.get(OTHERS[1]) is None


def test_a_mint_that_becomes_tracked_or_untracked_keeps_its_value() -> None:
    cache = Cache()
    cache.hold(ONE)
    cache.pin(frozenset({ONE}))
    cache.hold(*OTHERS)
    kept = cache.get(ONE)
    assert kept is not None
    cache.pin(frozenset())
    assert cache.get(ONE) is kept
    cache.hold(*OTHERS)
    assert cache.get(ONE) is None
    assert len(cache) == 7


def test_pinning_an_expired_mint_brings_nothing_back() -> None:
    cache = Cache()
    cache.hold(ONE)
    cache.clock.advance(3600)
    cache.pin(frozenset({ONE}))
    assert (cache.get(ONE), len(cache)) == (None, 0)


def test_a_mint_is_held_once_wherever_it_is() -> None:
    cache = Cache()
    cache.hold(ONE)
    cache.pin(frozenset({ONE}))
    cache.hold(ONE, ONE)
    cache.pin(frozenset())
    cache.hold(ONE)
    assert len(cache) == 1


# Mints without a price


def test_not_priced_is_remembered_for_negative_seconds() -> None:
    cache = Cache()
    cache.put_unpriced(ONE, "nobody knows it")
    cache.clock.advance(59.9)
    assert cache.unpriced_reason(ONE) == "nobody knows it"
    cache.clock.advance(0.1)
    assert cache.unpriced_reason(ONE) is None


def test_not_priced_drops_the_value_and_says_so() -> None:
    cache = Cache()
    cache.hold(ONE)
    cache.put_unpriced(ONE, "dead")
    assert (cache.get(ONE), cache.told) == (None, ["not_priced"])
    cache.put_unpriced(TWO, "unknown")
    assert cache.told == ["not_priced"]


def test_a_price_ends_not_priced() -> None:
    cache = Cache()
    cache.put_unpriced(ONE, "dead")
    cache.hold(ONE)
    assert cache.unpriced_reason(ONE) is None
    assert cache.get(ONE) is not None


def test_only_a_look_up_makes_a_mint_without_a_price_one_that_is_asked_for() -> None:
    cache = Cache()
    for mint in (ONE, TWO):
        cache.put_unpriced(mint, "dead")
    assert (cache.unpriced_reason(ONE), cache.last_unpriced_reason(ONE)) == ("dead", "dead")
    assert cache.look_up_unpriced(TWO) == "dead"
    assert cache.look_up_unpriced(OTHERS[0]) is None
    cache.clock.advance(59.9)
    assert cache.unpriced_to_ask_again(15.0) == [TWO]


def test_a_flood_of_unpriced_mints_is_bounded_and_evicts_no_value() -> None:
    cache = Cache()
    cache.hold(ONE)
    for mint in OTHERS:
        cache.put_unpriced(mint, "unknown")
    assert len(cache._unpriced) == 10
    assert cache.get(ONE) is not None


# The prepared answer


def test_the_prepared_answer_is_the_token_up_to_what_changes() -> None:
    odd = msgspec.structs.replace(CAP, symbol='"age_seconds"')
    held = Entry(odd, 0.0, ())
    assert held.body == b""
    whole = held.prepare() + b'"age_seconds":0.0,"stale":false,"cached":true}'
    assert msgspec.json.decode(whole, type=MarketCap) == odd
    assert held.encode() == held.body == held.prepare()


def test_the_uncertainty_grows_from_the_quotes_distance_with_the_square_root_of_the_age() -> None:
    moving = msgspec.structs.replace(CAP, volatility=0.06, uncertainty=0.003)
    held = Entry(moving, 0.0, ())
    assert held.encode().endswith(b'"volatility":0.06,')
    assert held.uncertainty(0) == pytest.approx(0.003)
    assert held.uncertainty(16) == pytest.approx(0.005)
    assert held.uncertainty(3600) == pytest.approx(math.hypot(0.003, 0.06))
    assert Entry(CAP, 0.0, ()).uncertainty(60) is None


# Publishing


def test_a_refreshed_value_is_in_memory_before_the_listeners_hear_of_it() -> None:
    cache = Cache()
    publisher = Publisher(cache)
    heard: list[tuple[Mint, float | None, bool]] = []
    publisher.listen(
        lambda mint, cap: heard.append(
            (mint, None if cap is None else cap.market_cap_usd, cache.get(mint) is not None)
        )
    )
    publisher.publish(entry(TOKEN, cache.clock.monotonic()))
    publisher.publish_unpriced(TOKEN, "dead")
    assert heard == [(TOKEN, 1_600_000.0, True), (TOKEN, None, False)]
    assert cache.unpriced_reason(TOKEN) == "dead"

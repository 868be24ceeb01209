"""Puts the refresh engine together from the settings: upstreams, sources, memory, tracker, refreshing."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import aiohttp

from sidecar.cache.cache import MarketCapCache
from sidecar.cache.publisher import Publisher
from sidecar.config.redaction import Redactor
from sidecar.config.settings import Settings
from sidecar.config.source_settings import KeyedSourceSettings, SourceSettings, effective_rpm
from sidecar.metrics.labels import EvictionReason
from sidecar.metrics.metrics import Metrics
from sidecar.models import Mint
from sidecar.pricing.grading import Policy
from sidecar.refresh.backoff import OmissionBackoff
from sidecar.refresh.batches import Batches
from sidecar.refresh.chain_time import ChainTime
from sidecar.refresh.circulating import CIRCULATING
from sidecar.refresh.early import EarlyRefresh
from sidecar.refresh.misses import Misses
from sidecar.refresh.refresher import Refresher
from sidecar.refresh.schedule import Schedule
from sidecar.refresh.supplies import SupplyReader
from sidecar.refresh.token_states import TokenStates
from sidecar.refresh.tracker import Tracker
from sidecar.runtime.clock import Clock
from sidecar.snapshot.memory import Memory
from sidecar.sources.listing import BY_NAME, MARKETS
from sidecar.sources.solana_rpc import SolanaRpc
from sidecar.sources.source import MarketSource, Source
from sidecar.upstreams.api_keys import ApiKey
from sidecar.upstreams.budget import Budget, ConcurrencyLimit
from sidecar.upstreams.connector import BoundedConnector
from sidecar.upstreams.upstream import Upstream

KEEP_ALIVE_SECONDS: Final = 75.0
"""Longer than the popular interval, so that its calls find an open connection."""


class Engine:
    """Everything below the service, and the context of every refresh.

    Built inside a running event loop; `close` ends what it opened.
    """

    def __init__(self, settings: Settings, *, clock: Clock, metrics: Metrics, redactor: Redactor) -> None:
        self.settings = settings
        self.clock = clock
        self.metrics = metrics
        self._redactor = redactor
        refresh, cache, tracking = settings.refresh, settings.cache, settings.tracking
        self._session = _session(refresh.max_concurrent)
        self._slots = ConcurrencyLimit(refresh.max_concurrent)
        self.upstreams: Mapping[str, Upstream] = {
            name: self._upstream(BY_NAME[name], source) for name, source in settings.sources.items()
        }
        self.policy = _policy(settings)
        least = self.policy.min_liquidity_usd
        self.markets: dict[str, MarketSource] = {
            name: market(self.upstreams[name], min_liquidity_usd=least) for name, market in MARKETS.items()
        }
        self.sources: Sequence[MarketSource] = [self.markets[name] for name in settings.pricing.sources]
        self.tracker = Tracker(
            (token.mint for token in settings.popular),
            max_tokens=tracking.max_tokens,
            min_requests=tracking.min_requests,
            trending_tokens=tracking.trending_tokens,
            window_seconds=tracking.window_seconds,
            clock=clock,
        )
        self.cache = MarketCapCache(
            clock=clock,
            max_entries=cache.max_entries,
            max_pinned=tracking.max_tokens,
            max_stale_seconds=cache.max_stale_seconds,
            negative_seconds=cache.negative_seconds,
            evicted=self._evicted,
        )
        self.token_states = TokenStates(cache.max_entries, clock)
        self.schedule = Schedule(refresh.tracked_seconds, clock)
        self.publisher = Publisher(self.cache)
        self.symbols = {token.mint: token.symbol for token in settings.popular}
        self.backoff = OmissionBackoff(
            (*self.upstreams, CIRCULATING),
            first_seconds=cache.negative_seconds,
            max_entries=cache.max_entries,
            clock=clock,
        )
        self.chain_time = ChainTime(clock)
        self.supplies = SupplyReader(
            source=SolanaRpc(self.upstreams["solana_rpc"]),
            upstream=self.upstreams["solana_rpc"],
            token_states=self.token_states,
            tracker=self.tracker,
            supply_seconds=refresh.supply_seconds,
            sol_supply_seconds=refresh.sol_supply_seconds,
            jump_factor=self.policy.jump_factor,
            chain_time=self.chain_time,
            refused=metrics.rejected_quotes.labels("solana_rpc", "supply").inc,
            clock=clock,
        )
        self.target_uncertainty = refresh.target_uncertainty
        self.batches = Batches(self)
        self.misses = Misses(self, self.batches, deadline_seconds=settings.api.deadline_seconds)
        self.refresher = Refresher(self, self.batches)
        self.early = EarlyRefresh(self, self.refresher)
        self.tracked_changed()

    @property
    def trending(self) -> list[MarketSource]:
        """The sources of the trending list, in the order of the settings."""
        return [self.markets[name] for name in self.settings.trending.sources]

    def tracked_changed(self) -> None:
        """Let memory and schedule follow the tracked set."""
        self.pin_tracked()
        self.schedule.keep(self.tracker.mints, self._received)
        self.publisher.sets_changed()

    def pin_tracked(self) -> None:
        """Keep the tracked set in memory, out of the reach of eviction."""
        self.cache.pin(self.tracker.mints)
        self.token_states.pin(self.tracker.mints)

    @property
    def memory(self) -> Memory:
        """The parts that a snapshot is of."""
        return Memory(
            cache=self.cache,
            token_states=self.token_states,
            tracker=self.tracker,
            publisher=self.publisher,
            symbols=self.symbols,
            pin_tracked=self.pin_tracked,
            tracked_changed=self.tracked_changed,
            clock=self.clock,
        )

    async def close(self) -> None:
        """End every fetch and close the connections."""
        await self.batches.stop()
        self.misses.stop()
        await self._session.close()

    def _received(self, mint: Mint) -> float | None:
        entry = self.cache.get(mint)
        return None if entry is None else entry.received

    def _evicted(self, reason: EvictionReason) -> None:
        self.metrics.cache_evictions.labels(reason).inc()

    def _upstream(self, source: type[Source], settings: SourceSettings) -> Upstream:
        budget = Budget(
            effective_rpm(source, settings, has_key=False),
            self.clock,
            early_share=self.settings.refresh.early_share,
        )
        return Upstream(
            source.name,
            base_url=settings.base_url,
            timeout_seconds=settings.timeout_seconds,
            budget=budget,
            slots=self._slots,
            session=self._session,
            clock=self.clock,
            metrics=self.metrics,
            redact=self._redactor.redact,
            credentials=self._credentials(source, settings, budget),
        )

    def _credentials(
        self, source: type[Source], settings: SourceSettings, budget: Budget
    ) -> Callable[[], Mapping[str, str]]:
        """Return what gives the headers with the API key; a key by value sets the budget at once."""
        if not isinstance(settings, KeyedSourceSettings):
            return dict
        budget.set_requests_per_minute(effective_rpm(source, settings, has_key=bool(settings.api_key)))
        return ApiKey(source, settings, budget=budget, clock=self.clock, learn=self._redactor.learn).headers


def _session(max_concurrent: int) -> aiohttp.ClientSession:
    connector = BoundedConnector(limit=max_concurrent, keepalive_timeout=KEEP_ALIVE_SECONDS)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


def _policy(settings: Settings) -> Policy:
    pricing = settings.pricing
    return Policy(
        min_liquidity_usd=Decimal(str(pricing.min_liquidity_usd)),
        good_liquidity_usd=Decimal(str(pricing.good_liquidity_usd)),
        agreement_factor=1 + Decimal(str(pricing.agreement_ratio)),
        jump_factor=1 + Decimal(str(pricing.max_jump_ratio)),
        fresh_seconds=settings.cache.fresh_seconds,
    )

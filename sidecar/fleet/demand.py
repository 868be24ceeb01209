"""What a fleet wants: the requests of all members summed up, and their popular lists."""

from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256
from heapq import nlargest
from typing import Final, get_args

from sidecar.fleet.membership import Membership
from sidecar.fleet.records import (
    MOST_MINTS,
    Missed,
    NonsenseError,
    Requested,
    decode_list,
    encode,
    encode_list,
    parsed,
)
from sidecar.fleet.shared_clock import SharedClock
from sidecar.fleet.store import MOST_DEMANDED, Store
from sidecar.metrics.labels import Tier
from sidecar.models import Mint
from sidecar.refresh.demand import Place, Wanted
from sidecar.refresh.tracker import Tracker
from sidecar.runtime.aio import yielding

SLICE_SECONDS: Final = 300
SLICES: Final = 12
"""What is remembered of the whole fleet: an hour, for a new leader."""
MOST_COUNTED: Final = 2_000
"""Mints counted between two messages."""
MESSAGES_AT_ONCE: Final = 5


class Demand:
    """Counts requests, tells the fleet, and takes the sums over when this sidecar begins to lead."""

    def __init__(self, store: Store, tracker: Tracker, membership: Membership, shared_clock: SharedClock) -> None:
        self._store = store
        self._tracker = tracker
        self._membership = membership
        self._shared_clock = shared_clock
        self._counts: dict[Mint, int] = {}
        self._registered = ""

    def request(self, mint: Mint, times: int = 1) -> bool:
        """Count requests here and for the fleet. Returns whether the tracked set changed because of them."""
        counts = self._counts
        if mint in counts or len(counts) < MOST_COUNTED:
            counts[mint] = counts.get(mint, 0) + times
        return self._tracker.request(mint, times)

    async def tell(self) -> None:
        """Add what was counted to the sums; a follower tells the leader. Raises StoreError."""
        for _ in range(MESSAGES_AT_ONCE):
            if not self._counts:
                return
            counts = dict(nlargest(MOST_MINTS, self._counts.items(), key=lambda item: item[1]))
            for mint in counts:
                del self._counts[mint]
            message = Requested(self._membership.member, counts)
            leads = self._membership.role == "leader"  # it has counted them itself
            await self._send(b"" if leads else encode(message, self._shared_clock.now()), counts)

    async def miss(self, mints: Sequence[Mint]) -> None:
        """Tell the leader what is missed. Raises StoreError."""
        message = Missed(self._membership.member, tuple(mints))
        await self._send(encode(message, self._shared_clock.now()), {})

    async def _send(self, record: bytes, counts: dict[Mint, int]) -> None:
        await self._store.want(record, self._slice(), counts, kept_seconds=SLICE_SECONDS * (SLICES + 1))

    def _slice(self) -> int:
        return int(self._shared_clock.now().unix // SLICE_SECONDS)

    async def take_sums(self) -> None:
        """Count what the whole fleet was asked for within the last hour. Raises StoreError."""
        sums: dict[Mint, list[tuple[float, int]]] = defaultdict(list)
        newest = self._slice()
        for ago in reversed(range(SLICES)):
            for mint, count in (await self._slice_sums(newest - ago)).items():
                sums[mint].append((float(ago * SLICE_SECONDS), count))
        places: dict[Mint, Place] = {mint: tier for tier in get_args(Tier) for mint in self._tracker.tier(tier)}
        listed = dict.fromkeys(self._tracker.tier("trending"))  # their order is their rank
        wanted = [*(mint for mint in sums if mint not in listed), *listed]
        self._tracker.restore(
            [Wanted(mint, places.get(mint, "candidate"), tuple(sums.get(mint, ()))) for mint in wanted]
        )

    async def _slice_sums(self, slice_number: int) -> dict[Mint, int]:
        sums: dict[Mint, int] = {}
        cursor = ""
        while cursor != "0" and len(sums) <= MOST_DEMANDED:
            cursor, _, fields = await self._store.page(self._store.keys.demand(slice_number), cursor or "0")
            async for text, count in yielding(zip(fields[::2], fields[1::2], strict=True), MOST_MINTS):
                mint = parsed(text)
                if mint is not None and count.isdigit() and int(count[:12]) > 0:
                    sums[mint] = int(count[:12])
        return sums

    # Popular lists

    async def register(self, popular: Sequence[Mint]) -> None:
        """Say which popular list this member has. Raises StoreError."""
        text = encode_list(popular)
        digest = sha256(text.encode()).hexdigest()[:32]
        if not await self._store.register(self._membership.member, digest, ""):
            await self._store.register(self._membership.member, digest, text)

    async def take_popular(self) -> bool:
        """Keep the popular lists of all members warm. Returns whether they changed. Raises StoreError."""
        union: dict[Mint, None] = {}
        for text in sorted(await self._store.popular_lists()):
            try:
                union |= dict.fromkeys(decode_list(text))
            except NonsenseError:
                continue
        return self._tracker.keep(union)

"""What the fleet keeps in Redis."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from redis.asyncio import Redis

from sidecar.fleet import scripts
from sidecar.fleet.answers import Beat, Entry, Head, StoreError, entry, version
from sidecar.fleet.keys import Keys
from sidecar.fleet.redis_calls import ANSWER_SECONDS, NEWS_SECONDS, RedisCalls
from sidecar.models import Mint

OLDEST_VERSION: Final = (6, 2)
MOST_CHANGES: Final = 10_000
"""Entries of a stream. A member that missed more than that takes over everything anew."""
MOST_WANTED: Final = 1_000
LONGEST_RECORD_BYTES: Final = 8_192
LONGEST_LIST_BYTES: Final = 512 * 1024
MOST_LISTS: Final = 100
MOST_DEMANDED: Final = 2_000
"""Mints that one slice of time has sums for."""
ENTRIES_AT_ONCE: Final = 200
LIST_SECONDS: Final = 600


class Store:
    """A fleet's keys. `redact` takes out of texts what is secret."""

    def __init__(self, url: str, keys: Keys, redact: Callable[[str], str] = str) -> None:
        self.keys = keys
        self._redis = RedisCalls(url, redact)

    @property
    def is_misused(self) -> bool:
        """Whether a key was found to hold what it should not, since the last repair."""
        return self._redis.misused

    @property
    def waiting_connections(self) -> int:
        """Counts the connections that news was waited for on: behind another one may be another Redis."""
        return self._redis.waiting_connections

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Raise StoreError where an answer is not what it should be: a key's content is another program's."""
        try:
            yield
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            self._redis.misused = True
            raise StoreError("an answer that makes no sense") from error

    async def open(self) -> None:
        """Connect anew, and look at the version. Raises StoreError."""
        answers = await self._redis.open(_hello)
        with self._reading():
            told = dict(zip(answers[::2], answers[1::2], strict=False))
            told_version = told.get(b"version", b"").decode("ascii", "replace")
            is_too_old = version(told_version) < OLDEST_VERSION
        if is_too_old:
            shown = told_version[:16] or "of an unknown version"
            raise StoreError(f"Redis {shown} is too old: 6.2 or later is needed")

    async def close(self) -> None:
        """End the connections, for good."""
        await self._redis.close()

    async def beat(self, member: str, lease_seconds: float, absent_seconds: float, *, rank: bool) -> Beat:
        """Show a sign of life; take the lease where it is free."""
        keys = [self.keys.lease, self.keys.fence, self.keys.members]
        answer = await self._redis.script(
            scripts.BEAT, keys, member, _ms(lease_seconds), _ms(absent_seconds), int(rank)
        )
        with self._reading():
            seconds, micros, lease, members, place, taken = answer
            unix = int(seconds) + int(micros) / 1e6
            return Beat(unix, lease.decode("utf-8", "replace"), int(members), int(place), bool(taken))

    async def resign(self, member: str, lease: str) -> None:
        """Leave the fleet, and free the lease if it is this one."""
        await self._redis.script(scripts.RESIGN, [self.keys.lease, self.keys.members], member, lease)

    async def tell(
        self, lease: str, records: Iterable[tuple[str, bytes]], *, expiry_seconds: float, most_values: int
    ) -> bool:
        """Write records by mint ('': only told, not kept). Returns False when the lease is not in force."""
        keys = self.keys
        pairs = [part for pair in records for part in pair]
        names = [keys.lease, keys.values, keys.deadlines, keys.changes, keys.sequence]
        return bool(
            await self._redis.script(
                scripts.TELL, names, lease, _ms(expiry_seconds), most_values, MOST_CHANGES, *pairs
            )
        )

    async def want(
        self, record: bytes, slice_number: int, counts: Mapping[Mint, int], *, kept_seconds: float
    ) -> None:
        """Tell the leader a record (empty: nothing), and add to the sums of demand."""
        pairs = [part for pair in counts.items() for part in pair]
        names = [self.keys.wanted, self.keys.demand(slice_number)]
        await self._redis.script(
            scripts.WANT, names, record, MOST_WANTED, _ms(kept_seconds), MOST_DEMANDED, *pairs
        )

    async def register(self, member: str, digest: str, popular: str) -> bool:
        """Say which popular list a member has. Returns whether Redis knows the list by its digest now."""
        names = [self.keys.popular, self.keys.lists]
        return bool(await self._redis.script(scripts.REGISTER, names, member, digest, popular, _ms(LIST_SECONDS)))

    async def popular_lists(self) -> list[bytes]:
        """Return the popular lists of all members, each once."""
        names = [self.keys.popular, self.keys.lists, self.keys.members]
        lists: list[bytes] = await self._redis.script(scripts.LISTS, names, MOST_LISTS, LONGEST_LIST_BYTES)
        return lists

    async def head(self) -> Head:
        """Return where the streams end, as the connection sees it that `news` waits on."""
        names = [self.keys.changes, self.keys.sequence, self.keys.wanted]
        answer = await self._redis.script(scripts.HEAD, names, blocking=True)
        with self._reading():
            changes, sequence, wanted = answer
            return Head(changes.decode(), int(sequence), wanted.decode())

    async def page(self, key: str, cursor: str) -> tuple[str, int, list[bytes]]:
        """Read a part of a hash: the next cursor ("0": that was all), how many were too long, the rest in turn."""
        answer = await self._redis.script(scripts.PAGE, [key], cursor, LONGEST_RECORD_BYTES)
        with self._reading():
            next_cursor, left_out, *rest = answer
            return next_cursor.decode(), int(left_out), rest

    async def news(self, key: str, after: str) -> list[Entry]:
        """Return the entries of a stream after one, waiting a moment for the first."""

        async def read(client: Redis) -> Any:
            return await client.xread({key: after}, count=ENTRIES_AT_ONCE, block=_ms(NEWS_SECONDS))

        answer = await self._redis.within(NEWS_SECONDS + ANSWER_SECONDS, read, blocking=True)
        with self._reading():
            return [entry(*raw) for _, entries in answer or () for raw in entries]

    async def repair(self) -> int:
        """Remove keys that hold what another program has written; then a new lease begins. Returns how many."""
        types = self.keys.types
        self._redis.misused = False
        removed: int = await self._redis.script(scripts.REPAIR, list(types), *types.values())
        return removed


async def _hello(client: Redis) -> Any:
    return await client.execute_command("HELLO")  # type: ignore[no-untyped-call] # redis-py has no types here


def _ms(seconds: float) -> int:
    return int(seconds * 1000)

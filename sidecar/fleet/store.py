"""The only place that talks to Redis. Every call is bounded in time and fails with StoreError alone."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import MovedError, NoScriptError, RedisError, ResponseError

from sidecar.fleet import scripts
from sidecar.fleet.answers import Beat, Entry, Head, StoreError, entry, version
from sidecar.fleet.keys import Keys
from sidecar.models import Mint

ANSWER_SECONDS: Final = 1.0
"""How long Redis may take for anything but waiting for news."""
NEWS_SECONDS: Final = 1.0
"""How long one call waits for news."""
OLDEST_VERSION: Final = (6, 2)
MOST_CHANGES: Final = 10_000
"""Entries of a stream. Who missed more than that takes over everything anew."""
MOST_WANTED: Final = 1_000
LONGEST_RECORD_BYTES: Final = 8_192
LONGEST_LIST_BYTES: Final = 512 * 1024
MOST_LISTS: Final = 100
MOST_DEMANDED: Final = 2_000
"""Mints that one slice of time has sums for."""
ENTRIES_AT_ONCE: Final = 200
LIST_SECONDS: Final = 600

_MISUSED: Final = ("WRONGTYPE", "not an integer")
"""How Redis complains of what somebody else has written in a key."""

T = TypeVar("T")


class Store:
    """A fleet's keys. `redact` takes out of texts what is secret."""

    def __init__(self, url: str, keys: Keys, redact: Callable[[str], str] = str) -> None:
        self._url = url
        self.keys = keys
        self._redact = redact
        self._clients: list[Redis] = []
        self._hashes: dict[str, str] = {}

    async def open(self) -> None:
        """Connect anew, and look at the version. Raises StoreError."""
        await self._end(client.connection_pool.disconnect() for client in self._clients)
        answers = await self._within(ANSWER_SECONDS, self._hello)
        told = dict(zip(answers[::2], answers[1::2], strict=False))
        told_version = told.get(b"version", b"").decode("ascii", "replace")
        if version(told_version) < OLDEST_VERSION:
            shown = told_version[:16] or "of an unknown version"
            raise StoreError(f"Redis {shown} is too old: 6.2 or later is needed")

    async def close(self) -> None:
        """End the connections, for good."""
        await self._end(client.aclose() for client in self._clients)
        self._clients.clear()

    async def _end(self, connections: Iterable[Awaitable[object]]) -> None:
        for ending in connections:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await ending
            except (RedisError, OSError, TimeoutError):
                continue

    # What happens at one moment

    async def beat(self, member: str, lease_seconds: float, absent_seconds: float, *, rank: bool) -> Beat:
        """Show a sign of life; take the lease where it is free."""
        keys = [self.keys.lease, self.keys.fence, self.keys.members]
        answer = await self._run(scripts.BEAT, keys, member, _ms(lease_seconds), _ms(absent_seconds), int(rank))
        seconds, micros, lease, members, place, taken = answer
        return Beat(
            int(seconds) + int(micros) / 1e6, lease.decode("utf-8", "replace"), members, place, bool(taken)
        )

    async def resign(self, member: str, lease: str) -> None:
        """Leave the fleet, and free the lease if it is this one."""
        await self._run(scripts.RESIGN, [self.keys.lease, self.keys.members], member, lease)

    async def tell(
        self, lease: str, records: Iterable[tuple[str, bytes]], *, expiry_seconds: float, most_values: int
    ) -> bool:
        """Write records by mint ('': only told, not kept). Returns False when the lease is not in force."""
        keys = self.keys
        pairs = [part for pair in records for part in pair]
        names = [keys.lease, keys.values, keys.deadlines, keys.changes, keys.sequence]
        return bool(
            await self._run(scripts.TELL, names, lease, _ms(expiry_seconds), most_values, MOST_CHANGES, *pairs)
        )

    async def want(
        self, record: bytes, slice_number: int, counts: Mapping[Mint, int], *, kept_seconds: float
    ) -> None:
        """Tell the leader a record (empty: nothing), and add to the sums of demand."""
        pairs = [part for pair in counts.items() for part in pair]
        names = [self.keys.wanted, self.keys.demand(slice_number)]
        await self._run(scripts.WANT, names, record, MOST_WANTED, _ms(kept_seconds), MOST_DEMANDED, *pairs)

    async def register(self, member: str, digest: str, popular: str) -> bool:
        """Say which popular list a member has. Returns whether Redis knows the list by its digest now."""
        names = [self.keys.popular, self.keys.lists]
        return bool(await self._run(scripts.REGISTER, names, member, digest, popular, _ms(LIST_SECONDS)))

    async def popular_lists(self) -> list[bytes]:
        """Return the popular lists of all members, each once."""
        names = [self.keys.popular, self.keys.lists, self.keys.members]
        lists: list[bytes] = await self._run(scripts.LISTS, names, MOST_LISTS, LONGEST_LIST_BYTES)
        return lists

    async def head(self) -> Head:
        """Return where the streams end."""
        changes, sequence, wanted = await self._run(
            scripts.HEAD, [self.keys.changes, self.keys.sequence, self.keys.wanted]
        )
        return Head(changes.decode(), int(sequence), wanted.decode())

    async def page(self, key: str, cursor: str) -> tuple[str, int, list[bytes]]:
        """Read a part of a hash: the next cursor ("0": that was all), how many were too long, the rest in turn."""
        next_cursor, left_out, *rest = await self._run(scripts.PAGE, [key], cursor, LONGEST_RECORD_BYTES)
        return next_cursor.decode(), left_out, rest

    async def news(self, key: str, after: str) -> list[Entry]:
        """Return the entries of a stream after one, waiting a moment for the first."""

        async def read(client: Redis) -> Any:
            return await client.xread({key: after}, count=ENTRIES_AT_ONCE, block=_ms(NEWS_SECONDS))

        answer = await self._within(NEWS_SECONDS + ANSWER_SECONDS, read, blocking=True)
        return [entry(*raw) for _, entries in answer or () for raw in entries]

    # How it is asked

    async def _run(self, script: str, keys: Sequence[str], *arguments: Any) -> Any:
        async def run(client: Redis) -> Any:
            known = self._hashes.get(script)
            if known is not None:
                try:
                    return await client.evalsha(known, len(keys), *keys, *arguments)
                except NoScriptError:
                    pass
            self._hashes[script] = await client.script_load(script)
            return await client.evalsha(self._hashes[script], len(keys), *keys, *arguments)

        return await self._within(ANSWER_SECONDS, run)

    async def repair(self) -> int:
        """Remove keys of the wrong type: somebody else has written there. Returns how many."""
        types = self.keys.types
        removed: int = await self._run(scripts.REPAIR, list(types), *types.values())
        return removed

    async def _hello(self, client: Redis) -> Any:
        return await client.execute_command("HELLO")  # type: ignore[no-untyped-call] # redis-py has no types here

    async def _within(self, seconds: float, ask: Callable[[Redis], Awaitable[T]], *, blocking: bool = False) -> T:
        try:
            async with asyncio.timeout(seconds):
                answer = await ask(self._client(blocking=blocking))
        except MovedError as error:
            for client in self._clients:
                client.connection_pool.connection_kwargs.update(host=error.host, port=error.port)
            await self._end(client.connection_pool.disconnect() for client in self._clients)
            raise StoreError("the cluster has moved the keys to another node") from error
        except TimeoutError as error:
            _check_cancelled()
            raise StoreError(f"no answer within {seconds:g} s") from error
        except (RedisError, OSError, UnicodeError, ValueError, TypeError, IndexError) as error:
            _check_cancelled()
            raise self._error(error) from error
        _check_cancelled()
        return answer

    def _client(self, *, blocking: bool) -> Redis:
        """Return the client for what waits, or for what does not: nothing queues behind what waits."""
        if not self._clients:
            self._clients = [self._new_client(ANSWER_SECONDS), self._new_client(NEWS_SECONDS + ANSWER_SECONDS)]
        return self._clients[blocking]

    def _new_client(self, seconds: float) -> Redis:
        return Redis.from_url(
            self._url,
            protocol=2,
            socket_timeout=seconds,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
            max_connections=4,
            driver_info=None,
        )

    def _error(self, error: Exception) -> StoreError:
        kind = "" if isinstance(error, ResponseError) else f"{type(error).__name__}: "
        failed = StoreError(self._redact(f"{kind}{error}".splitlines()[0])[:200])
        failed.misused = any(sign in str(error) for sign in _MISUSED)
        return failed


def _check_cancelled() -> None:
    """Raise CancelledError where the client has made something else of a cancellation."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _ms(seconds: float) -> int:
    return int(seconds * 1000)

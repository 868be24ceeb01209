"""The only place that talks to Redis. Every call is bounded in time and fails with StoreError alone."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import MovedError, NoScriptError, RedisError, ResponseError

from sidecar.fleet.answers import StoreError
from sidecar.fleet.bounded_parser import BoundedParser

ANSWER_SECONDS: Final = 1.0
"""How long Redis may take for anything but waiting for news."""
NEWS_SECONDS: Final = 1.0
"""How long one call waits for news."""

_MISUSED: Final = ("WRONGTYPE", "not an integer", "would overflow")
"""How Redis complains of what another program has written in a key."""

T = TypeVar("T")


class RedisCalls:
    """Two connections, and the scripts that Redis knows by now. `redact` takes out of texts what is secret."""

    def __init__(self, url: str, redact: Callable[[str], str]) -> None:
        self._url = url
        self._redact = redact
        self._clients: list[Redis] = []
        self._address: Mapping[str, Any] = {}
        """The URL's."""
        self._hashes: dict[str, str] = {}
        self.misused = False
        """Whether a key was found to hold what it should not; for its reader to reset."""
        self.waiting_connections = 0
        """Counts the connections that news was waited for on: behind another one may be another Redis."""

    async def open(self, hello: Callable[[Redis], Awaitable[T]]) -> T:
        """Connect anew and return a first answer; the URL's address is next where another node gives none."""
        await self._disconnect()
        try:
            return await self.within(ANSWER_SECONDS, hello)
        except StoreError:
            self._turn_to(self._address)
            raise

    async def _disconnect(self) -> None:
        """End the connections; the next call makes new ones."""
        await self._end(client.connection_pool.disconnect() for client in self._clients)

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

    async def script(self, script: str, keys: Sequence[str], *arguments: Any, blocking: bool = False) -> Any:
        """Return what a script answers, on the connection that waits for news if `blocking`."""

        async def run(client: Redis) -> Any:
            known = self._hashes.get(script)
            if known is not None:
                try:
                    return await client.evalsha(known, len(keys), *keys, *arguments)
                except NoScriptError:
                    pass
            self._hashes[script] = await client.script_load(script)
            return await client.evalsha(self._hashes[script], len(keys), *keys, *arguments)

        return await self.within(ANSWER_SECONDS, run, blocking=blocking)

    async def within(self, seconds: float, ask: Callable[[Redis], Awaitable[T]], *, blocking: bool = False) -> T:
        """Return what a call answers. `blocking`: on the connection that waits for news. Raises StoreError."""
        try:
            async with asyncio.timeout(seconds):
                answer = await ask(self._client(blocking=blocking))
        except MovedError as error:
            self._turn_to({"host": error.host, "port": error.port})
            await self._disconnect()
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
            own: Any = {"redis_connect_func": self._count_connection, "parser_class": BoundedParser}
            waiting = self._new_client(NEWS_SECONDS + ANSWER_SECONDS, **own)
            self._clients = [self._new_client(ANSWER_SECONDS), waiting]
            url = waiting.connection_pool.connection_kwargs
            self._address = {"host": url.get("host", "localhost"), "port": url.get("port", 6379)}
        return self._clients[blocking]

    def _turn_to(self, address: Mapping[str, Any]) -> None:
        """Have every connection lead to another address, those that the client keeps too; a socket has none."""
        for pool in (client.connection_pool for client in self._clients):
            if "path" in pool.connection_kwargs:
                continue
            pool.connection_kwargs.update(address)
            kept: Iterable[Any] = (*pool._available_connections, *pool._in_use_connections)  # noqa: SLF001 - no other way
            for connection in kept:
                connection.host, connection.port = address["host"], address["port"]

    async def _count_connection(self, connection: AbstractConnection) -> None:
        self.waiting_connections += 1
        await connection.on_connect()

    def _new_client(self, seconds: float, **more: Any) -> Redis:
        return Redis.from_url(
            self._url,
            protocol=2,
            socket_timeout=seconds,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
            max_connections=4,
            driver_info=None,
            **more,
        )

    def _error(self, error: Exception) -> StoreError:
        kind = "" if isinstance(error, ResponseError) else f"{type(error).__name__}: "
        failed = StoreError(self._redact(f"{kind}{error}".partition("\n")[0])[:200] or "an error without a word")
        self.misused = self.misused or any(sign in str(error) for sign in _MISUSED)
        return failed


def _check_cancelled() -> None:
    """Raise CancelledError where the client has made something else of a cancellation."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError

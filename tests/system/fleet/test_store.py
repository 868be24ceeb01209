"""What is done in Redis at one moment: the lease, guarded writes, sums, lists, pages."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from sidecar.fleet.answers import StoreError
from sidecar.fleet.bounded_parser import LONGEST_ANSWER_BYTES
from sidecar.fleet.keys import Keys
from sidecar.fleet.store import LONGEST_RECORD_BYTES, MOST_DEMANDED, Store
from tests.programs import require_program
from tests.service.tokens import JUP, WIF
from tests.system.fleet.redis_server import RedisServer, redis_server

KEEP: Any = {"expiry_seconds": 60.0, "most_values": 100}
ACL_RULES = (
    "on",
    ">secret-of-the-fleet",
    "resetkeys",
    "~{fleet-one}:*",
    "-@all",
    *("+evalsha", "+script|load", "+xread", "+time", "+type", "+exists", "+pexpire", "+pttl", "+select"),
    *("+get", "+set", "+incr", "+del", "+zadd", "+zrem", "+zcard", "+zscore", "+zrange", "+zrangebyscore"),
    *("+zremrangebyscore", "+hset", "+hget", "+hdel", "+hlen", "+hexists", "+hincrby", "+hscan", "+hgetall"),
    *("+hkeys", "+hstrlen", "+xadd", "+xrevrange"),
)


async def test_one_member_holds_the_lease_and_the_others_hear_which(store: Store) -> None:
    first = await store.beat("b", 5, 5, rank=True)
    second = await store.beat("a", 5, 5, rank=True)
    assert (first.lease, first.members, first.rank, first.taken) == ("1:b", 1, 0, True)
    assert (second.lease, second.members, second.rank, second.taken) == ("1:b", 2, 0, False)
    assert (await store.beat("b", 5, 5, rank=True)).rank == 1


async def test_a_leader_that_resigns_leaves_the_lease_to_the_next_with_a_higher_number(store: Store) -> None:
    await store.beat("a", 5, 5, rank=False)
    await store.beat("b", 5, 5, rank=False)
    await store.resign("a", "1:a")
    beat = await store.beat("b", 5, 5, rank=False)
    assert (beat.lease, beat.members) == ("2:b", 1)


async def test_a_lease_without_an_end_has_no_holder(store: Store, redis: RedisServer) -> None:
    await redis.command("SET", store.keys.lease, "7:somebody")
    assert (await store.beat("a", 5, 5, rank=False)).lease == "1:a"


async def test_only_the_lease_in_force_writes(store: Store) -> None:
    await store.beat("a", 5, 5, rank=False)
    assert await store.tell("1:a", [(JUP, b"new")], **KEEP)
    await store.resign("a", "1:a")
    await store.beat("b", 5, 5, rank=False)
    assert not await store.tell("1:a", [(JUP, b"from a leader that was frozen")], **KEEP)
    assert (await store.page(store.keys.values, "0"))[2] == [JUP.encode(), b"new"]
    assert [entry.record for entry in await store.news(store.keys.changes, "0")] == [b"new"]


async def test_every_key_expires(store: Store, redis: RedisServer) -> None:
    await store.beat("a", 5, 5, rank=False)
    await store.tell("1:a", [(JUP, b"value"), ("", b"note")], **KEEP)
    await store.want(b"missed", 1, {JUP: 2}, kept_seconds=60)
    await store.register("a", "digest", "list")
    keys = await redis.command("KEYS", "*")
    assert len(keys) == 11
    assert [key for key in keys if await redis.command("PTTL", key) <= 0] == []


async def test_values_are_bounded_and_the_first_to_expire_goes_first(store: Store) -> None:
    await store.beat("a", 5, 5, rank=False)
    for number in range(5):
        await store.tell("1:a", [(f"mint{number}", b"value")], expiry_seconds=60.0 + number, most_values=3)
    fields = (await store.page(store.keys.values, "0"))[2]
    assert sorted(fields[::2]) == [b"mint2", b"mint3", b"mint4"]


async def test_changes_are_numbered_without_a_gap(store: Store) -> None:
    await store.beat("a", 5, 5, rank=False)
    assert (await store.head()).sequence == 0
    await store.tell("1:a", [("", b"one"), (JUP, b"two")], **KEEP)
    await store.tell("1:a", [(WIF, b"three")], **KEEP)
    head = await store.head()
    entries = await store.news(store.keys.changes, "0")
    assert [entry.number for entry in entries] == [1, 2, 3]
    assert (head.sequence, head.changes) == (3, entries[-1].id)


async def test_demand_is_summed_over_members_and_bounded(store: Store) -> None:
    await store.want(b"", 7, {JUP: 2, WIF: 1}, kept_seconds=60)
    await store.want(b"", 7, {JUP: 3}, kept_seconds=60)
    fields = (await store.page(store.keys.demand(7), "0"))[2]
    assert dict(zip(fields[::2], fields[1::2], strict=True)) == {JUP.encode(): b"5", WIF.encode(): b"1"}
    for start in range(0, MOST_DEMANDED + 100, 100):
        flood = {f"flood{number}": 1 for number in range(start, start + 100)}
        await store.want(b"", 7, flood, kept_seconds=60)  # type: ignore[arg-type] # they are no mints
    await store.want(b"", 7, {JUP: 1}, kept_seconds=60)
    assert await _count(store, store.keys.demand(7)) == MOST_DEMANDED


async def _count(store: Store, key: str) -> int:
    cursor, count = "", 0
    while cursor != "0":
        cursor, _, fields = await store.page(key, cursor or "0")
        count += len(fields) // 2
    return count


async def test_what_is_too_long_is_not_even_read(store: Store, redis: RedisServer) -> None:
    long = "x" * (LONGEST_RECORD_BYTES + 1)
    await redis.command("HSET", store.keys.values, JUP, long, WIF, "short")
    assert await store.page(store.keys.values, "0") == ("0", 1, [WIF.encode(), b"short"])


async def test_news_that_is_too_long_is_given_up_before_it_is_in_memory(store: Store, redis: RedisServer) -> None:
    await redis.command("XADD", store.keys.changes, "1-0", "n", "1", "r", "x" * LONGEST_ANSWER_BYTES)
    await redis.command("XADD", store.keys.changes, "2-0", "n", "2", "r", "short")
    with pytest.raises(StoreError, match="too long"):
        await store.news(store.keys.changes, "0")
    assert [entry.record for entry in await store.news(store.keys.changes, "1-0")] == [b"short"]


async def test_each_popular_list_is_kept_once_and_goes_with_its_members(store: Store, redis: RedisServer) -> None:
    for member in ("a", "b"):
        await store.beat(member, 5, 5, rank=False)
    assert not await store.register("a", "digest", "")
    assert await store.register("a", "digest", "the list")
    assert await store.register("b", "digest", "")
    assert await store.popular_lists() == [b"the list"]
    await redis.command("DEL", store.keys.members)
    assert await store.popular_lists() == []


async def test_namespaces_and_formats_are_fleets_of_their_own(store: Store, redis: RedisServer) -> None:
    await store.beat("a", 5, 5, rank=False)
    other = Store(redis.url, Keys("fleet-two"))
    assert (await other.beat("b", 5, 5, rank=False)).lease == "1:b"
    await other.close()
    assert store.keys.lease == "{fleet-one}:1:lease"


async def test_scripts_are_loaded_again_when_redis_forgot_them(store: Store, redis: RedisServer) -> None:
    await store.beat("a", 5, 5, rank=False)
    await redis.command("SCRIPT", "FLUSH")
    assert (await store.beat("a", 5, 5, rank=False)).lease == "1:a"


async def test_a_user_who_may_do_just_what_is_needed(redis: RedisServer) -> None:
    await redis.command("ACL", "SETUSER", "fleet", *ACL_RULES)
    store = Store(redis.url.replace("//", "//fleet:secret-of-the-fleet@"), Keys("fleet-one"))
    try:
        await store.open()
        await store.beat("a", 5, 5, rank=True)
        await store.tell("1:a", [(JUP, b"value")], **KEEP)
        await store.want(b"missed", 1, {JUP: 2}, kept_seconds=60)
        await store.want(b"missed", 1, {JUP: 2}, kept_seconds=60)
        await store.register("a", "digest", "list")
        await store.popular_lists()
        await store.head()
        await store.page(store.keys.values, "0")
        await store.news(store.keys.wanted, "0")
        await store.repair()
        await store.resign("a", "1:a")
        store.keys = Keys("fleet-two")
        with pytest.raises(StoreError, match=r"NOPERM|o permissions"):
            await store.beat("a", 5, 5, rank=False)
    finally:
        await store.close()


async def test_a_redis_that_is_too_old_is_refused_in_words(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def old(_: object) -> list[bytes]:
        return [b"server", b"redis", b"version", b"6.0.16"]

    monkeypatch.setattr("sidecar.fleet.store._hello", old)
    with pytest.raises(StoreError, match=r"^Redis 6\.0\.16 is too old: 6\.2 or later is needed$"):
        await store.open()


async def test_a_cluster_of_one_node(tmp_path: Path) -> None:
    async with redis_server(tmp_path, "--cluster-enabled", "yes", "--port", "0", "--cluster-port", "1") as server:
        await server.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        store = Store(server.url, Keys("fleet-one"))
        try:
            await store.open()
            async with asyncio.timeout(10):
                while b"cluster_state:ok" not in await server.command("CLUSTER", "INFO"):  # noqa: ASYNC110 - same
                    await asyncio.sleep(0.02)
            await store.beat("a", 5, 5, rank=True)
            assert await store.tell("1:a", [(JUP, b"value")], **KEEP)
            await store.want(b"missed", 1, {JUP: 2}, kept_seconds=60)
            assert await store.register("a", "digest", "list")
            assert await store.popular_lists() == [b"list"]
            assert (await store.head()).sequence == 1
            assert await store.repair() == 0
        finally:
            await store.close()


async def test_tls_is_checked_with_the_authority_that_the_url_names(tmp_path: Path) -> None:
    key, certificate = tmp_path / "tls.key", tmp_path / "tls.crt"
    process = await asyncio.create_subprocess_exec(
        *(require_program("openssl", package="openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
        *("-keyout", str(key), "-out", str(certificate), "-days", "1", "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0
    port = _free_port()
    tls = ("--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    authority = ("--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no")
    async with redis_server(tmp_path, *tls, *authority):
        url = f"rediss://127.0.0.1:{port}"
        store = Store(f"{url}?ssl_ca_certs={certificate}", Keys("fleet-one"))
        await store.open()
        assert (await store.beat("a", 5, 5, rank=False)).members == 1
        await store.close()
        distrusting = Store(url, Keys("fleet-one"))
        with pytest.raises(StoreError, match="certificate"):
            await distrusting.open()
        await distrusting.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

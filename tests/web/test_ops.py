import asyncio
from typing import Any

import aiohttp
import msgspec
import pytest

from sidecar.app import Sidecar
from sidecar.config.redaction import Redactor
from sidecar.config.secret_values import secrets_of
from sidecar.config.settings import CacheSettings, FileSettings, Settings
from sidecar.config.source_settings import KeyedSourceSettings, SourceSettings, SourcesSettings
from sidecar.demo import Fault
from sidecar.runtime.version import __version__
from tests.clock import UNIX_START, FakeClock
from tests.running import Rig, WatchedMarket
from tests.web.serving import SETTINGS, SOL, Site, running, serving, until

LOOPS = {"popular", "tracked", "trending", "stats"}
SOURCES = {"jupiter", "dexscreener", "geckoterminal", "solana_rpc"}


def everything_hangs(market: WatchedMarket) -> None:

    for source in market.faults:
        market.faults[source] = Fault(kind="hang")


async def test_the_probes_are_good_on_a_warm_sidecar_and_name_their_conditions(site: Site) -> None:
    startupz, livez, readyz = [await site.ops(path) for path in ("/startupz", "/livez", "/readyz")]

    assert [one.status for one in (startupz, livez, readyz)] == [200, 200, 200]
    assert startupz.json == {
        "ok": True,
        "popular_unanswered": 0,
        "waiting_for": [],
        "startup_deadline_seconds": 10.0,
    }
    assert livez.json == {"ok": True, "stuck_loops": {}, "event_loop_lag_seconds": 0.0}
    assert readyz.json == {"ok": True, "stopping": False}
    for answer in (startupz, livez, readyz):
        assert (answer.headers["Content-Type"], answer.headers["Cache-Control"]) == (
            "application/json",
            "no-store",
        )


async def test_startupz_waits_for_the_popular_list_or_for_the_deadline() -> None:
    async with serving(prepare=everything_hangs, warm=False) as site:
        before = await site.ops("/startupz")
        await site.rig.run_for(9.99)
        just_before = await site.ops("/startupz")
        site.rig.clock.advance(0.01)
        after = await site.ops("/startupz")
        others = [(await site.ops(path)).status for path in ("/livez", "/readyz")]

    assert (before.status, before.json["ok"], before.json["popular_unanswered"]) == (503, False, 11)
    assert just_before.status == 503
    assert (after.status, after.json["ok"], after.json["popular_unanswered"]) == (200, True, 11)
    assert {"SOL", "BONK", "stSOL"} <= set(after.json["waiting_for"])
    assert others == [200, 200]


async def test_livez_names_the_loop_that_is_stuck(site: Site) -> None:
    loop = site.sidecar.service.health.loops["popular"]
    loop._expected_by = site.rig.clock.monotonic() - 12.5
    answer = await site.ops("/livez")

    assert answer.status == 503
    assert (answer.json["ok"], answer.json["stuck_loops"]) == (False, {"popular": 12.5})
    assert (await site.ops("/readyz")).status == 200


async def test_readyz_says_no_only_when_stopping(site: Site) -> None:
    site.sidecar._phase.stopping = True
    answer = await site.ops("/readyz")
    assert (answer.status, answer.json) == (503, {"ok": False, "stopping": True})


async def test_status_tells_version_settings_sources_and_loops(site: Site) -> None:
    site.switch_off("geckoterminal")
    await site.get(f"/mc/{SOL}")
    answer = await site.ops("/status")
    body = answer.json

    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    assert (body["version"], body["started_at"]) == (__version__, UNIX_START)
    assert body["statistics"] == site.sidecar.service.get_stats()
    assert set(body["loops"]) >= LOOPS
    assert set(body["sources"]) == SOURCES
    assert body["loops"]["popular"]["last_run"] == UNIX_START
    assert body["loops"]["popular"]["last_success"] == UNIX_START
    jupiter = body["sources"]["jupiter"]
    assert (jupiter["circuit"], jupiter["last_error"], jupiter["last_success"]) == ("closed", None, UNIX_START)
    assert (jupiter["requests_per_minute"], jupiter["retry_in_seconds"]) == (30, 0.0)
    assert body["settings"]["cache"] == msgspec.to_builtins(CacheSettings())
    assert set(body["settings"]) == set(FileSettings.__struct_fields__)


def secretive() -> Settings:
    """Return settings with a secret in every place that may hold one; nothing answers at these URLs."""
    closed = "http://user-seven:password-eight@127.0.0.1:9"
    sources = SourcesSettings(
        jupiter=KeyedSourceSettings(
            base_url=f"{closed}/path-secret-one?token=query-secret-two",
            api_key="key-secret-three",
        ),
        dexscreener=SourceSettings(base_url="http://127.0.0.1:9/path-secret-four"),
        geckoterminal=SourceSettings(base_url="http://127.0.0.1:9/?k=query-secret-five"),
        solana_rpc=SourceSettings(base_url="http://127.0.0.1:9/v2/path-secret-six"),
    )
    from_environment = frozenset({"popular_file"})
    return Settings(
        api=SETTINGS.api,
        ops=SETTINGS.ops,
        sources=sources,
        popular_file="/secret-seven",
        from_environment=from_environment,
    )


@pytest.mark.parametrize("path", ["/status", "/metrics", "/startupz", "/livez", "/readyz"])
async def test_the_operator_s_listener_shows_no_secret(path: str) -> None:

    settings = secretive()
    sidecar = Sidecar(settings, redactor=Redactor(secrets_of(settings)), clock=FakeClock())

    async with running(sidecar), aiohttp.ClientSession() as session:
        site = Site(sidecar, Rig(sidecar.service, WatchedMarket(FakeClock()), FakeClock()), session)
        jupiter = sidecar.service.engine.upstreams["jupiter"]
        await until(lambda: jupiter.outcomes.last_error)
        text = (await site.ops(path)).body.decode()

    assert not [secret for secret in ("secret", "seven", "eight") if secret in text]
    if path == "/status":
        assert '"base_url":"http://127.0.0.1:9/***"' in text
        assert '"api_key":"***"' in text
        assert "127.0.0.1" in str(jupiter.outcomes.last_error)


async def test_nothing_of_the_application_is_served_to_the_operator(site: Site) -> None:
    for path in ("/mc", f"/mc/{SOL}", "/stats", "/openapi.json", "/mc/stream"):
        answer = await site.ops(path)
        assert (answer.status, answer.json["code"]) == (404, "not_found")


async def test_the_operator_s_listener_is_read_only(site: Site) -> None:
    for path in ("/metrics", "/startupz", "/livez", "/readyz", "/status"):
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            answer = await site.ops(path, method)
            assert (answer.status, answer.headers["Allow"]) == (405, "GET,HEAD")
            assert answer.json["code"] == "method_not_allowed"
        head, get = await site.ops(path, "HEAD"), await site.ops(path)
        assert (head.status, head.body, head.headers["Content-Type"]) == (200, b"", get.headers["Content-Type"])


async def test_the_operator_may_ask_under_any_host(site: Site) -> None:
    headers: dict[str, Any] = {"Host": "10.1.2.3:9765", "X-Forwarded-For": "10.0.0.1"}
    assert (await site.ops("/livez", headers=headers)).status == 200


async def test_the_operator_s_listener_has_limits_too(site: Site) -> None:
    assert (await site.ops("/livez?" + "x" * 9000)).json["code"] == "uri_too_long"
    assert (await site.ops("/livez", headers={"X": "x" * 17_000})).json["code"] == "headers_too_large"


async def test_both_loopback_families_are_served() -> None:
    async with serving() as site:
        for address in site.sidecar.api_addresses:
            async with asyncio.timeout(5):
                assert (await site._ask(address, "GET", f"/mc/{SOL}")).status == 200
        assert site.sidecar.api_addresses[0].startswith("http://127.0.0.1:")


async def test_nothing_on_this_port_may_be_kept(site: Site) -> None:
    for target in ("/metrics", "/startupz", "/livez", "/readyz", "/status", "/nowhere"):
        assert (await site.ops(target)).headers["Cache-Control"] == "no-store", target

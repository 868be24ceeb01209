from typing import Any

import pytest

from tests.web.serving import BONK, JUP, SOL, STSOL, Site


async def listed(site: Site, query: str = "") -> list[dict[str, Any]]:
    """Return the tokens of a list whose count, order and headers are right."""
    answer = await site.get(f"/mc{query}")
    tokens: list[dict[str, Any]] = answer.json["tokens"]
    assert answer.status == 200
    assert answer.json == {"tokens": tokens, "count": len(tokens)}
    assert answer.headers["Cache-Control"] == "no-store"
    assert not {"Age", "Cache-Status"} & set(answer.headers)
    caps = [token["market_cap_usd"] for token in tokens]
    assert caps == sorted(caps, reverse=True)
    return tokens


async def test_the_popular_list_has_its_priced_tokens_highest_market_cap_first(site: Site) -> None:
    tokens = await listed(site)
    popular = {token.mint for token in site.sidecar.service.settings.popular}

    assert {token["mint"] for token in tokens} == popular - {STSOL}
    assert await listed(site, "?set=popular") == tokens
    assert tokens[0] == (await site.get(f"/mc/{tokens[0]['mint']}")).json


async def test_limit_cuts_the_list_after_sorting(site: Site) -> None:
    whole = await listed(site)

    assert await listed(site, "?limit=3") == whole[:3]
    assert await listed(site, "?set=popular&limit=1") == whole[:1]
    assert await listed(site, "?limit=1000") == whole


async def test_tracked_is_popular_requested_and_trending_together(site: Site) -> None:
    mint = site.unpopular()
    await site.wait_for(site.get(f"/mc/{mint}"))
    for _ in range(4):
        await site.get(f"/mc/{mint}")
    await site.rig.settle()
    tracked = {token["mint"] for token in await listed(site, "?set=tracked")}
    trending = {token["mint"] for token in await listed(site, "?set=trending")}
    popular = {token["mint"] for token in await listed(site)}

    assert len(trending) > 10
    assert tracked == popular | trending | {mint}
    assert mint not in popular | trending
    assert not popular & trending


async def test_lists_count_no_lookups(site: Site) -> None:
    await listed(site)
    await listed(site, "?set=tracked")

    assert not any(site.sidecar.service.metrics.hot.lookups.values())
    assert (await site.get("/stats")).json["most_requested"] == []


@pytest.mark.parametrize(
    "query",
    [
        *(
            "set=all",
            "set=",
            "set=Popular",
            "limit=0",
            "limit=1001",
            "limit=-1",
            "limit=",
            "limit=1e2",
            "limit=ten",
        ),
        *("limit=1.0", "limit=%D9%A3", f"set=popular&mints={SOL}", f"mints={SOL}&set="),
    ],
)
async def test_a_bad_set_or_limit_is_an_invalid_request(site: Site, query: str) -> None:
    answer = await site.get(f"/mc?{query}")
    assert (answer.status, answer.json["code"]) == (400, "invalid_request")


async def test_stats_are_the_service_s_with_the_most_requested_tokens(site: Site) -> None:
    for mint in (SOL, JUP, JUP, BONK, BONK, BONK, "nonsense"):
        await site.get(f"/mc/{mint}")
    await site.get(f"/mc/{STSOL}")
    answer = await site.get("/stats")

    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json == {
        **site.sidecar.service.get_stats(),
        "served_uncertainty": {"median": None, "p95": None},
        "most_requested": [
            {"mint": BONK, "symbol": "BONK", "requests": 3},
            {"mint": JUP, "symbol": "JUP", "requests": 2},
            {"mint": SOL, "symbol": "SOL", "requests": 1},
        ],
    }
    assert (answer.json["total_requests"], answer.json["total_cache_hits"], answer.json["hit_rate"]) == (
        7,
        6,
        85.7,
    )
    assert (answer.json["popular_tokens"], answer.json["running"]) == (11, True)


async def test_stats_name_ten_tokens_at_most(site: Site) -> None:
    tokens = [token["mint"] for token in await listed(site, "?set=tracked")][:12]
    await site.post(tokens)

    assert len((await site.get("/stats")).json["most_requested"]) == 10


@pytest.mark.parametrize(
    "target", ["/mc", "/mc?set=trending&limit=2", f"/mc?mints={SOL}", "/stats", "/openapi.json"]
)
async def test_head_answers_with_the_headers_of_get(site: Site, target: str) -> None:
    head, get = await site.ask("HEAD", target), await site.get(target)

    assert {**head.headers, "Date": ""} == {**get.headers, "Date": ""}

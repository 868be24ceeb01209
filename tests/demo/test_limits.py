from sidecar.demo import REAL_LIMITS, Market, RateLimit, Source
from sidecar.demo.limits import SlidingWindow, Verdict
from tests.clock import FakeClock
from tests.demo.upstreams import SOL, Upstreams

SEARCH = f"/tokens/v2/search?query={SOL}"


def test_a_call_is_allowed_again_when_the_oldest_leaves_the_window() -> None:
    window = SlidingWindow(RateLimit(((2, 10.0),)))
    assert window.admit(100.0) == Verdict(allowed=True, used=1, remaining=1, reset_seconds=0.0)
    assert window.admit(104.0) == Verdict(allowed=True, used=2, remaining=0, reset_seconds=6.0)
    assert window.admit(109.0) == Verdict(allowed=False, used=2, remaining=0, reset_seconds=1.0)
    assert window.admit(110.0) == Verdict(allowed=True, used=2, remaining=0, reset_seconds=4.0)


def test_all_windows_hold_together() -> None:
    window = SlidingWindow(RateLimit(((2, 10.0), (3, 60.0))))
    allowed = [window.admit(at).allowed for at in (0.0, 1.0, 2.0, 10.5, 21.0, 59.9, 60.0)]
    assert allowed == [True, True, False, True, False, False, True]


async def test_no_limit_is_on_at_first(upstreams: Upstreams) -> None:
    statuses = {(await upstreams.get("jupiter", SEARCH)).status for _ in range(40)}
    assert statuses == {200}
    assert "x-ratelimit-remaining" not in (await upstreams.get("jupiter", SEARCH)).headers


async def test_jupiter_tells_its_limit_on_200_and_429(
    market: Market, clock: FakeClock, upstreams: Upstreams
) -> None:
    market.rate_limits["jupiter"] = REAL_LIMITS["jupiter"]
    answers = [await upstreams.get("jupiter", SEARCH) for _ in range(6)]
    assert [answer.status for answer in answers] == [200] * 5 + [429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["4", "3", "2", "1", "0", "0"]
    assert [answer.headers["x-ratelimit-current"] for answer in answers] == ["1", "2", "3", "4", "5", "5"]
    assert answers[5].headers["x-ratelimit-reset"] == str(int(clock.time()) + 11)
    assert answers[5].body == {"code": 429, "message": "[API Gateway] Too many requests"}
    assert "Retry-After" not in answers[5].headers
    clock.advance(10)
    assert (await upstreams.get("jupiter", SEARCH)).status == 200


async def refused(
    market: Market, upstreams: Upstreams, source: Source, path: str
) -> tuple[int, str | None, object]:
    market.rate_limits[source] = RateLimit(((1, 60.0),))
    await upstreams.get(source, path)
    answer = await upstreams.get(source, path)
    return answer.status, answer.headers.get("Retry-After"), answer.body


async def test_geckoterminal_says_retry_after_zero(market: Market, upstreams: Upstreams) -> None:
    status, retry_after, body = await refused(
        market, upstreams, "geckoterminal", "/networks/solana/trending_pools"
    )
    assert (status, retry_after) == (429, "0")
    assert body == {"status": {"error_code": 429, "error_message": "You've exceeded the Rate Limit."}}


async def test_dexscreeners_refusal_is_no_json(market: Market, upstreams: Upstreams) -> None:
    assert await refused(market, upstreams, "dexscreener", "/token-boosts/top/v1") == (
        429,
        None,
        "Too Many Requests",
    )


async def test_the_rpc_says_in_how_many_seconds(market: Market, clock: FakeClock, upstreams: Upstreams) -> None:
    market.rate_limits["solana_rpc"] = RateLimit(((1, 10.0),))
    await upstreams.rpc("getSupply")
    clock.advance(4.5)
    body = {"jsonrpc": "2.0", "id": 1, "method": "getSupply"}
    async with upstreams.session.post(upstreams.urls["solana_rpc"], json=body) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "6")
        assert (await response.json())["error"]["code"] == 429


async def test_a_limit_can_be_changed_and_switched_off(market: Market, upstreams: Upstreams) -> None:
    market.rate_limits["jupiter"] = RateLimit(((1, 60.0),))
    assert [(await upstreams.get("jupiter", SEARCH)).status for _ in range(2)] == [200, 429]
    market.rate_limits["jupiter"] = RateLimit(((2, 60.0),))
    assert [(await upstreams.get("jupiter", SEARCH)).status for _ in range(3)] == [200, 200, 429]
    market.rate_limits["jupiter"] = None
    assert (await upstreams.get("jupiter", SEARCH)).status == 200

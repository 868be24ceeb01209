import pytest

from sidecar.demo import REAL_LIMITS, Fault, Market
from tests.demo.upstreams import JUP, SOL, UNKNOWN, Upstreams


async def test_the_truth_is_told_in_one_document(market: Market, upstreams: Upstreams) -> None:
    await upstreams.rpc("getSupply")
    market.faults["jupiter"] = Fault(kind="hang")
    body = (await upstreams.operate("GET", "")).body
    assert body["calls"] == {"jupiter": 0, "dexscreener": 0, "geckoterminal": 0, "solana_rpc": 1}
    assert body["faults"]["jupiter"]["kind"] == "hang"
    assert body["faults"]["dexscreener"] is None
    sol = body["tokens"][0]
    assert sol == {
        "mint": SOL,
        "symbol": "SOL",
        "name": "Wrapped SOL",
        "decimals": 9,
        "price_usd": market.price(SOL),
        "market_cap_usd": market.market_cap(SOL),
        "total_supply": 631122767.3182045,
        "circulating_supply": 583094795.1204479,
        "liquidity_usd": 640000000.0,
    }
    assert len(body["tokens"]) == 120
    assert None in [token["circulating_supply"] for token in body["tokens"]]


async def test_a_fault_is_put_and_deleted(market: Market, upstreams: Upstreams) -> None:
    fault = {"kind": "status", "status": 429, "headers": {"Retry-After": "5"}, "probability": 0.5}
    assert (await upstreams.operate("PUT", "/faults/jupiter", fault)).status == 204
    assert market.faults["jupiter"] == Fault(
        kind="status", status=429, headers={"Retry-After": "5"}, probability=0.5
    )
    assert (await upstreams.operate("DELETE", "/faults/jupiter")).status == 204
    assert market.faults["jupiter"] is None


async def test_a_real_rate_limit_is_put_and_deleted(market: Market, upstreams: Upstreams) -> None:
    assert (await upstreams.operate("PUT", "/rate-limits/jupiter")).status == 204
    assert market.rate_limits["jupiter"] == REAL_LIMITS["jupiter"]
    assert (await upstreams.operate("DELETE", "/rate-limits/jupiter")).status == 204
    assert market.rate_limits["jupiter"] is None


async def test_a_token_is_changed(market: Market, upstreams: Upstreams) -> None:
    change = {
        "price_usd": 2.0,
        "liquidity_usd": 0.25,
        "total_supply": 1000.5,
        "circulating_supply": None,
        "source_prices": {"dexscreener": 3.0},
        "forget": ["jupiter"],
    }
    assert (await upstreams.operate("PUT", f"/tokens/{JUP}", change)).status == 204
    assert market.market_cap(JUP) == 2001.0
    assert market.tokens[JUP].liquidity_usd == 0.25
    assert market.source_price("dexscreener", JUP) == 3.0
    assert market.find("jupiter", JUP) is None


async def test_what_is_not_named_stays(market: Market, upstreams: Upstreams) -> None:
    market.set_price(JUP, 2.0)
    market.forget("jupiter", JUP)
    before = market.tokens[JUP]
    assert (await upstreams.operate("PUT", f"/tokens/{JUP}", {"remember": ["jupiter"]})).status == 204
    assert (market.tokens[JUP], market.price(JUP)) == (before, 2.0)
    assert market.find("jupiter", JUP) == before


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/faults/nobody", {"kind": "hang"}, 404),
        ("/faults/jupiter", {"kind": "nonsense"}, 400),
        ("/faults/jupiter", {"kind": "hang", "tpyo": 1}, 400),
        ("/rate-limits/nobody", None, 404),
        (f"/tokens/{UNKNOWN}", {"price_usd": 1}, 404),
        (f"/tokens/{JUP}", {"price": 1}, 400),
    ],
)
async def test_mistakes_are_told(upstreams: Upstreams, path: str, body: object, status: int) -> None:
    answer = await upstreams.operate("PUT", path, body)
    assert answer.status == status
    assert answer.body

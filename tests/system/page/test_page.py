from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from sidecar.cache.cache import Entry
from sidecar.models import Mint
from tests.programs import require_program
from tests.system.page.browser import chromium, looking_at
from tests.web.serving import BONK, JUP, SOL, STSOL, Site, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

NARROW: Final[Any] = {"viewport": {"width": 320, "height": 700}}
CAPS = "#rows .c-cap"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    require_program("chromium", package="chromium")
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site() -> AsyncIterator[Site]:
    """Run one warm sidecar that the tests look at and leave as it is."""
    async with serving() as running:
        yield running


def mint_row(mint: str) -> str:
    return f'tr[data-mint="{mint}"]'


def in_order(caps: list[str]) -> list[float]:
    units = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
    return [float(cap[1:-1]) * units[cap[-1]] for cap in caps if cap[0] == "$"]


async def test_it_shows_tokens_sources_and_loops(site: Site, browser: Browser) -> None:
    async with looking_at(site, browser) as seen:
        caps = in_order(await seen.texts(CAPS))
        row = await seen.row(JUP)
        cards = await seen.texts(".card h2")
        sources, loops = await seen.texts("#sources b"), await seen.texts("#loops b")
        live, title = await seen.page.inner_text("#live"), await seen.page.title()

    cap = site.rig.cap(JUP)
    assert cap is not None
    assert caps == sorted(caps, reverse=True)
    assert f"${cap.market_cap_usd / 1e9:.2f}B" in row
    assert all(text in row for text in ("JUP", "Jupiter", cap.confidence, "popular"))
    assert len(cards) == 5
    assert sources == ["Jupiter", "DexScreener", "GeckoTerminal", "Solana RPC"]
    assert {"popular", "tracked", "trending", "stats"} <= set(loops)
    assert (live, title) == ("live", "mc-sidecar")


async def test_its_policy_allows_its_own_script_and_style_and_nothing_else(site: Site) -> None:
    answer = await site.ops("/")
    policy = dict(one.strip().split(" ", 1) for one in answer.headers["Content-Security-Policy"].split(";"))

    assert policy["default-src"] == "'none'"
    assert policy["script-src"].startswith("'sha256-")
    assert policy["style-src"].startswith("'sha256-")
    assert (policy["connect-src"], policy["frame-ancestors"]) == ("'self'", "'none'")
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"


async def test_a_change_is_shown_as_it_happens(browser: Browser) -> None:
    async with serving() as site, looking_at(site, browser) as seen:
        publisher, entry = site.sidecar.service.engine.publisher, site.sidecar.service.engine.cache.peek(Mint(JUP))
        assert entry is not None
        await seen.page.fill("#filter", JUP)
        cap = msgspec.structs.replace(entry.cap, market_cap_usd=7.77e9, price_usd=3.21)
        publisher.publish(Entry(cap, entry.received, entry.explanation))
        await site.rig.run_for(1)
        await seen.until_row(JUP, "$7.77B")
        changed = await seen.row(JUP)
        publisher.publish_unpriced(Mint(JUP), "no source knows it")
        await site.rig.run_for(1)
        await seen.until_row(JUP, "no price")

    assert "$3.2100" in changed


async def test_every_column_sorts_both_ways(site: Site, browser: Browser) -> None:
    async with looking_at(site, browser) as seen:
        await seen.page.click("#head-cap button")
        ascending = in_order(await seen.texts(CAPS))
        sort = await seen.page.get_attribute("#head-cap", "aria-sort")
        await seen.page.focus("#head-token button")
        await seen.page.keyboard.press("Enter")
        names = [name.split()[0].lower() for name in await seen.texts("#rows .open")]
        sorts = [await seen.page.get_attribute(head, "aria-sort") for head in ("#head-token", "#head-cap")]

    assert ascending == sorted(ascending)
    assert sort == "ascending"
    assert names == sorted(names)
    assert sorts == ["ascending", None]


async def test_tokens_are_filtered_by_text_confidence_and_tier(site: Site, browser: Browser) -> None:
    tracker = site.sidecar.service.engine.tracker
    async with looking_at(site, browser) as seen:
        await seen.page.keyboard.press("/")
        await seen.page.keyboard.type("bonk")
        found = await seen.texts("#rows .open")
        await seen.page.fill("#filter", JUP[:12])
        by_mint = await seen.texts("#rows .open")
        await seen.page.fill("#filter", "nothing is like that")
        empty = await seen.page.is_visible("#empty")
        await seen.page.fill("#filter", "")
        await seen.page.select_option("#tier", "popular")
        popular = await seen.page.inner_text("#count")
        await seen.page.select_option("#confidence", "none")
        unpriced = await seen.texts("#rows .open")

    assert [name.split()[0] for name in found] == ["BONK"]
    assert [name.split()[0] for name in by_mint] == ["JUP"]
    assert empty
    assert popular == f"{len(tracker.popular)} of {len(tracker.mints)}"
    assert [name.split()[0] for name in unpriced] == ["stSOL"]
    assert BONK in tracker.popular
    assert STSOL in tracker.popular


async def test_a_source_that_fails_and_recovers_is_seen(browser: Browser) -> None:
    async with serving() as site, looking_at(site, browser) as seen:
        quiet = await seen.page.inner_text("#trouble")
        site.switch_off("jupiter", "dexscreener", "geckoterminal")
        await site.rig.run_for(200)
        await seen.until("() => document.querySelector('#trouble').innerText.includes('No price source answers')")
        jupiter = await seen.page.inner_text('[data-source="jupiter"]')
        for source in site.rig.market.faults:
            site.rig.market.faults[source] = None
        await site.rig.run_for(200)
        await seen.until("() => document.querySelector('#trouble').innerText === ''")
        recovered = await seen.page.inner_text('[data-source="jupiter"]')

    assert quiet == ""
    assert "not asked" in jupiter
    assert "last error: answered 503" in jupiter
    assert "last error" not in recovered


async def test_a_row_opens_its_explanation_by_keyboard_too(site: Site, browser: Browser) -> None:
    async with looking_at(site, browser) as seen:
        await seen.page.focus("#rows .open[tabindex='0']")
        await seen.page.keyboard.press("ArrowDown")
        await seen.page.keyboard.press("Home")
        await seen.page.keyboard.press("Enter")
        label = await seen.page.get_attribute("#dialog[open] svg[aria-label^='Prices']", "aria-label") or ""
        heading = await seen.page.inner_text("#dialog h2")
        verdicts = await seen.texts("#dialog tbody td:last-child")
        await seen.page.keyboard.press("Escape")
        back = await seen.page.evaluate("document.activeElement.closest('tr').dataset.mint")
        counted = site.sidecar.service.get_stats()["total_requests"]

    assert (heading, back) == ("SOL", SOL)
    assert "in use" in verdicts
    assert "Jupiter 0.0 %" in label
    assert "taken" in verdicts
    assert counted == 0


@pytest.mark.parametrize(
    ("context", "view", "ground"),
    [
        ({"color_scheme": "light"}, "table", "rgb(244, 245, 243)"),
        ({"color_scheme": "dark"}, "explanation", "rgb(15, 18, 17)"),
        ({"color_scheme": "dark", **NARROW}, "table", "rgb(15, 18, 17)"),
    ],
    ids=["light", "dark-explained", "dark-narrow"],
)
async def test_it_has_no_accessibility_violation_in_the_light_and_in_the_dark(
    site: Site, browser: Browser, context: dict[str, Any], view: str, ground: str
) -> None:
    async with looking_at(site, browser, **context) as seen:
        await seen.page.fill("#filter", "ju")  # a few rows are checked as well as a hundred, and sooner
        if view == "explanation":
            await seen.page.click(f"{mint_row(JUP)} .open")
            await seen.page.wait_for_selector("#dialog[open] svg[aria-label^='Prices by source']")

        assert await seen.violations() == []
        assert await seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == ground


async def test_a_token_without_a_price_says_why(site: Site, browser: Browser) -> None:
    async with looking_at(site, browser) as seen:
        await seen.page.select_option("#confidence", "none")
        await seen.page.click(f"{mint_row(STSOL)} .open")
        await seen.until("() => document.querySelector('#dialog').innerText.includes('The supply')")
        text = await seen.page.inner_text("#dialog")

    assert f"No price: {site.sidecar.service.engine.cache.unpriced_reason(Mint(STSOL))}" in text


async def test_nothing_sticks_out_of_a_narrow_screen(site: Site, browser: Browser) -> None:
    async with looking_at(site, browser, **NARROW) as seen:
        width = await seen.page.evaluate("document.documentElement.scrollWidth")
        names = ("token", "cap", "age", "confidence", "price", "tier")
        shown = [name for name in names if await seen.page.is_visible(f"#head-{name}")]
        await seen.page.click(f"{mint_row(JUP)} .open")
        await seen.page.wait_for_selector("#dialog[open] .picture")
        opened = await seen.page.evaluate("document.querySelector('#dialog').scrollWidth")

    assert width <= 320
    assert opened <= 320
    assert shown == ["token", "cap", "age", "confidence"]


async def test_a_click_counts_when_the_rows_change_before_its_end(site: Site, browser: Browser) -> None:
    async with looking_at(site, browser) as seen:
        await seen.page.hover(f"{mint_row(JUP)} .open")
        await seen.page.mouse.down()
        await seen.page.evaluate(
            """(last) => {
            const joined = {...state.tokens.get(last), mint: "joined"};
            take({now: Date.now() / 1000, tokens: {[last]: null, joined}}, false);
        }""",
            await seen.page.locator("tr.row").last.get_attribute("data-mint"),
        )
        await seen.page.mouse.up()
        await seen.page.wait_for_selector("#dialog[open]", timeout=10_000)


async def test_a_key_counts_when_a_row_above_falls_below_before_its_end(site: Site, browser: Browser) -> None:
    async with looking_at(site, browser) as seen:
        first = await seen.page.locator("tr.row").first.get_attribute("data-mint")
        assert first != JUP
        await seen.page.focus(f"{mint_row(JUP)} .open")
        await seen.page.keyboard.down("Space")
        await seen.page.evaluate(
            """([first, last]) => {
            const fallen = {...state.tokens.get(first), market_cap_usd: 1};
            take({now: Date.now() / 1000, tokens: {[first]: fallen, [last]: null}}, false);
        }""",
            [first, await seen.page.locator("tr.row").last.get_attribute("data-mint")],
        )
        assert await seen.page.locator("tr.row").first.get_attribute("data-mint") != first
        await seen.page.keyboard.up("Space")
        await seen.page.wait_for_selector("#dialog[open]", timeout=10_000)


async def test_ten_thousand_tokens_stay_usable(site: Site, browser: Browser) -> None:
    async with looking_at(site, browser) as seen:
        took = await seen.page.evaluate("""() => {
            const one = state.tokens.values().next().value, tokens = {}, started = performance.now();
            for (let at = 0; at < 10000; at++) {
                const mint = one.mint.slice(0, 36) + String(at).padStart(6, "0");
                tokens[mint] = {...one, mint, symbol: "T" + at, market_cap_usd: 1e6 + at};
            }
            take({...state.status, now: Date.now() / 1000, tokens}, true);
            return performance.now() - started;
        }""")
        rows = await seen.page.locator("tr.row").count()
        await seen.page.focus("#rows .open[tabindex='0']")
        await seen.page.keyboard.press("End")
        await seen.until("() => document.activeElement.innerText.startsWith('T0')")
        index = await seen.page.evaluate("document.activeElement.closest('tr').getAttribute('aria-rowindex')")
        await seen.page.fill("#filter", "t9999")
        found = await seen.texts("#rows .open")

    assert took < 2000
    assert rows < 60
    assert index == "10001"
    assert [name.split()[0] for name in found] == ["T9999"]


async def test_a_fleet_is_shown_where_there_is_one(site: Site, browser: Browser) -> None:
    fleet = {"role": "follower", "connected": True, "member": "a", "leader": "b", "members": 3, "last_error": None}
    async with looking_at(site, browser) as seen:
        without = await seen.page.is_visible("#fleet-panel")
        await seen.page.evaluate("(fleet) => take({now: Date.now() / 1000, fleet}, false)", fleet)
        followed = await seen.page.inner_text("#fleet-panel")
        alone = {**fleet, "role": "alone", "connected": False, "last_error": "connection refused"}
        await seen.page.evaluate("(fleet) => take({now: Date.now() / 1000, fleet}, false)", alone)
        texts = [await seen.page.inner_text("#fleet-panel"), await seen.page.inner_text("#trouble")]

    assert not without
    assert all(text in followed for text in ("3 members", "follower", "leader: b"))
    assert "connection refused" in texts[0]
    assert "works alone" in texts[1]


async def test_without_a_script_it_is_a_table(site: Site, browser: Browser) -> None:
    async with looking_at(site, browser, java_script_enabled=False, ready="noscript table") as seen:
        caption, rows = await seen.page.inner_text("caption"), await seen.texts("noscript tbody tr")

    assert caption.startswith(f"{len(rows)} tracked tokens at 20")
    assert rows[0].split()[0] == "SOL"
    assert any(row.startswith("stSOL") and "no price" in row for row in rows)

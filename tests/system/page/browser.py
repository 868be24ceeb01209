"""The page in Debian's chromium, of a sidecar in this process on a clock that the test moves."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import axe_playwright_python
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright
from playwright.async_api import Error as PlaywrightError

from tests.web.serving import Site

FLAGS: Final = ("--headless", "--disable-gpu", "--disable-background-networking", "--no-first-run")
AXE: Final = Path(axe_playwright_python.__file__).with_name("axe.min.js")
TIMEOUT_MILLISECONDS: Final = 60_000


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run the browser; as root without a sandbox, which needs another user."""
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else [*FLAGS]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        yield browser
        await browser.close()


class Watched:
    """A page that is looked at, with all that it complained of and asked for."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page = page
        self.site = site
        self.complaints: list[str] = []
        self.requested: list[str] = []
        page.set_default_timeout(TIMEOUT_MILLISECONDS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def _request(self, request: Request) -> None:
        self.requested.append(request.url)

    async def texts(self, selector: str) -> list[str]:
        return await self.page.locator(selector).all_inner_texts()

    async def row(self, mint: str) -> str:
        return await self.page.locator(f'tr[data-mint="{mint}"]').inner_text()

    async def until(self, expression: str, argument: Any = None) -> None:
        """Wait until a function of the page returns something true."""
        await self.page.wait_for_function(expression, arg=argument)

    async def until_row(self, mint: str, text: str) -> None:
        """Wait until the row of a token holds a text."""
        row = f'tr[data-mint="{mint}"]'
        await self.until("([row, text]) => document.querySelector(row).innerText.includes(text)", [row, text])

    async def violations(self) -> list[str]:
        """Return what axe-core finds wrong for people with disabilities, WCAG 2.2 AA included."""
        await self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = await self.page.evaluate("axe.run({resultTypes: ['violations']}).then((all) => all.violations)")
        return [f"{one['id']}: {node['html'][:120]}" for one in found for node in one["nodes"]]


@asynccontextmanager
async def looking_at(
    site: Site, browser: Browser, *, ready: str = "tr.row", **context: Any
) -> AsyncIterator[Watched]:
    """Open the page; at the end it must have complained of nothing and asked nothing else for anything."""
    base = site.sidecar.ops_addresses[0]
    opened = await browser.new_context(**{"viewport": {"width": 1360, "height": 900}, **context})
    watched = Watched(await opened.new_page(), site)
    try:
        await watched.page.goto(base + "/")
        await watched.page.wait_for_selector(ready)
        yield watched
        assert watched.complaints == []
        assert [url for url in watched.requested if not url.startswith((base, "data:"))] == []
    except PlaywrightError as error:
        error.add_note(f"complained: {watched.complaints}; asked: {watched.requested[-3:]}")
        error.add_note(f"shown: {await watched.page.inner_text('body')}")
        raise
    finally:
        await opened.close()
